from typing import final

from emul.timing.conditions import Conditions
from emul.timing.dependencies import Edges
from emul.timing.traffic import Transfers
from emul.topology import Network

__all__ = ["Tables"]

@final
class Tables:
    @property
    def fits(self) -> bool: ...
    def __init__(
        self, traffic: Transfers, edges: Edges, network: Network, conditions: Conditions
    ) -> None: ...
