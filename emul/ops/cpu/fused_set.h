/* All kernels for one instruction set: included with SET (its name), VECTOR_BYTES, TARGET (what a
 * function is compiled for) and HALF_IN_HARDWARE (whether it converts float16) defined.
 */
#define NAME__(type, what, set) fused_##type##_##what##_##set
#define NAME_(type, what, set) NAME__(type, what, set)
#define NAME(type, what) NAME_(type, what, SET)
#define VECTOR __attribute__((vector_size(VECTOR_BYTES)))
#define SHARED TARGET FUSED_INLINE

typedef int32_t NAME(wide, whole) VECTOR;

/* Writes past the caches, which then need not fetch the line first. ``into`` is aligned. */
SHARED void NAME(past, cache)(char *into, NAME(wide, whole) value)
{
#if EMUL_FUSED_X86 && VECTOR_BYTES == 64
    _mm512_stream_si512((void *)into, (__m512i)value);
#elif EMUL_FUSED_X86 && VECTOR_BYTES == 32
    _mm256_stream_si256((void *)into, (__m256i)value);
#elif EMUL_FUSED_X86
    _mm_stream_si128((void *)into, (__m128i)value);
#else
    memcpy(into, &value, sizeof value);
#endif
}

/* Without arithmetic: the bits of memory in a register. */
#define IN_AND_OUT(type, unit, load, store, stream)                                                \
    SHARED NAME(type, unit) NAME(type, load)(const char *from)                                     \
    {                                                                                              \
        NAME(type, unit) loaded;                                                                   \
        memcpy(&loaded, from, sizeof loaded);                                                      \
        return loaded;                                                                             \
    }                                                                                              \
    SHARED void NAME(type, store)(char *into, NAME(type, unit) value)                              \
    {                                                                                              \
        memcpy(into, &value, sizeof value);                                                        \
    }                                                                                              \
    SHARED void NAME(type, stream)(char *into, NAME(type, unit) value)                             \
    {                                                                                              \
        NAME(past, cache)(into, (NAME(wide, whole))value);                                         \
    }

/* ``condition``, of lanes a and b, decides which of both is the result. */
#define CHOICE(type, what, lanes, condition)                                                       \
    SHARED NAME(type, ordered) NAME(type, what)(NAME(type, ordered) a, NAME(type, ordered) b)      \
    {                                                                                              \
        const lanes of_a = (lanes)(condition);                                                     \
        return (NAME(type, ordered))(((lanes)a & of_a) | ((lanes)b & ~of_a));                      \
    }

/* Types that registers add and multiply. ``unsigned_`` is the same without a sign, so that
 * whole numbers wrap as in NumPy. */
#define PLAIN(type, element, unsigned_)                                                            \
    typedef element NAME(type, unit) VECTOR;                                                       \
    typedef element NAME(type, ordered) VECTOR;                                                    \
    typedef unsigned_ NAME(type, wrapping) VECTOR;                                                 \
    enum { NAME(type, unit_bytes) = VECTOR_BYTES };                                                \
    IN_AND_OUT(type, unit, load, store, stream)                                                    \
    IN_AND_OUT(type, ordered, load_ordered, store_ordered, stream_ordered)                         \
    SHARED NAME(type, unit) NAME(type, sum)(NAME(type, unit) a, NAME(type, unit) b)                \
    {                                                                                              \
        return (NAME(type, unit))((NAME(type, wrapping))a + (NAME(type, wrapping))b);              \
    }                                                                                              \
    SHARED NAME(type, unit) NAME(type, prod)(NAME(type, unit) a, NAME(type, unit) b)               \
    {                                                                                              \
        return (NAME(type, unit))((NAME(type, wrapping))a * (NAME(type, wrapping))b);              \
    }                                                                                              \
    SHARED NAME(type, unit) NAME(type, settle)(NAME(type, unit) a)                                 \
    {                                                                                              \
        return a;                                                                                  \
    }

