"""Pages to hand on: one file of HTML each, with pictures of its own and no network."""

from emul.report.html.page import Origin, Page
from emul.report.html.perf_page import PerfResults, perf_page
from emul.report.html.renderer import render, write_report

__all__ = ["Origin", "Page", "PerfResults", "perf_page", "render", "write_report"]
