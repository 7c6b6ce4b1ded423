/* The elements that kernels work on, alone and sixteen bytes at a time. Every kernel is compiled
 * with this before it, for the one element type and the one reduction that are defined:
 *
 * EMUL_TYPE: EMUL_FLOAT64 ... EMUL_UINT8, EMUL_OP: EMUL_SUM ... EMUL_AVG
 *
 * equals: numpy.add, multiply, minimum, maximum and NumpyOps.finish, to the bit. float16 and
 * bfloat16 are combined in float32 and rounded to nearest, ties to even, after every combination;
 * whole numbers wrap; a NaN stays (which one of two is left open, as NumPy leaves it). Where the
 * processor has an instruction that rounds the exact result once, and float32 comes to the same,
 * that is used on a device; elsewhere the same is done with whole numbers.
 */

typedef unsigned long long emul_address;

/* Sixteen bytes: the most that one instruction loads. */
struct alignas(16) emul_vector {
    unsigned word[4];
};

union emul_bits {
    float number;
    unsigned whole;
};

static __device__ inline unsigned emul_bits_of(float number)
{
    emul_bits both;
    both.number = number;
    return both.whole;
}

static __device__ inline float emul_number_of(unsigned whole)
{
    emul_bits both;
    both.whole = whole;
    return both.number;
}

/* ---- float16 and bfloat16, widened and rounded ------------------------------------------- */

static __device__ inline float emul_widen_bfloat16(unsigned half)
{
    return emul_number_of(half << 16);
}

#ifdef __CUDA_ARCH__

static __device__ inline float emul_widen_float16(unsigned half)
{
    float wide;
    asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"((unsigned short)half));
    return wide;
}

static __device__ inline unsigned emul_round_float16(float wide)
{
    unsigned short half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(wide));
    return half;
}

#else

/* Below 2**-14 a float16 is a multiple of 2**-24. */
static inline float emul_widen_float16(unsigned half)
{
    const unsigned sign = (half & 0x8000u) << 16, magnitude = half & 0x7fffu;
    if (magnitude >= 0x7c00u)
        return emul_number_of(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
    if (magnitude < 0x0400u)
        return emul_number_of(sign | emul_bits_of((float)magnitude * (1.0f / 16777216.0f)));
    return emul_number_of(sign | ((magnitude << 13) + (112u << 23)));
}

/* Adding 1/2 to a number below 2**-14 leaves a multiple of 2**-24 in the lowest bits. */
static inline unsigned emul_round_float16(float wide)
{
    const unsigned bits = emul_bits_of(wide), sign = bits >> 16 & 0x8000u;
    const unsigned magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return sign | 0x7e00u | (magnitude >> 13 & 0x3ffu);
    if (magnitude >= 0x477ff000u)
        return sign | 0x7c00u;
    if (magnitude < 0x38800000u)
        return sign | (emul_bits_of(emul_number_of(magnitude) + 0.5f) - 0x3f000000u);
    return sign | ((magnitude + 0xfffu + (magnitude >> 13 & 1u) - (112u << 23)) >> 13);
}

#endif

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800

static __device__ inline unsigned emul_round_bfloat16(float wide)
{
    unsigned short half;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(half) : "f"(wide));
    return half;
}

#else

