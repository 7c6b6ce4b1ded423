"""Output for people and programs: the table, the words under it, and the JSON files."""

from emul.report.documents import nccl_document, perf_document, write_json
from emul.report.perf_result import PerfResult
from emul.report.perf_row import PerfRow, modelled_row, perf_row
from emul.report.table import WideTable
from emul.report.topologies import link_list, link_sheets, topology_list, topology_sheet
from emul.report.words import closing_words

__all__ = [
    "PerfResult",
    "PerfRow",
    "WideTable",
    "closing_words",
    "link_list",
    "link_sheets",
    "modelled_row",
    "nccl_document",
    "perf_document",
    "perf_row",
    "topology_list",
    "topology_sheet",
    "write_json",
]
