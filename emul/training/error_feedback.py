"""Error feedback: the part of a gradient that a wire format loses goes with the next one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from emul.errors import ShapeError
from emul.ops.wire import as_carried
from emul.plans import wire_named
from emul.reading.brief import one_line

__all__ = ["ErrorFeedback"]

Floats = npt.NDArray[np.float32]


class ErrorFeedback:
    """Keeps the part of each rank's buffer that a wire format lost, and adds it to the next one.

    So the sum of all that was sent is the sum of all that was to be sent, less one loss (Seide et
    al., INTERSPEECH 2014; Karimireddy et al., arXiv 1901.09847). ``wire``: as of all_reduce.
    ``lost`` (ranks, count): the loss so far, None before the first buffer. Raises ArgumentError for
    an unknown format.

    >>> import numpy as np
    >>> feedback = ErrorFeedback("fp4")
    >>> x = np.full((1, 32), 0.1, np.float32)  # too small for 4 bits beside the 6
    >>> x[0, 0] = 6.0
    >>> sent = [float(feedback(x)[0, 1]) for _ in range(10)]
    >>> sent[0], round(sum(sent) + float(feedback.lost[0, 1]), 5)
    (0.0, 1.0)
    """

    def __init__(self, wire: str) -> None:
        """Take the name of a wire format."""
        self.wire = wire_named(wire)
        self.lost: Floats | None = None

    def __call__(self, x: npt.NDArray[Any]) -> Floats:
        """Return the values to send for buffers ``x`` (ranks, count), which the format carries.

        Raises ShapeError for buffers of another shape than before.
        """
        wanted = np.asarray(x, dtype=np.float32)
        if self.lost is not None:
            if self.lost.shape != wanted.shape:
                raise ShapeError(
                    f"buffers of shape {wanted.shape}: needed {self.lost.shape}, as before"
                )
            wanted = wanted + self.lost
        sent = np.stack([as_carried(row, self.wire) for row in wanted])
        self.lost = wanted - sent
        return sent

    def __repr__(self) -> str:
        """Name the format."""
        return one_line(f"<ErrorFeedback of {self.wire}>")