static __device__ inline unsigned emul_round_bfloat16(float wide)
{
    const unsigned bits = emul_bits_of(wide);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (bits >> 16 & 0x8000u) | 0x7fc0u;
    return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

#endif

/* ---- arithmetic -------------------------------------------------------------------------- */

#ifdef __CUDA_ARCH__

/* Said in PTX, so that no option of a compiler changes it: CuPy appends -ftz=true to the options that
 * it is given, and the last one counts; then float32 loses its subnormal numbers. */
#define EMUL_IN_PTX(name, instruction)                                                             \
    static __device__ inline float name(float a, float b)                                          \
    {                                                                                              \
        float result;                                                                              \
        asm(instruction " %0, %1, %2;" : "=f"(result) : "f"(a), "f"(b));                           \
        return result;                                                                             \
    }
#define EMUL_TOLD_IN_PTX(name, instruction)                                                        \
    static __device__ inline bool name(float a, float b)                                           \
    {                                                                                              \
        unsigned result;                                                                           \
        asm("{.reg .pred is; " instruction " is, %1, %2; selp.u32 %0, 1, 0, is;}"                  \
            : "=r"(result)                                                                         \
            : "f"(a), "f"(b));                                                                     \
        return result;                                                                             \
    }

EMUL_IN_PTX(emul_sum, "add.rn.f32")
EMUL_IN_PTX(emul_product, "mul.rn.f32")
EMUL_IN_PTX(emul_quotient, "div.rn.f32")
EMUL_TOLD_IN_PTX(emul_less, "setp.lt.f32")
EMUL_TOLD_IN_PTX(emul_at_most, "setp.le.f32")
EMUL_TOLD_IN_PTX(emul_unordered, "setp.nan.f32")

#endif

template <class T> static __device__ inline T emul_sum(T a, T b) { return a + b; }
template <class T> static __device__ inline T emul_product(T a, T b) { return a * b; }
template <class T> static __device__ inline T emul_quotient(T a, T b) { return a / b; }
template <class T> static __device__ inline bool emul_less(T a, T b) { return a < b; }
template <class T> static __device__ inline bool emul_at_most(T a, T b) { return a <= b; }
template <class T> static __device__ inline bool emul_unordered(T a, T b)
{
    return a != a || b != b;
}

/* ---- the element type: how it is kept, and the type of its reduction --------------------- */

#if EMUL_TYPE == EMUL_FLOAT64
typedef double emul_element;
typedef double emul_wide;
typedef double emul_divisor;
#elif EMUL_TYPE == EMUL_FLOAT32
typedef float emul_element;
typedef float emul_wide;
typedef float emul_divisor;
#elif EMUL_TYPE == EMUL_FLOAT16 || EMUL_TYPE == EMUL_BFLOAT16
typedef unsigned short emul_element;
typedef float emul_wide;
typedef float emul_divisor;
#elif EMUL_TYPE == EMUL_INT8
typedef signed char emul_element;
typedef unsigned emul_wide;
typedef int emul_divisor;
#elif EMUL_TYPE == EMUL_UINT8
typedef unsigned char emul_element;
typedef unsigned emul_wide;
typedef int emul_divisor;
#elif EMUL_TYPE == EMUL_INT32
typedef int emul_element;
typedef unsigned emul_wide;
typedef int emul_divisor;
#elif EMUL_TYPE == EMUL_INT64
typedef long long emul_element;
typedef unsigned long long emul_wide;
typedef long long emul_divisor;
#else
#error "EMUL_TYPE is none of the element types"
#endif

enum { EMUL_PER_VECTOR = 16 / sizeof(emul_element) };

static __device__ inline emul_wide emul_widen(emul_element element)
{
#if EMUL_TYPE == EMUL_FLOAT16
    return emul_widen_float16(element);
#elif EMUL_TYPE == EMUL_BFLOAT16
    return emul_widen_bfloat16(element);
#else
    return (emul_wide)element;
#endif
}

static __device__ inline emul_element emul_narrow(emul_wide wide)
{
#if EMUL_TYPE == EMUL_FLOAT16
    return (emul_element)emul_round_float16(wide);
#elif EMUL_TYPE == EMUL_BFLOAT16
    return (emul_element)emul_round_bfloat16(wide);
#else
    return (emul_element)wide;
#endif
}

/* The values that decide a minimum; those of float16 and bfloat16 are widened. */
#if EMUL_TYPE == EMUL_FLOAT16 || EMUL_TYPE == EMUL_BFLOAT16
#define EMUL_VALUE(element) emul_widen(element)
#else
#define EMUL_VALUE(element) (element)
#endif
#define EMUL_IS_NAN(value) emul_unordered(value, value)

/* Of zeros of unlike sign, NumPy keeps the first of float16 and the second of other types. */
#if EMUL_TYPE == EMUL_FLOAT16
#define EMUL_BEFORE(a, b) emul_at_most(a, b)
#else
#define EMUL_BEFORE(a, b) emul_less(a, b)
#endif

/* ---- combining one element --------------------------------------------------------------- */

static __device__ inline emul_element emul_combine(emul_element stood, emul_element sent)
{
#if EMUL_OP == EMUL_SUM || EMUL_OP == EMUL_AVG
    return emul_narrow(emul_sum(emul_widen(stood), emul_widen(sent)));
#elif EMUL_OP == EMUL_PROD
    return emul_narrow(emul_product(emul_widen(stood), emul_widen(sent)));
#elif EMUL_OP == EMUL_MIN
    return EMUL_BEFORE(EMUL_VALUE(stood), EMUL_VALUE(sent)) || EMUL_IS_NAN(EMUL_VALUE(stood))
               ? stood
               : sent;
#elif EMUL_OP == EMUL_MAX
    return EMUL_BEFORE(EMUL_VALUE(sent), EMUL_VALUE(stood)) || EMUL_IS_NAN(EMUL_VALUE(stood))
               ? stood
               : sent;
#else
#error "EMUL_OP is none of the reductions"
#endif
}

/* The end of avg: floats are rounded once more, whole numbers are cut towards zero. */
static __device__ inline emul_element emul_finish(emul_element total, long long ranks)
{
#if EMUL_OP != EMUL_AVG
    (void)ranks;
    return total;
#elif EMUL_TYPE == EMUL_FLOAT16 || EMUL_TYPE == EMUL_BFLOAT16
    return emul_narrow(emul_quotient(emul_widen(total), (emul_divisor)ranks));
#else
    return (emul_element)emul_quotient((emul_divisor)total, (emul_divisor)ranks);
#endif
}

/* ---- combining sixteen bytes ------------------------------------------------------------- */

union emul_parts {
    emul_vector vector;
    emul_element element[EMUL_PER_VECTOR];
};

#if defined(__CUDA_ARCH__) && (EMUL_OP == EMUL_SUM || EMUL_OP == EMUL_AVG || EMUL_OP == EMUL_PROD)
#define EMUL_IN_PAIRS \
    (EMUL_TYPE == EMUL_FLOAT16 || (EMUL_TYPE == EMUL_BFLOAT16 && __CUDA_ARCH__ >= 800))
#else
#define EMUL_IN_PAIRS 0
#endif

#if EMUL_IN_PAIRS
/* Two of a word, rounded once. Rounding to float32 first changes no bit: float16 has less than half
 * its digits, and so has bfloat16, of which a product too small for all of them is still exact. */
static __device__ inline unsigned emul_combine_pair(unsigned stood, unsigned sent)
{
    unsigned both;
#if EMUL_TYPE == EMUL_FLOAT16 && EMUL_OP == EMUL_PROD
    asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(both) : "r"(stood), "r"(sent));
#elif EMUL_TYPE == EMUL_FLOAT16
    asm("add.rn.f16x2 %0, %1, %2;" : "=r"(both) : "r"(stood), "r"(sent));
#elif EMUL_OP == EMUL_PROD /* plus -0, which leaves every zero its sign */
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(both) : "r"(stood), "r"(sent), "r"(0x80008000u));
#else /* times 1 */
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(both) : "r"(stood), "r"(0x3f803f80u), "r"(sent));
#endif
    return both;
}
#endif

