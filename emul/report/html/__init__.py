"""Pages to hand on: one file of HTML each, with pictures of its own and no network."""

from emul.report.html.calibration_page import calibration_page
from emul.report.html.explain_page import explain_page
from emul.report.html.page import Origin, Page
from emul.report.html.perf_page import PerfFindings, perf_page
from emul.report.html.renderer import render, write_report
from emul.report.html.train_page import train_page
from emul.report.html.tune_page import tune_page
from emul.report.html.validation_page import validation_page

__all__ = [
    "Origin",
    "Page",
    "PerfFindings",
    "calibration_page",
    "explain_page",
    "perf_page",
    "render",
    "train_page",
    "tune_page",
    "validation_page",
    "write_report",
]
