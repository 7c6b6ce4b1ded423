"""Runs collective communication for real and makes it feel the distance between sites.

``import emul`` loads the errors alone; every other name is loaded with its room when it is first
used (PEP 562), so a command that needs no array does not wait for NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from emul.errors import (
    ArgumentError,
    BackendError,
    CapacityError,
    DTypeError,
    EmulError,
    FileError,
    InFlightError,
    LagError,
    MeasurementError,
    MissingLibraryError,
    OutageError,
    PlanError,
    ProgramError,
    ShapeError,
    StackError,
    TimeLimitError,
    TopologyError,
    TrainingError,
)

if TYPE_CHECKING:
    from emul.collapsed import CollapsedMesh
    from emul.communicator import Group
    from emul.insight import Case, EffectShare, Explanation, Tuning, explain, tune
    from emul.links import Link
    from emul.mesh import Mesh
    from emul.ops import RoundingError
    from emul.ops.shapes import NoData
    from emul.plans import Send, algorithm
    from emul.report.plot import plot_heat_map, plot_timeline, plot_times
    from emul.runtime.handle import Handle
    from emul.runtime.history import HistoryRow, Passage
    from emul.runtime.prediction import Prediction
    from emul.runtime.program_path import PathPart, PathRow, ProgramPath
    from emul.runtime.program_run import ProgramRun
    from emul.runtime.record import Mark
    from emul.runtime.run import Run
    from emul.stacks import Stack
    from emul.timing import CriticalPath, Moments, Segment, Slicing, Timeline
    from emul.topology import Node, Site, Topology, Trunk
    from emul.wall.lag import Lag
    from emul.world import Settings, World

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "BackendError",
    "CapacityError",
    "Case",
    "CollapsedMesh",
    "CriticalPath",
    "DTypeError",
    "EffectShare",
    "EmulError",
    "Explanation",
    "FileError",
    "Group",
    "Handle",
    "HistoryRow",
    "InFlightError",
    "Lag",
    "LagError",
    "Link",
    "Mark",
    "MeasurementError",
    "Mesh",
    "MissingLibraryError",
    "Moments",
    "NoData",
    "Node",
    "OutageError",
    "Passage",
    "PathPart",
    "PathRow",
    "PlanError",
    "Prediction",
    "ProgramError",
    "ProgramPath",
    "ProgramRun",
    "RoundingError",
    "Run",
    "Segment",
    "Send",
    "Settings",
    "ShapeError",
    "Site",
    "Slicing",
    "Stack",
    "StackError",
    "TimeLimitError",
    "Timeline",
    "Topology",
    "TopologyError",
    "TrainingError",
    "Trunk",
    "Tuning",
    "World",
    "__version__",
    "algorithm",
    "explain",
    "plot_heat_map",
    "plot_timeline",
    "plot_times",
    "tune",
]

_ROOM_OF = {
    "Case": "emul.insight",
    "CollapsedMesh": "emul.collapsed",
    "CriticalPath": "emul.timing",
    "EffectShare": "emul.insight",
    "Explanation": "emul.insight",
    "Group": "emul.communicator",
    "Handle": "emul.runtime.handle",
    "HistoryRow": "emul.runtime.history",
    "Lag": "emul.wall.lag",
    "Link": "emul.links",
    "Mark": "emul.runtime.record",
    "Mesh": "emul.mesh",
    "Moments": "emul.timing",
    "NoData": "emul.ops.shapes",
    "Node": "emul.topology",
    "Passage": "emul.runtime.history",
    "PathPart": "emul.runtime.program_path",
    "PathRow": "emul.runtime.program_path",
    "Prediction": "emul.runtime.prediction",
    "ProgramRun": "emul.runtime.program_run",
    "ProgramPath": "emul.runtime.program_path",
    "RoundingError": "emul.ops",
    "Run": "emul.runtime.run",
    "Segment": "emul.timing",
    "Send": "emul.plans",
    "Settings": "emul.world",
    "Site": "emul.topology",
    "Slicing": "emul.timing",
    "Stack": "emul.stacks",
    "Timeline": "emul.timing",
    "Topology": "emul.topology",
    "Trunk": "emul.topology",
    "Tuning": "emul.insight",
    "World": "emul.world",
    "algorithm": "emul.plans",
    "explain": "emul.insight",
    "plot_heat_map": "emul.report.plot",
    "plot_timeline": "emul.report.plot",
    "plot_times": "emul.report.plot",
    "tune": "emul.insight",
}


def _at_first_use(name: str) -> Any:
    from importlib.util import find_spec  # not at start-up, which needs none

    if name in _ROOM_OF:
        found = getattr(import_module(_ROOM_OF[name]), name)
    elif find_spec(f"{__name__}.{name}"):
        found = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOM_OF})


if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = _at_first_use
