/* Ordered reductions of all ranks in one pass, with the bits of numpy_ops.py step by step.
 *
 * A pass carries out a tape (emul/ops/fusing/recipe.py) on a run of elements: it loads a block of a few
 * cache lines of one rank's row after the other, keeps the accumulator in registers, and stores
 * results into the rows of those who end with them. All loads of a block come before its stores
 * where rows are used in place.
 *
 * The kernels are written once, in the vector extensions that GCC and Clang share, and compiled for
 * several instruction sets: fused_set.h is included once for each, and includes fused_kernel.h
 * once for each element type and reduction. Which set is used is chosen when the module is loaded.
 */
#ifndef EMUL_FUSED_H
#define EMUL_FUSED_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "instructions.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#endif
#if (defined(__x86_64__) || defined(__i386__)) && !defined(EMUL_FUSED_BASELINE_ONLY)
#define EMUL_FUSED_X86 1
#include <cpuid.h>
#include <immintrin.h>
#else
#define EMUL_FUSED_X86 0
#endif

/* One run of elements: pointers to the first byte of every leaf and target, which may be the same
 * where a buffer is used in place. ``divisor`` is the number of ranks for avg, otherwise 1. With
 * ``streams``, stores go past the caches; targets are aligned then. With ``fetches``, leaves are
 * fetched ahead. */
typedef struct {
    const emul_instruction *tape;
    int64_t length;
    const char **leaf;
    char **target;
    int64_t leaves, targets, spill_slots;
    int64_t divisor;
    bool streams, fetches;
    char *spilled;
    char *padded;
} fused_pass;

/* Carries out ``pass`` on the bytes [low, high) of its run. */
typedef void (*fused_kernel)(const fused_pass *pass, int64_t low, int64_t high);

/* A kernel works in blocks of so many bytes, and sets aside so many per value at most. */
#define FUSED_WIDEST_VECTOR 64
#define FUSED_MOST_BLOCK 256
#define FUSED_MOST_SPILLED 512

/* Fetches as much as a block, that far ahead, into the second cache; past the end, nothing. */
#define FUSED_LINE 64
#define FUSED_AHEAD 3072
#define FUSED_FETCH(from, nbytes)                                                                  \
    for (uintptr_t line = 0; line < (nbytes); line += FUSED_LINE)                                  \
        __builtin_prefetch((const void *)((uintptr_t)(from) + FUSED_AHEAD + line), 0, 2)

#define FUSED_JOIN_(a, b) a##_##b
#define FUSED_JOIN(a, b) FUSED_JOIN_(a, b)
#define FUSED_INLINE static inline __attribute__((always_inline, unused))

enum { FUSED_SUM, FUSED_PROD, FUSED_MIN, FUSED_MAX, FUSED_REDUCTIONS };

/* The kernels of one element type for one instruction set, and the name that Python gives it. */
typedef struct {
    const char *name;
    fused_kernel kernel[FUSED_REDUCTIONS];
} fused_type;

/* 16 bytes: SSE2 on x86-64, NEON on arm64. */
#define SET baseline
#define VECTOR_BYTES 16
#define TARGET
#if defined(__aarch64__)
#define HALF_IN_HARDWARE 1
#else
#define HALF_IN_HARDWARE 0
#endif
#include "fused_set.h"

#if EMUL_FUSED_X86
#define SET avx2
#define VECTOR_BYTES 32
#define TARGET __attribute__((target("avx2,f16c")))
#define HALF_IN_HARDWARE 1
#include "fused_set.h"

#define SET avx512
#define VECTOR_BYTES 64
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,f16c")))
#define HALF_IN_HARDWARE 1
#include "fused_set.h"
#endif

#include "fused_run.h"

#endif
