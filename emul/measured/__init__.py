"""From measurements to the numbers of links: readers, the fit, and the topology file."""

from emul.errors import MeasurementError, MissingLibraryError
from emul.measured.calibration import Calibration, Quantity, calibrate
from emul.measured.detection import read_measurements
from emul.measured.forms import COLLECTIVES
from emul.measured.layout import LINKS, SiteLayout, layout_of
from emul.measured.measurement import Hints, Log, Measurement
from emul.measured.parameters import Parameter, parameters_of
from emul.measured.ring_paths import ALIKE, Ring
from emul.measured.taken import Taken, only_half, taken_of
from emul.measured.topology_file import base_link, keys_left_out, topology_text

__all__ = [
    "ALIKE",
    "COLLECTIVES",
    "LINKS",
    "Calibration",
    "Hints",
    "Log",
    "Measurement",
    "MeasurementError",
    "MissingLibraryError",
    "Parameter",
    "Quantity",
    "Ring",
    "SiteLayout",
    "Taken",
    "base_link",
    "calibrate",
    "keys_left_out",
    "layout_of",
    "only_half",
    "parameters_of",
    "read_measurements",
    "taken_of",
    "topology_text",
]
