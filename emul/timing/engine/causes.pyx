"""The causes of transfers: by what each could start at last, and where a chain of them begins."""

from libc.stdint cimport int32_t, int64_t, uint8_t

import numpy as np

__all__ = ["CAUSES", "first_causes"]

CAUSES = ("done", "slot", "issue")


def first_causes(int64_t[::1] moments, times, uint8_t[::1] begins):
    """Return, by moment, the transfer on whose start it hung: from cause to cause, back and back.

    A moment is the number of a transfer, of its arrival; or of the transfers, and its number, of
    its being done. ``times``: the columns of a schedule that say who waited for whom. Of those that
    ``begin`` (transfers,), the start is not followed further.
    """
    cdef const int32_t[::1] waited_for = times.waited_for, ordered_after = times.ordered_after
    cdef const uint8_t[::1] cause = times.start_cause
    cdef int64_t at, moment, transfers = waited_for.shape[0]
    cdef int32_t[::1] found = np.empty(moments.shape[0], dtype=np.int32)
    for at in range(moments.shape[0]):
        moment = moments[at]
        while True:
            if moment >= transfers:
                moment -= transfers
                if ordered_after[moment] >= 0:
                    moment = ordered_after[moment] + transfers
            elif begins[moment] or waited_for[moment] < 0:
                break
            else:
                moment = waited_for[moment] + (transfers if cause[moment] == UPON_DONE_CAUSE else 0)
        found[at] = <int32_t>moment
    return np.asarray(found)
