from typing import final

from emul.timing.traffic import Traffic

__all__ = ["Edges", "dependencies"]

@final
class _Collector:
    def __init__(self, traffic: Traffic, ranks: int) -> None: ...
    def take_waits(self, waits: object) -> None: ...
    def edges_by_transfer(self) -> Edges: ...

@final
class Edges:
    def __init__(self, transfers: int, most: int) -> None: ...

def dependencies(traffic: Traffic, ranks: int) -> Edges: ...
