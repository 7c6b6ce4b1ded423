"""Carries out recipes on the rows of arrays, compiled; the kernels are in fused.h."""

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int32_t, int64_t, uint8_t, uintptr_t

import numpy as np

__all__ = ["INSTRUCTION_SETS", "Fused"]

cdef extern from "fused.h":
    ctypedef struct emul_instruction:
        pass

    ctypedef void (*fused_kernel)(const void*, int64_t, int64_t) noexcept nogil

    ctypedef struct fused_recipe:
        int64_t runs, most_spilled, most_leaves, most_targets
        const emul_instruction* tape
        const int64_t* tape_from
        const int64_t* leaf_from
        const int64_t* target_from
        const int64_t* starts
        const int32_t* leaf_rank
        const int32_t* target_rank
        const int64_t* leaf_low
        const int64_t* target_low
        const uint8_t* copies

    ctypedef struct fused_call:
        const fused_recipe* recipe
        const char* input
        char* output
        int64_t input_stride, output_stride, itemsize, divisor
        bint in_place, large, fetches
        fused_kernel kernel, moves

    const int FUSED_SETS, FUSED_TYPES, FUSED_SUM
    const char* const* fused_set_names
    bint fused_has_set(int set) nogil
    const char* fused_type_name(int type) nogil
    fused_kernel fused_kernel_of(int set, int type, int reduction) nogil
    bint fused_gains_by_fetching() nogil
    int fused_carry_out(const fused_call* call, int64_t low, int64_t high,
                        int64_t threads) nogil

TYPES = tuple([fused_type_name(i).decode() for i in range(FUSED_TYPES)])
REDUCTIONS = ("sum", "prod", "min", "max")

# Asked once: a virtual machine answers slowly.
NUMBERS = {fused_set_names[i].decode(): i for i in range(FUSED_SETS) if fused_has_set(i)}
INSTRUCTION_SETS = tuple(NUMBERS)


@cython.final
@cython.auto_pickle(False)
cdef class Fused:
    """A recipe, ready to be carried out on rows of any address.

    All arrays of the recipe are kept as they are; see emul.plans.Recipe.
    """

    cdef readonly int64_t elements
    cdef readonly tuple arrays
    cdef fused_recipe recipe

    def __init__(self, int32_t[:, ::1] tape, int64_t[::1] tape_from, int32_t[::1] leaf_rank,
                 int64_t[::1] leaf_low, int64_t[::1] leaf_from, int32_t[::1] target_rank,
                 int64_t[::1] target_low, int64_t[::1] target_from, int64_t[::1] starts,
                 uint8_t[::1] copies, int64_t most_spilled):
        """Take the columns of a recipe, and where each of its runs starts, counted over all."""
        self.arrays = (tape, tape_from, leaf_rank, leaf_low, leaf_from, target_rank, target_low,
                       target_from, starts, copies)
        self.recipe.runs = copies.shape[0]
        self.elements = starts[self.recipe.runs]
        if not self.recipe.runs:
            return
        self.recipe.most_spilled = most_spilled
        self.recipe.most_leaves = int(np.diff(leaf_from).max())
        self.recipe.most_targets = int(np.diff(target_from).max())
        self.recipe.tape = <const emul_instruction*>&tape[0, 0] if tape.shape[0] else NULL
        self.recipe.tape_from = &tape_from[0]
        self.recipe.leaf_from, self.recipe.target_from = &leaf_from[0], &target_from[0]
        self.recipe.starts = &starts[0]
        self.recipe.leaf_rank, self.recipe.target_rank = &leaf_rank[0], &target_rank[0]
        self.recipe.leaf_low, self.recipe.target_low = &leaf_low[0], &target_low[0]
        self.recipe.copies = &copies[0]

    def run(self, uintptr_t source, int64_t source_stride, uintptr_t target,
            int64_t target_stride, int64_t itemsize, str dtype, str reduction, int64_t divisor, *,
            bint in_place, bint large, int64_t threads, int64_t slab, str instructions):
        """Carry out all elements; rows are so many bytes apart from the addresses given.

        Rows that are ``large`` together do not fit into the caches. Between ``slab`` elements at a
        time, signals are heeded: an exception of theirs ends the call.
        """
        cdef fused_call call
        cdef int set = NUMBERS[instructions]
        cdef int64_t low = 0, high
        cdef int done = 0
        call.recipe = &self.recipe
        call.input, call.output = <const char*>source, <char*>target
        call.input_stride, call.output_stride = source_stride, target_stride
        call.itemsize, call.divisor = itemsize, divisor
        call.in_place, call.large = in_place, large
        call.fetches = large and fused_gains_by_fetching()
        call.kernel = fused_kernel_of(set, TYPES.index(dtype), REDUCTIONS.index(reduction))
        call.moves = fused_kernel_of(set, TYPES.index("uint8"), FUSED_SUM)
        while low < self.elements and done == 0:
            high = min(self.elements, low + slab)
            with nogil:
                done = fused_carry_out(&call, low, high, threads)
            low = high
            if low < self.elements:
                PyErr_CheckSignals()
        if done != 0:
            raise MemoryError("no memory to work in")
