"""The model held against collectives that were timed on a real network."""

from emul.validation.columns import (
    MeasuredLinks,
    MeasuredRow,
    read_links,
    read_measured,
)
from emul.validation.prediction import Predicted, Predictor
from emul.validation.summary import Summary, summary_of

__all__ = [
    "MeasuredLinks",
    "MeasuredRow",
    "Predicted",
    "Predictor",
    "Summary",
    "read_links",
    "read_measured",
    "summary_of",
]
