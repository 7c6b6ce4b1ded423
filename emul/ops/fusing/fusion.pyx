"""Follows the expression in every place through a program, and turns the final ones into tapes:
the inner loops of the recipe."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from types import MappingProxyType

import numpy as np

__all__ = ["CODES", "Followed", "TapeWriter"]

cdef extern from "instructions.h":
    enum:
        LOAD "EMUL_LOAD"
        COMBINE "EMUL_COMBINE"
        COMBINE_RIGHT "EMUL_COMBINE_RIGHT"
        SPILL "EMUL_SPILL"
        RELOAD "EMUL_RELOAD"
        COMBINE_SPILLED "EMUL_COMBINE_SPILLED"
        COMBINE_RIGHT_SPILLED "EMUL_COMBINE_RIGHT_SPILLED"
        FINISH "EMUL_FINISH"
        STORE "EMUL_STORE"
        MOVE "EMUL_MOVE"

# Codes of the header by their names.
CODES = MappingProxyType({
    "load": LOAD,
    "combine": COMBINE,
    "combine_right": COMBINE_RIGHT,
    "spill": SPILL,
    "reload": RELOAD,
    "combine_spilled": COMBINE_SPILLED,
    "combine_right_spilled": COMBINE_RIGHT_SPILLED,
    "finish": FINISH,
    "store": STORE,
    "move": MOVE,
})

# The next stage of an expression whose two parts are being worked out.
cdef enum:
    BEGIN = 0
    RIGHT_IS_AT_HAND = 1
    LEFT_IS_AT_HAND = 2
    LEFT_IS_DONE = 3
    RIGHT_IS_DONE = 4
    BOTH_LEFT_SPILLED = 5
    BOTH_RIGHT_SPILLED = 6


@cython.final
@cython.auto_pickle(False)
cdef class Followed:
    """The expression in every place: numbers below ``leaves`` are inputs, others join two.

    Expression ``leaves + i`` is ``left[i]`` combined with ``right[i]``, in this order.
    ``origin[e]`` is the place whose contributions expression e holds. Where operands may be
    exchanged (``commutes``), a + b and b + a are one expression.
    """

    cdef readonly object at
    cdef readonly object left
    cdef readonly object right
    cdef readonly object origin
    cdef readonly object need
    cdef readonly int64_t leaves
    cdef readonly int64_t joins
    cdef int32_t[:, ::1] held
    cdef int32_t[::1] stood
    cdef int32_t[::1] sent
    cdef int32_t[::1] from_place
    cdef int32_t[::1] needs
    cdef int32_t[::1] table
    cdef bint commutes

    def __init__(self, at, leaf_places, int64_t most_joins, bint commutes):
        """Take the leaf in every place, (n, places), -1 for none, to be changed here."""
        cdef int64_t slots = 64
        while slots < 2 * most_joins:
            slots *= 2
        self.at, self.held, self.commutes = at, at, commutes
        self.leaves = len(leaf_places)
        self.left = np.empty(most_joins, dtype=np.int32)
        self.right = np.empty(most_joins, dtype=np.int32)
        self.origin = np.empty(self.leaves + most_joins, dtype=np.int32)
        self.need = np.zeros(self.leaves + most_joins, dtype=np.int32)
        self.origin[:self.leaves] = leaf_places
        self.stood, self.sent, self.from_place = self.left, self.right, self.origin
        self.needs = self.need
        self.table = np.full(slots, -1, dtype=np.int32)

    def take(self, int64_t[::1] first_row, int32_t[::1] src, int32_t[::1] dst,
             int32_t[::1] src_place, int32_t[::1] dst_place, int32_t[::1] nplaces, reduce,
             int64_t most_of_a_step):
        """Carry out all rows; step i is those from ``first_row[i]`` up to ``first_row[i + 1]``."""
        cdef uint8_t[::1] reduces = np.ascontiguousarray(reduce).view(np.uint8)
        cdef int32_t[::1] aside = np.empty(most_of_a_step, dtype=np.int32)
        cdef int64_t step
        with nogil:
            for step in range(first_row.shape[0] - 1):
                self.take_step(first_row[step], first_row[step + 1], src, dst, src_place,
                               dst_place, nplaces, reduces, aside)

    cdef void take_step(self, int64_t low, int64_t high, int32_t[::1] src, int32_t[::1] dst,
                        int32_t[::1] src_place, int32_t[::1] dst_place, int32_t[::1] nplaces,
                        uint8_t[::1] reduces, int32_t[::1] aside) noexcept nogil:
        """All rows of a step read the state before it."""
        cdef int64_t row, i, at = 0
        cdef int32_t target
        for row in range(low, high):
            for i in range(nplaces[row]):
                aside[at] = self.held[src[row], src_place[row] + i]
                at += 1
        at = 0
        for row in range(low, high):
            for i in range(nplaces[row]):
                target = dst_place[row] + <int32_t>i
                if reduces[row]:
                    aside[at] = self.join(self.held[dst[row], target], aside[at])
                self.held[dst[row], target] = aside[at]
                at += 1

    @cython.overflowcheck(False)  # the hash wraps
    cdef int32_t join(self, int32_t stood, int32_t sent) noexcept nogil:
        """Return the number of ``stood`` combined with ``sent``, new or known."""
        cdef int32_t a = stood, b = sent, known
        cdef uint64_t mask = self.table.shape[0] - 1, slot
        if a < 0 or b < 0:
            return -1  # in a verified plan, only places without an element hold nothing
        if self.commutes and b < a:
            a, b = b, a
        slot = ((<uint64_t>a << 32 | <uint64_t>b) * <uint64_t>0x9E3779B97F4A7C15) >> 20 & mask
        while self.table[slot] >= 0:
            known = self.table[slot]
            if self.stood[known] == a and self.sent[known] == b:
                return <int32_t>self.leaves + known
            slot = (slot + 1) & mask
        known = <int32_t>self.joins
        self.table[slot] = known
        self.stood[known], self.sent[known] = a, b
        self.from_place[self.leaves + known] = self.from_place[a]
        self.needs[self.leaves + known] = self.spilled_at_once(a, b)
        self.joins += 1
        return <int32_t>self.leaves + known

    cdef int32_t spilled_at_once(self, int32_t a, int32_t b) noexcept nogil:
        """Return how many values must be set aside at once while a and b are worked out."""
        if b < self.leaves:
            return self.needs[a]
        if a < self.leaves:
            return self.needs[b]
        return max(max(self.needs[a], self.needs[b]), min(self.needs[a], self.needs[b]) + 1)


@cython.final
@cython.auto_pickle(False)
cdef class TapeWriter:
    """Writes tapes for groups of results; a group is worked out in one go.

    All leaves of a group are loaded before anything is stored, so that a group whose results go
    where its leaves are can be carried out in place.
    """

    cdef readonly object instructions
    cdef readonly object leaf_order
    cdef readonly int64_t length
    cdef readonly int64_t leaves_used
    cdef readonly int64_t most_spilled
    cdef int32_t[:, ::1] tape
    cdef int32_t[::1] leaf
    cdef int32_t[::1] left
    cdef int32_t[::1] right
    cdef int32_t[::1] need
    cdef int32_t[::1] uses
    cdef int32_t[::1] slot
    cdef int32_t[::1] free
    cdef int32_t[::1] stack
    cdef int32_t[::1] stage
    cdef int64_t leaves
    cdef int64_t group_leaf
    cdef int64_t group_tape
    cdef int64_t deep
    cdef int32_t slots
    cdef int64_t n_free
    cdef bint commutes

    def __init__(self, Followed of, int64_t targets):
        """Take the followed expressions, and the number of targets in all groups."""
        cdef int64_t every = of.leaves + of.joins
        self.leaves, self.commutes = of.leaves, of.commutes
        self.left, self.right, self.need = of.left, of.right, of.need
        self.instructions = np.empty((4 * (of.joins + targets) + 1, 3), dtype=np.int32)
        self.leaf_order = np.empty(2 * of.joins + targets + 1, dtype=np.int32)
        self.tape, self.leaf = self.instructions, self.leaf_order
        self.uses = np.zeros(every, dtype=np.int32)
        self.slot = np.full(every, -1, dtype=np.int32)
        self.free = np.empty(of.joins + targets + 1, dtype=np.int32)
        self.stack = np.empty(2 * of.joins + 2, dtype=np.int32)
        self.stage = np.empty(2 * of.joins + 2, dtype=np.int32)

    def reduce(self, int32_t[::1] results, int64_t[::1] first_target):
        """Write the tape of a group: result i goes to the targets from ``first_target[i]`` up to
        ``first_target[i + 1]``."""
        cdef int64_t i, last = results.shape[0] - 1
        with nogil:
            self.begin()
            for i in range(last + 1):
                self.count_uses(results[i])
            for i in range(last + 1):
                self.work_out(results[i])
                if i < last and self.slot[results[i]] < 0:
                    self.spill(results[i])
            for i in range(last, -1, -1):
                # The last one is still in the accumulator.
                if i < last:
                    self.put(RELOAD, self.slot[results[i]], 1)
                self.used(results[i])
                self.put(FINISH, 0, 1)
                self.put(STORE, <int32_t>first_target[i],
                         <int32_t>(first_target[i + 1] - first_target[i]))

    def move(self, int32_t[::1] leaves, bint in_place):
        """Write the tape of a group that only copies: leaf i goes to target i.

        Nothing is written but the order of the leaves where it will not be carried out in place.
        """
        cdef int32_t i
        self.begin()
        for i in range(leaves.shape[0]):
            self.leaf[self.leaves_used] = leaves[i]
            self.leaves_used += 1
            if in_place:
                self.put(LOAD, i, 1)
                self.put(SPILL, i, 1)
        if in_place:
            for i in range(leaves.shape[0]):
                self.put(RELOAD, i, 1)
                self.put(STORE, i, 1)
            self.most_spilled = max(self.most_spilled, <int64_t>leaves.shape[0])

    cdef void begin(self) noexcept nogil:
        self.group_leaf, self.group_tape = self.leaves_used, self.length
        self.slots = 0
        self.n_free = 0

    cdef void put(self, int32_t code, int32_t first, int32_t count) noexcept nogil:
        self.tape[self.length, 0] = code
        self.tape[self.length, 1] = first
        self.tape[self.length, 2] = count
        self.length += 1

    cdef void put_leaf(self, int32_t code, int32_t leaf) noexcept nogil:
        """Leaves are numbered as they are used, so that neighbours are one instruction."""
        cdef int32_t number = <int32_t>(self.leaves_used - self.group_leaf)
        self.leaf[self.leaves_used] = leaf
        self.leaves_used += 1
        if self.length > self.group_tape and self.tape[self.length - 1, 0] == code:
            self.tape[self.length - 1, 2] += 1
        else:
            self.put(code, number, 1)

    cdef void count_uses(self, int32_t result) noexcept nogil:
        """Count how often each expression below ``result`` is needed, itself included."""
        cdef int32_t e, k
        self.deep = 0
        self.stack[0] = result
        self.deep = 1
        while self.deep:
            self.deep -= 1
            e = self.stack[self.deep]
            if e < self.leaves:
                continue
            self.uses[e] += 1
            if self.uses[e] == 1:
                k = e - <int32_t>self.leaves
                self.stack[self.deep], self.stack[self.deep + 1] = self.left[k], self.right[k]
                self.deep += 2

    cdef void used(self, int32_t e) noexcept nogil:
        if e >= self.leaves:
            self.uses[e] -= 1
            if self.uses[e] == 0 and self.slot[e] >= 0:
                self.free[self.n_free] = self.slot[e]
                self.n_free += 1
                self.slot[e] = -1

    cdef void spill(self, int32_t e) noexcept nogil:
        if self.n_free:
            self.n_free -= 1
            self.slot[e] = self.free[self.n_free]
        else:
            self.slot[e] = self.slots
            self.slots += 1
            self.most_spilled = max(self.most_spilled, <int64_t>self.slots)
        self.put(SPILL, self.slot[e], 1)

    cdef bint at_hand(self, int32_t e) noexcept nogil:
        return e < self.leaves or self.slot[e] >= 0

    cdef void push(self, int32_t e) noexcept nogil:
        self.stack[self.deep], self.stage[self.deep] = e, BEGIN
        self.deep += 1

    cdef void combine(self, int32_t e, bint right) noexcept nogil:
        """Combine the accumulator with ``e``, from the left where both sides are the same."""
        right = right and not self.commutes
        if e < self.leaves:
            self.put_leaf(COMBINE_RIGHT if right else COMBINE, e)
        else:
            self.put(COMBINE_RIGHT_SPILLED if right else COMBINE_SPILLED, self.slot[e], 1)
            self.used(e)

    cdef void work_out(self, int32_t result) noexcept nogil:
        """Get ``result`` into the accumulator, without recursion: chains are long."""
        cdef int32_t e, a, b
        self.deep = 0
        self.push(result)
        while self.deep:
            e = self.stack[self.deep - 1]
            if self.stage[self.deep - 1] != BEGIN:
                self.go_on(e, self.stage[self.deep - 1])
            elif e < self.leaves:
                self.put_leaf(LOAD, e)
                self.deep -= 1
            elif self.slot[e] >= 0:
                self.put(RELOAD, self.slot[e], 1)
                self.deep -= 1
            else:
                a, b = self.left[e - self.leaves], self.right[e - self.leaves]
                if self.at_hand(b):
                    self.stage[self.deep - 1] = RIGHT_IS_AT_HAND
                    self.push(a)
                elif self.at_hand(a):
                    self.stage[self.deep - 1] = LEFT_IS_AT_HAND
                    self.push(b)
                elif self.need[a] >= self.need[b]:
                    self.stage[self.deep - 1] = LEFT_IS_DONE
                    self.push(a)
                else:
                    self.stage[self.deep - 1] = RIGHT_IS_DONE
                    self.push(b)

    cdef void go_on(self, int32_t e, int32_t stage) noexcept nogil:
        """The accumulator holds a part of ``e``, or both are there."""
        cdef int32_t a = self.left[e - self.leaves], b = self.right[e - self.leaves]
        if stage == LEFT_IS_DONE or stage == RIGHT_IS_DONE:
            if stage == RIGHT_IS_DONE:
                a, b = b, a
            if self.slot[a] < 0:
                self.spill(a)
            self.stage[self.deep - 1] = (BOTH_LEFT_SPILLED if stage == LEFT_IS_DONE
                                         else BOTH_RIGHT_SPILLED)
            self.push(b)
            return
        if stage == RIGHT_IS_AT_HAND or stage == BOTH_RIGHT_SPILLED:
            self.combine(b, False)
            self.used(a)
        else:
            self.combine(a, True)
            self.used(b)
        if self.uses[e] > 1 and self.slot[e] < 0:
            self.spill(e)
        self.deep -= 1
