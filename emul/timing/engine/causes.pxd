"""The last causes of transfers, as the schedulers note them."""

cdef enum:
    UPON_DONE_CAUSE = 0   # another was done
    SLOT_CAUSE = 1        # its credit
    ISSUE_CAUSE = 2       # another was issued