static __device__ inline emul_vector emul_combine(emul_vector stood, emul_vector sent)
{
#if EMUL_IN_PAIRS
    for (int i = 0; i < 4; i++)
        stood.word[i] = emul_combine_pair(stood.word[i], sent.word[i]);
    return stood;
#elif (EMUL_TYPE == EMUL_INT8 || EMUL_TYPE == EMUL_UINT8) && \
    (EMUL_OP == EMUL_SUM || EMUL_OP == EMUL_AVG)
    /* Four of a word: the highest bit of each is added without carrying into the next. */
    for (int i = 0; i < 4; i++)
        stood.word[i] = ((stood.word[i] & 0x7f7f7f7fu) + (sent.word[i] & 0x7f7f7f7fu)) ^
                        ((stood.word[i] ^ sent.word[i]) & 0x80808080u);
    return stood;
#else
    emul_parts a, b;
    a.vector = stood;
    b.vector = sent;
#pragma unroll
    for (int i = 0; i < EMUL_PER_VECTOR; i++)
        a.element[i] = emul_combine(a.element[i], b.element[i]);
    return a.vector;
#endif
}

static __device__ inline emul_vector emul_finish(emul_vector total, long long ranks)
{
#if EMUL_OP == EMUL_AVG
    emul_parts a;
    a.vector = total;
#pragma unroll
    for (int i = 0; i < EMUL_PER_VECTOR; i++)
        a.element[i] = emul_finish(a.element[i], ranks);
    return a.vector;
#else
    (void)ranks;
    return total;
#endif
}

/* ---- memory ------------------------------------------------------------------------------ */

static __device__ inline emul_element emul_load(const emul_element *from)
{
    return *from;
}

static __device__ inline void emul_store(emul_element *into, emul_element value)
{
    *into = value;
}

/* Volatile, so that all loads that are written before a store, or before the first use of what was
 * loaded, stay before it: that is how many of them are under way at once. No launch looks at an
 * element twice, so the nearest cache is left to the tables. */
static __device__ inline emul_vector emul_load(const emul_vector *from)
{
#ifdef __CUDA_ARCH__
    emul_vector value;
    asm volatile("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(value.word[0]), "=r"(value.word[1]), "=r"(value.word[2]),
                   "=r"(value.word[3])
                 : "l"(from)
                 : "memory");
    return value;
#else
    return *from;
#endif
}

static __device__ inline void emul_store(emul_vector *into, emul_vector value)
{
#ifdef __CUDA_ARCH__
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};"
                 :
                 : "l"(into), "r"(value.word[0]), "r"(value.word[1]), "r"(value.word[2]),
                   "r"(value.word[3])
                 : "memory");
#else
    *into = value;
#endif
}
