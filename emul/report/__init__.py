"""Output for people and programs: the table, the words under it, and the JSON files."""

from emul.report.documents import json_document, nccl_document, write_json
from emul.report.perf_result import PerfResult
from emul.report.perf_row import PerfRow, modelled_row, perf_row
from emul.report.table import PerfTable
from emul.report.topologies import link_list, link_sheets, topology_list, topology_sheet
from emul.report.words import closing_words, overflow_words

__all__ = [
    "PerfResult",
    "PerfRow",
    "PerfTable",
    "closing_words",
    "json_document",
    "link_list",
    "link_sheets",
    "modelled_row",
    "nccl_document",
    "overflow_words",
    "perf_row",
    "topology_list",
    "topology_sheet",
    "write_json",
]
