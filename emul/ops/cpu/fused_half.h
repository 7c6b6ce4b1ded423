/* float16 and bfloat16 for one instruction set: widened to float32, combined there, and rounded to
 * nearest, ties to even, after every combination, as NumPy and ml_dtypes do it. For sums and
 * products of two such numbers that is one rounding: float32 has more than twice their digits.
 * fused_set.h includes this text once for each instruction set.
 */
typedef float NAME(wide, floats) VECTOR;
typedef uint32_t NAME(wide, bits) VECTOR;
typedef int16_t NAME(half, lanes) VECTOR;
typedef struct {
    NAME(wide, floats) even, odd;
} NAME(wide, pair);

#define FLOATS NAME(wide, floats)
#define BITS NAME(wide, bits)
#define WHOLES NAME(wide, whole)
#define PAIR NAME(wide, pair)
#define PICK(mask, one, other) (((one) & (mask)) | ((other) & ~(mask)))

/* A pair holds numbers that the short type holds too: lanes of even and of odd number, so that no
 * lane has to move. */
#define ARITHMETIC(type)                                                                           \
    typedef PAIR NAME(type, unit);                                                                 \
    SHARED PAIR NAME(type, sum)(PAIR a, PAIR b)                                                    \
    {                                                                                              \
        PAIR sum = {NAME(type, round)(a.even + b.even), NAME(type, round)(a.odd + b.odd)};         \
        return sum;                                                                                \
    }                                                                                              \
    SHARED PAIR NAME(type, prod)(PAIR a, PAIR b)                                                   \
    {                                                                                              \
        PAIR prod = {NAME(type, round)(a.even * b.even), NAME(type, round)(a.odd * b.odd)};        \
        return prod;                                                                               \
    }                                                                                              \
    SHARED PAIR NAME(type, divide)(PAIR a, int64_t divisor)                                        \
    {                                                                                              \
        const float by = (float)divisor;                                                           \
        PAIR quotient = {NAME(type, round)(a.even / by), NAME(type, round)(a.odd / by)};           \
        return quotient;                                                                           \
    }

/* Unpacked by ``widen`` from the low and packed by ``narrow`` into the low 16 bits of a lane. */
#define PACKING(type)                                                                              \
    enum { NAME(type, unit_bytes) = VECTOR_BYTES };                                                \
    SHARED PAIR NAME(type, load)(const char *from)                                                 \
    {                                                                                              \
        BITS both;                                                                                 \
        memcpy(&both, from, sizeof both);                                                          \
        PAIR loaded = {NAME(type, widen)(both & 0xffff), NAME(type, widen)(both >> 16)};           \
        return loaded;                                                                             \
    }                                                                                              \
    SHARED void NAME(type, store)(char *into, PAIR value)                                          \
    {                                                                                              \
        const BITS both = NAME(type, narrow)(value.even) | NAME(type, narrow)(value.odd) << 16;    \
        memcpy(into, &both, sizeof both);                                                          \
    }                                                                                              \
    SHARED void NAME(type, stream)(char *into, PAIR value)                                         \
    {                                                                                              \
        const BITS both = NAME(type, narrow)(value.even) | NAME(type, narrow)(value.odd) << 16;    \
        NAME(past, cache)(into, (WHOLES)both);                                                     \
    }

/* np.minimum and np.maximum of short types: ``first`` says whether a lane of a is the result when
 * both are numbers, given both as whole numbers that are ordered as they are. */
#define ORDER(type, infinity, lesser, greater)                                                     \
    typedef NAME(half, lanes) NAME(type, ordered);                                                 \
    IN_AND_OUT(type, ordered, load_ordered, store_ordered, stream_ordered)                         \
    SHARED NAME(half, lanes) NAME(type, key)(NAME(half, lanes) a)                                  \
    {                                                                                              \
        const NAME(half, lanes) sign = a >> 15;                                                    \
        return ((a & 0x7fff) ^ sign) - sign;                                                       \
    }                                                                                              \
    CHOICE(type, min, NAME(half, lanes),                                                           \
           ((NAME(type, key)(a) lesser NAME(type, key)(b)) & ((b & 0x7fff) <= infinity)) |         \
               ((a & 0x7fff) > infinity))                                                          \
    CHOICE(type, max, NAME(half, lanes),                                                           \
           ((NAME(type, key)(a) greater NAME(type, key)(b)) & ((b & 0x7fff) <= infinity)) |        \
               ((a & 0x7fff) > infinity))

/* bfloat16 is the upper half of a float32. A NaN ends with its sign and nothing else. */
SHARED FLOATS NAME(bfloat16, widen)(BITS low)
{
    return (FLOATS)(low << 16);
}

SHARED BITS NAME(bfloat16, narrow)(FLOATS value)
{
    return (BITS)value >> 16;
}