/* np.minimum and np.maximum: a NaN stays, and of two the first. Of zeros of unlike sign, x86-64
 * keeps the second and arm64 knows an order. */
#define FLOAT(type, element, signed_)                                                              \
    PLAIN(type, element, element)                                                                  \
    SHARED NAME(type, unit) NAME(type, divide)(NAME(type, unit) a, int64_t divisor)                \
    {                                                                                              \
        return a / (element)divisor;                                                               \
    }                                                                                              \
    typedef signed_ NAME(type, mask) VECTOR;

/* The quotient is rounded towards zero, as in C. */
#define WHOLE(type, element, unsigned_, signed_)                                                   \
    PLAIN(type, element, unsigned_)                                                                \
    typedef signed_ NAME(type, mask) VECTOR;                                                       \
    CHOICE(type, min, NAME(type, mask), a < b)                                                     \
    CHOICE(type, max, NAME(type, mask), a > b)                                                     \
    SHARED NAME(type, unit) NAME(type, divide)(NAME(type, unit) a, int64_t divisor)                \
    {                                                                                              \
        element lanes[VECTOR_BYTES / sizeof(element)];                                             \
        memcpy(lanes, &a, sizeof a);                                                               \
        for (size_t i = 0; i < VECTOR_BYTES / sizeof(element); i++)                                \
            lanes[i] = (element)((int64_t)lanes[i] / divisor);                                     \
        memcpy(&a, lanes, sizeof a);                                                               \
        return a;                                                                                  \
    }

FLOAT(float64, double, int64_t)
FLOAT(float32, float, int32_t)
#if defined(__aarch64__)
#define NEON(type, what, function, lanes)                                                          \
    SHARED NAME(type, ordered) NAME(type, what)(NAME(type, ordered) a, NAME(type, ordered) b)      \
    {                                                                                              \
        return (NAME(type, ordered))function((lanes)a, (lanes)b);                                  \
    }
NEON(float64, min, vminq_f64, float64x2_t)
NEON(float64, max, vmaxq_f64, float64x2_t)
NEON(float32, min, vminq_f32, float32x4_t)
NEON(float32, max, vmaxq_f32, float32x4_t)
#undef NEON
#else
CHOICE(float64, min, NAME(float64, mask), (a < b) | (a != a))
CHOICE(float64, max, NAME(float64, mask), (a > b) | (a != a))
CHOICE(float32, min, NAME(float32, mask), (a < b) | (a != a))
CHOICE(float32, max, NAME(float32, mask), (a > b) | (a != a))
#endif
WHOLE(int8, int8_t, uint8_t, int8_t)
WHOLE(uint8, uint8_t, uint8_t, int8_t)
WHOLE(int32, int32_t, uint32_t, int32_t)
WHOLE(int64, int64_t, uint64_t, int64_t)

#define TYPE float64
#include "fused_type.h"
#define TYPE float32
#include "fused_type.h"
#define TYPE int8
#include "fused_type.h"
#define TYPE int32
#include "fused_type.h"
#define TYPE int64
#include "fused_type.h"
#define TYPE uint8
#include "fused_type.h"

#include "fused_half.h"

#define ROW(type)                                                                                  \
    {#type, {NAME(type, run_sum), NAME(type, run_prod), NAME(type, run_min), NAME(type, run_max)}}
static const fused_type FUSED_JOIN(fused_types, SET)[] = {
    ROW(float64), ROW(float32), ROW(int8), ROW(int32), ROW(int64), ROW(uint8), SHORT_ROWS};

#undef ROW
#undef SHORT_ROWS
#undef IN_AND_OUT
#undef CHOICE
#undef PLAIN
#undef FLOAT
#undef WHOLE
#undef SHARED
#undef VECTOR
#undef NAME
#undef NAME_
#undef NAME__
#undef SET
#undef VECTOR_BYTES
#undef TARGET
#undef HALF_IN_HARDWARE
