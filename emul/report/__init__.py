"""Output for people and programs: the table, the words under it, and the JSON files."""

from emul.report.documents import nccl_document, perf_document, write_json
from emul.report.perf_result import PerfResult
from emul.report.perf_row import PerfRow, modelled_row, perf_row
from emul.report.program_lines import program_lines
from emul.report.table import WideTable
from emul.report.words import closing_words

__all__ = [
    "PerfResult",
    "PerfRow",
    "WideTable",
    "closing_words",
    "modelled_row",
    "nccl_document",
    "perf_document",
    "perf_row",
    "program_lines",
    "write_json",
]