/* Of a NaN, the lower half is empty, so that it stays one. */
SHARED FLOATS NAME(bfloat16, round)(FLOATS value)
{
    const BITS bits = (BITS)value;
    return (FLOATS)((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000);
}

SHARED FLOATS NAME(bfloat16, settled)(FLOATS value)
{
    const BITS bits = (BITS)value, nan = (bits & 0x80000000) | 0x7fc00000;
    return (FLOATS)PICK((BITS)(value != value), nan, bits);
}

SHARED PAIR NAME(bfloat16, settle)(PAIR a)
{
    PAIR settled = {NAME(bfloat16, settled)(a.even), NAME(bfloat16, settled)(a.odd)};
    return settled;
}

ARITHMETIC(bfloat16)
PACKING(bfloat16)
ORDER(bfloat16, 0x7f80, <, >)

SHARED PAIR NAME(float16, settle)(PAIR a)
{
    return a;
}

#if HALF_IN_HARDWARE
#if VECTOR_BYTES == 64
#define FROM_HALF(from) _mm512_cvtph_ps(from)
#define TO_HALF(value) _mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define STREAM_HALVES(into, from) _mm256_stream_si256((void *)(into), from)
#define HALVES __m256i
#define WIDE __m512
#elif VECTOR_BYTES == 32
#define FROM_HALF(from) _mm256_cvtph_ps(from)
#define TO_HALF(value) _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define STREAM_HALVES(into, from) _mm_stream_si128((void *)(into), from)
#define HALVES __m128i
#define WIDE __m256
#else
#define FROM_HALF(from) vcvt_f32_f16(from)
#define TO_HALF(value) vcvt_f16_f32(value)
#define STREAM_HALVES(into, from) memcpy(into, &(from), sizeof(from))
#define HALVES float16x4_t
#define WIDE float32x4_t
#endif
SHARED FLOATS NAME(float16, round)(FLOATS value)
{
    return (FLOATS)FROM_HALF(TO_HALF((WIDE)value));
}

ARITHMETIC(float16)
enum { NAME(float16, unit_bytes) = VECTOR_BYTES };

/* The first half of the lanes stands in for the even ones. */
SHARED PAIR NAME(float16, load)(const char *from)
{
    HALVES low, high;
    memcpy(&low, from, sizeof low);
    memcpy(&high, from + sizeof low, sizeof high);
    PAIR loaded = {(FLOATS)FROM_HALF(low), (FLOATS)FROM_HALF(high)};
    return loaded;
}

SHARED void NAME(float16, store)(char *into, PAIR value)
{
    const HALVES low = TO_HALF((WIDE)value.even), high = TO_HALF((WIDE)value.odd);
    memcpy(into, &low, sizeof low);
    memcpy(into + sizeof low, &high, sizeof high);
}

SHARED void NAME(float16, stream)(char *into, PAIR value)
{
    const HALVES low = TO_HALF((WIDE)value.even), high = TO_HALF((WIDE)value.odd);
    STREAM_HALVES(into, low);
    STREAM_HALVES(into + sizeof low, high);
}

#undef FROM_HALF
#undef TO_HALF
#undef STREAM_HALVES
#undef HALVES
#undef WIDE
#else
/* A float16 below 2**-14 is a multiple of 2**-24; others only differ in where their exponent is. */
SHARED FLOATS NAME(float16, widen)(BITS low)
{
    const BITS magnitude = low & 0x7fff;
    const FLOATS small = __builtin_convertvector((WHOLES)magnitude, FLOATS) * 0x1p-24f;
    const BITS large = (magnitude << 13) + (112u << 23);
    const BITS endless = large + (112u << 23);
    BITS bits = PICK((BITS)(magnitude < 0x0400), (BITS)small, large);
    bits = PICK((BITS)(magnitude >= 0x7c00), endless, bits);
    return (FLOATS)(bits | (low & 0x8000) << 16);
}

SHARED BITS NAME(float16, narrow)(FLOATS value)
{
    const BITS bits = (BITS)value, magnitude = bits & 0x7fffffff;
    const BITS small = (BITS)__builtin_convertvector((FLOATS)magnitude * 0x1p24f, WHOLES);
    const BITS large = (magnitude - (112u << 23)) >> 13;
    const BITS endless = (magnitude >> 13 & 0x3ff) | 0x7c00;
    BITS narrow = PICK((BITS)((WHOLES)magnitude < 0x38800000), small, large);
    narrow = PICK((BITS)((WHOLES)magnitude > 0x477fe000), endless, narrow);
    return narrow | (bits >> 16 & 0x8000);
}

/* Adding 1/2 leaves multiples of 2**-24, the spacing of numbers below 2**-14. */
SHARED FLOATS NAME(float16, round)(FLOATS value)
{
    const BITS bits = (BITS)value, magnitude = bits & 0x7fffffff;
    const BITS small = (BITS)(((FLOATS)magnitude + 0.5f) - 0.5f);
    const BITS large = (magnitude + 0xfff + (magnitude >> 13 & 1)) & 0xffffe000;
    BITS rounded = PICK((BITS)((WHOLES)magnitude < 0x38800000), small, large);
    const BITS infinity = rounded * 0 + 0x7f800000, nan = magnitude | 0x00400000;
    rounded = PICK((BITS)((WHOLES)rounded > 0x477fe000), infinity, rounded);
    rounded = PICK((BITS)((WHOLES)magnitude > 0x7f800000), nan & 0xffffe000, rounded);
    return (FLOATS)(rounded | (bits & 0x80000000));
}

ARITHMETIC(float16)
PACKING(float16)
#endif
ORDER(float16, 0x7c00, <=, >=)

#undef FLOATS
#undef BITS
#undef WHOLES
#undef PAIR
#undef PICK
#undef ARITHMETIC
#undef PACKING
#undef ORDER

#define TYPE float16
#include "fused_type.h"
#define TYPE bfloat16
#include "fused_type.h"

/* Their rows in the table of fused_set.h. */
#define SHORT_ROWS ROW(float16), ROW(bfloat16)
