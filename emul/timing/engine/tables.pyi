from typing import final

from emul.timing.effects.connection_table import ConnectionTable
from emul.timing.engine.dependencies import Edges
from emul.timing.traffic import Transfers
from emul.topology import Network

__all__ = ["Tables"]

@final
class Tables:
    @property
    def fits(self) -> bool: ...
    def __init__(
        self, traffic: Transfers, edges: Edges, network: Network, table: ConnectionTable
    ) -> None: ...
