"""Carries out programs whose messages are encoded, compiled; the formats are in wire.h."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

__all__ = ["FORMATS", "CarriedSteps", "carry"]

cdef extern from "wire.h":
    ctypedef void (*wire_carrier)(float* values, int64_t count, int format) noexcept nogil
    const int WIRE_FORMATS
    const char* const* wire_names
    wire_carrier wire_carrier_of(bint wide) nogil
    int64_t wire_within(int64_t begin, int64_t length, int64_t low, int64_t high,
                        int64_t* first) nogil
    void wire_add(float* target, const float* source, int64_t count) nogil

NUMBERS = {wire_names[i].decode(): i for i in range(WIRE_FORMATS)}
FORMATS = tuple(NUMBERS)


def carry(float[::1] values, str wire, *, bint wide=True):
    """Turn ``values``, a chunk, into what arrives of it by the format ``wire``, in place.

    ``wide``: with AVX2, where this machine has it.
    """
    if values.shape[0]:
        wire_carrier_of(wide)(&values[0], values.shape[0], NUMBERS[wire])


@cython.final
@cython.auto_pickle(False)
cdef class CarriedSteps:
    """The steps of a program whose messages are encoded, ready to be carried out.

    The columns are those of emul.ops.wire_steps.EncodedSteps and of its program.
    """

    cdef int32_t[::1] rank, src, dst
    cdef int64_t[::1] low, length, first_place, first_row, src_low, dst_low, row_length
    cdef uint8_t[::1] exchanges, reduces
    cdef int format

    def __init__(self, str wire, places, first_place, rows, first_row, uint8_t[::1] exchanges):
        """Take ``places`` (rank, low, length) and ``rows`` (src, dst, lows, length, reduce)."""
        self.format = NUMBERS[wire]
        self.rank, self.low, self.length = places
        self.src, self.dst, self.src_low, self.dst_low, self.row_length, self.reduces = rows
        self.first_place, self.first_row, self.exchanges = first_place, first_row, exchanges

    def run(self, float[:, ::1] work, int64_t low, int64_t high):
        """Carry all steps out on the columns [low, high) of ``work``, (ranks, width).

        Either these are all columns, or every row keeps its columns and no block is cut. Raises
        MemoryError before anything is written.
        """
        cdef float* memory = NULL
        cdef int64_t needed = self._most_exchanged(low, high)
        if not work.size or low >= high:
            return
        if needed:
            memory = <float*>malloc(needed * sizeof(float))
            if memory == NULL:
                raise MemoryError("no memory to work in")
        with nogil:
            self._run(&work[0, 0], work.shape[1], low, high, memory)
        free(memory)

    cdef int64_t _most_exchanged(self, int64_t low, int64_t high) noexcept nogil:
        """Return the most elements that a step which exchanges reads in these columns."""
        cdef int64_t most = 0, elements, first, row, step
        for step in range(self.exchanges.shape[0]):
            if self.exchanges[step]:
                elements = 0
                for row in range(self.first_row[step], self.first_row[step + 1]):
                    elements += wire_within(self.dst_low[row], self.row_length[row], low, high,
                                            &first)
                most = max(most, elements)
        return most

    cdef void _run(self, float* work, int64_t width, int64_t low, int64_t high,
                   float* memory) noexcept nogil:
        cdef int64_t step
        self._encode(0, work, width, low, high)
        for step in range(self.exchanges.shape[0]):
            if self.exchanges[step]:
                self._set_aside(step, work, width, low, high, memory)
            self._move(step, work, width, low, high, memory if self.exchanges[step] else NULL)
            self._encode(step + 1, work, width, low, high)

    cdef void _encode(self, int64_t step, float* work, int64_t width, int64_t low,
                      int64_t high) noexcept nogil:
        """Encode the places that come before a step."""
        cdef wire_carrier carried = wire_carrier_of(True)
        cdef int64_t i, first, count
        for i in range(self.first_place[step], self.first_place[step + 1]):
            count = wire_within(self.low[i], self.length[i], low, high, &first)
            if count:
                carried(work + self.rank[i] * width + self.low[i] + first, count, self.format)

    cdef void _set_aside(self, int64_t step, const float* work, int64_t width, int64_t low,
                         int64_t high, float* memory) noexcept nogil:
        """Copy the elements that the rows of a step read, one row after the other."""
        cdef int64_t row, first, count
        for row in range(self.first_row[step], self.first_row[step + 1]):
            count = wire_within(self.dst_low[row], self.row_length[row], low, high, &first)
            memcpy(memory, work + self.src[row] * width + self.src_low[row] + first,
                   count * sizeof(float))
            memory += count

    cdef void _move(self, int64_t step, float* work, int64_t width, int64_t low, int64_t high,
                    const float* aside) noexcept nogil:
        """Carry out the rows of a step, whose elements may have been set ``aside``."""
        cdef int64_t row, first, count
        cdef const float* source
        cdef float* target
        for row in range(self.first_row[step], self.first_row[step + 1]):
            count = wire_within(self.dst_low[row], self.row_length[row], low, high, &first)
            source = work + self.src[row] * width + self.src_low[row] + first
            if aside != NULL:
                source = aside
                aside += count
            target = work + self.dst[row] * width + self.dst_low[row] + first
            if self.reduces[row]:
                wire_add(target, source, count)
            else:
                memcpy(target, source, count * sizeof(float))
