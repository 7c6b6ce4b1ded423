"""Runs collective communication for real and makes it feel the distance between sites."""

from emul.errors import (
    ArgumentError,
    BackendError,
    CapacityError,
    DTypeError,
    EmulError,
    InFlightError,
    LagError,
    MeasurementError,
    MissingLibraryError,
    OutageError,
    PlanError,
    ShapeError,
    StackError,
    TimeLimitError,
    TopologyError,
)
from emul.groups import Group
from emul.handles import Handle
from emul.history import Passage
from emul.lag import Lag
from emul.links import Link
from emul.ops import RoundingError
from emul.plans import Send
from emul.run import Prediction, Run
from emul.stacks import Stack
from emul.timing import CriticalPath, Moments, Segment, Slicing, Timeline
from emul.topology import Node, Site, Topology, Trunk
from emul.world import World

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "BackendError",
    "CapacityError",
    "CriticalPath",
    "DTypeError",
    "EmulError",
    "Group",
    "Handle",
    "InFlightError",
    "Lag",
    "LagError",
    "Link",
    "MeasurementError",
    "MissingLibraryError",
    "Moments",
    "Node",
    "OutageError",
    "Passage",
    "PlanError",
    "Prediction",
    "RoundingError",
    "Run",
    "Segment",
    "Send",
    "ShapeError",
    "Site",
    "Slicing",
    "Stack",
    "StackError",
    "TimeLimitError",
    "Timeline",
    "Topology",
    "TopologyError",
    "Trunk",
    "World",
    "__version__",
]
