"""Which of some items is due next: classes of streams, and joint links whose buckets are empty."""

cimport cython

import numpy as np

from emul.timing.engine.columns import StateColumns

__all__ = ["DueQueue"]


@cython.final
@cython.auto_pickle(False)
cdef class DueQueue:
    """So many items, none of which is due yet."""

    # All attributes, by what they are columns of, as in emul.timing.engine.columns.
    STATE = {
        "item": "due part empties",
        "heap": "queue place",
        "made anew": "arrays",
    }

    def __init__(self, int64_t items):
        self.arrays = {}
        self.due = self.arrays["due"] = np.full(items, INT64_MAX, dtype=np.int64)
        self.part = self.arrays["part"] = np.zeros(items)
        self.empties = self.arrays["empties"] = np.zeros(items, dtype=np.uint8)
        self.queue = self.arrays["queue"] = np.arange(items, dtype=np.int32)
        self.place = self.arrays["place"] = np.arange(items, dtype=np.int32)

    def save(self):
        """Return the state of all items."""
        nobody = np.zeros(0, dtype=np.int32)
        return StateColumns(self, "item").save(nobody), StateColumns(self, "heap").save(nobody)

    def restore(self, saved, items):
        """Take over what was saved of items that are numbered so here."""
        of_items, of_heap = saved
        StateColumns(self, "item").restore(of_items, items)
        if isinstance(items, slice):
            StateColumns(self, "heap").restore(of_heap)
            return
        due = self.arrays["due"]
        order = np.lexsort((np.arange(len(due)), self.arrays["part"], due))
        self.arrays["queue"][:] = order
        self.arrays["place"][order] = np.arange(len(due))
