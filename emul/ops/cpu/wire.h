/* Floats as they arrive, chunk by chunk, with the bits of emul/ops/wire.py: encoded and decoded in
 * one go, block by block, in place. Written once, and compiled for several instruction sets: no
 * result depends on which one it is, for no multiply is contracted with an add.
 */
#ifndef EMUL_WIRE_H
#define EMUL_WIRE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define EMUL_WIRE_AVX2 __attribute__((target("avx2")))
#endif

#define WIRE_INLINE static inline __attribute__((always_inline))

enum { WIRE_FLOAT32, WIRE_BFLOAT16, WIRE_FLOAT16, WIRE_INT8, WIRE_FP8, WIRE_FP4, WIRE_FORMATS };

static const char *const wire_names[WIRE_FORMATS] = {"float32", "bfloat16", "float16",
                                                     "int8",    "fp8",      "fp4"};

/* Elements at a time: a block, or of the formats without blocks as many as fit a cache line well. */
static const int64_t wire_blocks[WIRE_FORMATS] = {256, 256, 256, 256, 32, 32};

#define WIRE_MOST_BLOCK 256

#define WIRE_MAGNITUDE 0x7fffffffu
#define WIRE_SIGN 0x80000000u
#define WIRE_INFINITY 0x7f800000u
#define WIRE_NAN 0x7fc00000u

WIRE_INLINE uint32_t wire_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

WIRE_INLINE float wire_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The magnitude ``a``, below 2^(127 - 23 + digits), to ``digits`` bits after the point, or to a
 * multiple of the least subnormal number where ``least`` holds the exponent of normal ones. Adding
 * a number whose last bit is the last one that is kept rounds to it, ties to even. */
WIRE_INLINE float wire_rounded(float a, uint32_t least, uint32_t digits)
{
    const uint32_t own = wire_bits(a) & WIRE_INFINITY;
    const uint32_t power = own > least ? own : least;
    const float shift = wire_float((power + ((23u - digits) << 23)) | 0x00400000u);
    return (a + shift) - shift;
}

WIRE_INLINE float wire_signed(float magnitude, float like)
{
    return wire_float(wire_bits(magnitude) | (wire_bits(like) & WIRE_SIGN));
}

WIRE_INLINE uint32_t wire_largest(const float *values, int64_t count)
{
    int32_t largest = 0; /* magnitudes of floats are ordered as whole numbers, NaN last */
    for (int64_t i = 0; i < count; i++) {
        const int32_t magnitude = (int32_t)(wire_bits(values[i]) & WIRE_MAGNITUDE);
        largest = magnitude > largest ? magnitude : largest;
    }
    return (uint32_t)largest;
}

WIRE_INLINE void wire_fill(float *values, int64_t count, float with)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = with;
}

WIRE_INLINE void wire_bfloat16(float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const uint32_t bits = wire_bits(values[i]);
        const uint32_t even = bits + 0x7fffu + ((bits >> 16) & 1u);
        values[i] = wire_float((bits & WIRE_MAGNITUDE) > WIRE_INFINITY ? WIRE_NAN
                                                                       : even & 0xffff0000u);
    }
}

WIRE_INLINE void wire_float16(float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const float value = values[i], a = wire_float(wire_bits(value) & WIRE_MAGNITUDE);
        const float within = a < 65520.0f ? a : 0.0f; /* from there on it rounds to infinity */
        const float rounded = wire_rounded(within, (127u - 14u) << 23, 10u);
        const float finite = a < 65520.0f ? rounded : wire_float(WIRE_INFINITY);
        values[i] = a != a ? wire_float(WIRE_NAN) : wire_signed(finite, value);
    }
}

WIRE_INLINE void wire_int8(float *values, int64_t count)
{
    const uint32_t largest = wire_largest(values, count);
    if (largest >= WIRE_INFINITY) {
        wire_fill(values, count, wire_float(WIRE_NAN));
        return;
    }
    if (wire_float(largest) < 127.0f * 0x1p-126f) {
        wire_fill(values, count, 0.0f);
        return;
    }
    const float scale = wire_float(wire_bits(wire_float(largest) / 127.0f) & 0xffffff00u);
    for (int64_t i = 0; i < count; i++) {
        const float shift = 0x1.8p23f, quotient = values[i] / scale;
        values[i] = ((quotient + shift) - shift) * scale;
    }
}

/* ``power``: the exponent of the largest power of two of the element, ``most`` its largest number,
 * ``least`` the exponent of its normal numbers, ``digits`` its bits after the point. */
WIRE_INLINE void wire_microscaled(float *values, int64_t count, int32_t power, float most,
                                  uint32_t least, uint32_t digits)
{
    const uint32_t largest = wire_largest(values, count);
    if (largest >= WIRE_INFINITY) {
        wire_fill(values, count, wire_float(WIRE_NAN));
        return;
    }
    int32_t exponent = (int32_t)(largest >> 23) - 127 - power;
    exponent = exponent > -127 ? exponent : -127;
    const float down = wire_float((uint32_t)(127 - exponent) << 23);
    const float up =
        wire_float(exponent > -127 ? (uint32_t)(127 + exponent) << 23 : 0x00400000u);
    for (int64_t i = 0; i < count; i++) {
        const float value = values[i] * down, a = wire_float(wire_bits(value) & WIRE_MAGNITUDE);
        const float rounded = wire_rounded(a < most ? a : most, least, digits);
        values[i] = wire_signed(rounded, value) * up;
    }
}

WIRE_INLINE void wire_carry_with(float *values, int64_t count, int format)
{
    for (int64_t low = 0; low < count; low += wire_blocks[format]) {
        const int64_t left = count - low;
        const int64_t block = left < wire_blocks[format] ? left : wire_blocks[format];
        if (format == WIRE_BFLOAT16)
            wire_bfloat16(values + low, block);
        else if (format == WIRE_FLOAT16)
            wire_float16(values + low, block);
        else if (format == WIRE_INT8)
            wire_int8(values + low, block);
        else if (format == WIRE_FP8)
            wire_microscaled(values + low, block, 8, 448.0f, (127u - 6u) << 23, 3u);
        else if (format == WIRE_FP4)
            wire_microscaled(values + low, block, 2, 6.0f, 127u << 23, 1u);
    }
}

static void wire_carry_plain(float *values, int64_t count, int format)
{
    wire_carry_with(values, count, format);
}

#ifdef EMUL_WIRE_AVX2
EMUL_WIRE_AVX2 static void wire_carry_avx2(float *values, int64_t count, int format)
{
    wire_carry_with(values, count, format);
}
#endif

typedef void (*wire_carrier)(float *values, int64_t count, int format);

static bool wire_has_avx2(void)
{
#ifdef EMUL_WIRE_AVX2
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2");
#else
    return false;
#endif
}

/* What turns a chunk into what arrives; ``wide``: by AVX2, where this machine has it. */
static wire_carrier wire_carrier_of(bool wide)
{
#ifdef EMUL_WIRE_AVX2
    if (wide && wire_has_avx2())
        return wire_carry_avx2;
#endif
    (void)wide;
    return wire_carry_plain;
}

/* The elements of a row or of a place that lie in the columns [low, high): they begin at ``from``
 * in it, and are ``count``. */
static int64_t wire_within(int64_t begin, int64_t length, int64_t low, int64_t high, int64_t *from)
{
    *from = low > begin ? low - begin : 0;
    const int64_t end = begin + length < high ? begin + length : high;
    const int64_t count = end - begin - *from;
    return count > 0 ? count : 0;
}

static void wire_add(float *restrict target, const float *restrict source, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        target[i] += source[i];
}

#endif
