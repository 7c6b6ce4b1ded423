"""The picture of ``emul validate``: predicted over measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from emul.report.plot.figure import new_figure, save
from emul.validation import Predicted

__all__ = ["plot_validation"]


def plot_validation(path: Path, predictions: Sequence[Predicted]) -> None:
    """Draw predicted over measured, and the textbook's, into the file at ``path``.

    Raises FileError; ``check_picture`` says before whether it can be drawn.
    """
    figure = new_figure(7, 7)
    axes = figure.subplots()
    measured = [each.row.measured_s for each in predictions]
    ends = [min(measured) / 2, max(measured) * 2]
    axes.plot(ends, ends, color="black", linewidth=0.8, label="predicted = measured")
    axes.fill_between(
        ends, [end / 1.1 for end in ends], [end * 1.1 for end in ends], color="0.88", label="±10 %"
    )
    axes.scatter(
        measured, [each.textbook_s for each in predictions], s=10, color="tab:orange", marker="x",
        label="textbook: alpha + beta S",
    )  # fmt: skip
    axes.scatter(
        measured, [each.predicted_s for each in predictions], s=12, color="tab:blue", label="emul"
    )
    axes.set(
        xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal",
        xlabel="measured (s)", ylabel="predicted (s)",
        title=f"{len(predictions)} collectives, predicted from their links",
    )  # fmt: skip
    axes.legend(loc="upper left")
    save(path, figure)
