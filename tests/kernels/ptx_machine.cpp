/* Carries out PTX on the CPU, one thread after the other: what tests/ptx.py has decoded. Registers are
 * 64 bits each, of which an instruction reads as many as its type has; what PTX leaves open is as
 * NVIDIA's GPUs have it (a NaN of float32 is 7fffffff). Every load and store must lie where a GPU
 * could carry it out. An instruction is a row of OPERATIONS; others are unknown. Compiled behind
 * host_shim.hpp, which has the order of threads. */

#include <cmath>
#include <cstdint>
#include <cstring>

using namespace std;

typedef uint64_t Register;

/* The first registers, which every thread has. */
enum { TID, NTID, CTAID, NCTAID, PARAMETERS, LOCAL };

struct Instruction {
    int step;          /* a row of OPERATIONS, or one of these: */
    int guard, unless; /* a predicate, or -1; whether it must be false */
    int into[4], from[4];
    int count;  /* pieces of a vector */
    int target; /* of a jump */
    int64_t offset;
};

enum { JUMP = -1, RETURN = -2, UNKNOWN = -3 };

static thread_local int64_t (*host_clock)(void);

/* ---- numbers ----------------------------------------------------------------------------- */

template <class T> static T value(Register bits)
{
    T number;
    memcpy(&number, &bits, sizeof number); /* the lowest bytes */
    return number;
}

template <class T> static Register bits(T number) { return (Register)(int64_t)number; }

template <> Register bits(uint64_t number) { return number; }

template <> Register bits(float number)
{
    uint32_t whole;
    memcpy(&whole, &number, sizeof whole);
    return isnan(number) ? 0x7fffffffu : whole;
}

template <> Register bits(double number)
{
    uint64_t whole;
    memcpy(&whole, &number, sizeof whole);
    return isnan(number) ? 0x7fffffffffffffffu : whole;
}

/* As .ftz has it: zero, with its sign, for a subnormal number. */
static float flushed(float number)
{
    return fabsf(number) < 0x1p-126f ? copysignf(0.0f, number) : number;
}

template <class T> static T quotient(T a, T b)
{
    return b == 0 ? (T)-1 : (T)(b + 1) == 0 && (T)-1 < 0 ? (T)(0 - a) : (T)(a / b);
}

template <class T> static T remainder_of(T a, T b)
{
    return b == 0 ? a : (T)(a - (T)(quotient(a, b) * b));
}

template <class T> static T shifted_left(T a, uint32_t by)
{
    return by < 8 * sizeof(T) ? (T)(a << by) : (T)0;
}

template <class T> static T shifted_right(T a, uint32_t by)
{
    const uint32_t most = 8 * sizeof(T) - 1;
    return by <= most ? (T)(a >> by) : (T)-1 < 0 ? (T)(a >> most) : (T)0;
}

/* ---- float16 and bfloat16 ---------------------------------------------------------------- */

struct Short {
    int digits;  /* of the significand, with the one that is not kept */
    int least;   /* exponent of the lowest digit of a subnormal number */
    int highest; /* what is not below 2 to this is infinite */
};

static const Short HALF = {11, -24, 16}, BRAIN = {8, -133, 128};

/* ``number`` rounded once to nearest, ties to even, as bits. */
static uint16_t narrowed(const Short &type, double number)
{
    if (isnan(number))
        return 0x7fff;
    const uint16_t sign = signbit(number) ? 0x8000 : 0;
    const uint16_t infinite = (uint16_t)((0x7fff >> (type.digits - 1)) << (type.digits - 1));
    int exponent;
    if (isinf(number))
        return sign | infinite;
    if (number == 0)
        return sign;
    frexp(number, &exponent);
    int lowest = exponent - type.digits;
    lowest = lowest > type.least ? lowest : type.least;
    const double digits = nearbyint(ldexp(fabs(number), -lowest));
    if (ldexp(digits, lowest) >= ldexp(1.0, type.highest))
        return sign | infinite;
    /* One up in the lowest digit is one up as a whole number, also into the next exponent. */
    return (uint16_t)(sign | (((lowest - type.least) << (type.digits - 1)) + (int)digits));
}

static double widened(const Short &type, uint16_t whole)
{
    const int magnitude = whole & 0x7fff, kept = type.digits - 1;
    const int exponent = magnitude >> kept, rest = magnitude & ((1 << kept) - 1);
    double number = ldexp(exponent ? rest + (1 << kept) : rest,
                          type.least + (exponent ? exponent - 1 : 0));
    if (exponent == 0x7fff >> kept)
        number = rest ? NAN : INFINITY;
    return whole & 0x8000 ? -number : number;
}

/* a * b + c in double, of which the last digit is odd where something is left, so that rounding it
 * once more is rounding once. The product of two short numbers is exact. */
static double to_odd(double a, double b, double c)
{
    const double product = a * b, sum = product + c;
    const double back = sum - product, left = (product - (sum - back)) + (c - back);
    uint64_t whole;
    memcpy(&whole, &sum, sizeof whole);
    if (!isfinite(sum) || left == 0 || whole % 2)
        return sum;
    return nextafter(sum, left > 0 ? INFINITY : -INFINITY);
}

enum Pairwise { ADD, MULTIPLY, FUSED };

template <Pairwise OPERATION> static uint32_t in_pairs(const Short &type, Register a, Register b,
                                                       Register c)
{
    uint32_t both = 0;
    for (int shift = 0; shift < 32; shift += 16) {
        const double x = widened(type, (uint16_t)(a >> shift));
        const double y = widened(type, (uint16_t)(b >> shift));
        const double z = widened(type, (uint16_t)(c >> shift));
        const double exact = OPERATION == ADD ? x + y : OPERATION == MULTIPLY ? x * y : to_odd(x, y, z);
        both |= (uint32_t)narrowed(type, exact) << shift;
    }
    return both;
}

/* Of the eight bytes of a and b, the four that ``which`` names; with its highest bit, their signs. */
static uint32_t permuted(uint32_t a, uint32_t b, uint32_t which)
{
    const uint64_t bytes = (uint64_t)b << 32 | a;
    uint32_t chosen = 0;
    for (int i = 0; i < 4; i++) {
        const uint32_t name = which >> 4 * i & 15;
        uint32_t byte = (uint32_t)(bytes >> 8 * (name & 7) & 255);
        if (name & 8)
            byte = byte & 128 ? 255 : 0;
        chosen |= byte << 8 * i;
    }
    return chosen;
}

/* ---- instructions ------------------------------------------------------------------------ */

/* False where a GPU would have refused. */
typedef bool Step(Register *, const Instruction &);

static uint64_t address_of(const Register *r, const Instruction &i)
{
    return r[i.from[0]] + (uint64_t)i.offset;
}

template <class T> static bool load(Register *r, const Instruction &i)
{
    const uint64_t address = address_of(r, i);
    if (address % (i.count * sizeof(T)))
        return false;
    for (int k = 0; k < i.count; k++) {
        T number;
        memcpy(&number, (const char *)address + k * sizeof(T), sizeof(T));
        r[i.into[k]] = bits<T>(number);
    }
    return true;
}

template <class T> static bool store(Register *r, const Instruction &i)
{
    const uint64_t address = address_of(r, i);
    if (address % (i.count * sizeof(T)))
        return false;
    for (int k = 0; k < i.count; k++)
        memcpy((char *)address + k * sizeof(T), &r[i.into[k]], sizeof(T));
    return true;
}

template <class T> static bool pack(Register *r, const Instruction &i)
{
    Register whole = 0;
    for (int k = 0; k < i.count; k++)
        whole |= (Register)value<T>(r[i.from[k]]) << 8 * sizeof(T) * k;
    r[i.into[0]] = whole;
    return true;
}

template <class T> static bool unpack(Register *r, const Instruction &i)
{
    const Register whole = r[i.from[0]];
    for (int k = 0; k < i.count; k++)
        r[i.into[k]] = value<T>(whole >> 8 * sizeof(T) * k);
    return true;
}

static bool move(Register *r, const Instruction &i)
{
    r[i.into[0]] = r[i.from[0]];
    return true;
}

static bool choose(Register *r, const Instruction &i)
{
    r[i.into[0]] = r[i.from[2]] & 1 ? r[i.from[0]] : r[i.from[1]];
    return true;
}

static bool read_clock(Register *r, const Instruction &i)
{
    r[i.into[0]] = (Register)host_clock();
    return true;
}

static bool nothing(Register *, const Instruction &) { return true; }

template <class To, class From> static bool convert(Register *r, const Instruction &i)
{
    r[i.into[0]] = bits<To>((To)value<From>(r[i.from[0]]));
    return true;
}

/* ``result`` from the operands a, b and c. */
#define RUN(name, T, result)                                                                       \
    {name, [](Register *r, const Instruction &i) {                                                 \
         const T a = value<T>(r[i.from[0]]), b = value<T>(r[i.from[1]]);                           \
         const T c = value<T>(r[i.from[2]]);                                                       \
         (void)a, (void)b, (void)c;                                                                \
         r[i.into[0]] = bits(result);                                                              \
         return true;                                                                              \
     }}

#define WHOLE(suffix, T)                                                                           \
    RUN("add." suffix, T, (T)(a + b)), RUN("sub." suffix, T, (T)(a - b)),                          \
        RUN("mul.lo." suffix, T, (T)(a * b)), RUN("mad.lo." suffix, T, (T)(a * b + c)),            \
        RUN("div." suffix, T, quotient(a, b)), RUN("rem." suffix, T, remainder_of(a, b)),          \
        RUN("min." suffix, T, a < b ? a : b), RUN("max." suffix, T, a > b ? a : b),                \
        RUN("neg." suffix, T, (T)(0 - a)), RUN("shr." suffix, T, shifted_right(a, (uint32_t)r[i.from[1]])),   \
        RUN("setp.lt." suffix, T, a < b), RUN("setp.le." suffix, T, a <= b),                       \
        RUN("setp.gt." suffix, T, a > b), RUN("setp.ge." suffix, T, a >= b),                       \
        RUN("setp.eq." suffix, T, a == b), RUN("setp.ne." suffix, T, a != b)

#define WIDE(suffix, T, Double)                                                                    \
    RUN("mul.wide." suffix, T, (Double)a * (Double)b),                                             \
        {"mad.wide." suffix, [](Register *r, const Instruction &i) {                               \
             r[i.into[0]] = bits((Double)((Double)value<T>(r[i.from[0]]) *                         \
                                              (Double)value<T>(r[i.from[1]]) +                     \
                                          value<Double>(r[i.from[2]])));                           \
             return true;                                                                          \
         }}

#define BITWISE(suffix, T)                                                                         \
    RUN("and." suffix, T, (T)(a & b)), RUN("or." suffix, T, (T)(a | b)),                           \
        RUN("xor." suffix, T, (T)(a ^ b))

#define BITS(suffix, T)                                                                            \
    BITWISE(suffix, T), RUN("not." suffix, T, (T)~a),                                              \
        RUN("shl." suffix, T, shifted_left(a, (uint32_t)r[i.from[1]])),                                       \
        RUN("setp.eq." suffix, T, a == b), RUN("setp.ne." suffix, T, a != b)

/* The comparisons that hold also where one is a NaN are those that fail the other way round. */
#define FLOAT(mode, suffix, T, IN, OUT)                                                            \
    RUN("add.rn" mode suffix, T, OUT(IN(a) + IN(b))), RUN("sub.rn" mode suffix, T, OUT(IN(a) - IN(b))), \
        RUN("mul.rn" mode suffix, T, OUT(IN(a) * IN(b))),                                          \
        RUN("div.rn" mode suffix, T, OUT(IN(a) / IN(b))),                                          \
        RUN("fma.rn" mode suffix, T, OUT((T)fma(IN(a), IN(b), IN(c)))),                            \
        RUN("setp.lt" mode suffix, T, IN(a) < IN(b)), RUN("setp.le" mode suffix, T, IN(a) <= IN(b)), \
        RUN("setp.gt" mode suffix, T, IN(a) > IN(b)), RUN("setp.ge" mode suffix, T, IN(a) >= IN(b)), \
        RUN("setp.eq" mode suffix, T, IN(a) == IN(b)),                                             \
        RUN("setp.ne" mode suffix, T, IN(a) < IN(b) || IN(a) > IN(b)),                             \
        RUN("setp.ltu" mode suffix, T, !(IN(a) >= IN(b))),                                         \
        RUN("setp.leu" mode suffix, T, !(IN(a) > IN(b))),                                          \
        RUN("setp.gtu" mode suffix, T, !(IN(a) <= IN(b))),                                         \
        RUN("setp.geu" mode suffix, T, !(IN(a) < IN(b))),                                          \
        RUN("setp.equ" mode suffix, T, !(IN(a) < IN(b) || IN(a) > IN(b))),                         \
        RUN("setp.neu" mode suffix, T, !(IN(a) == IN(b))),                                         \
        RUN("setp.nan" mode suffix, T, isnan(a) || isnan(b)),                                      \
        RUN("setp.num" mode suffix, T, !isnan(a) && !isnan(b))

#define ANY(suffix, T)                                                                             \
    {"mov." suffix, move}, {"selp." suffix, choose}, {"ld." suffix, load<T>},                      \
        {"st." suffix, store<T>}

#define TO_WHOLE(suffix, To)                                                                       \
    {"cvt." suffix ".u8", convert<To, uint8_t>}, {"cvt." suffix ".s8", convert<To, int8_t>},       \
        {"cvt." suffix ".u16", convert<To, uint16_t>}, {"cvt." suffix ".s16", convert<To, int16_t>}, \
        {"cvt." suffix ".u32", convert<To, uint32_t>}, {"cvt." suffix ".s32", convert<To, int32_t>}, \
        {"cvt." suffix ".u64", convert<To, uint64_t>}, {"cvt." suffix ".s64", convert<To, int64_t>}

#define TO_FLOAT(suffix, To)                                                                       \
    {"cvt.rn." suffix ".u16", convert<To, uint16_t>}, {"cvt.rn." suffix ".s16", convert<To, int16_t>}, \
        {"cvt.rn." suffix ".u32", convert<To, uint32_t>},                                          \
        {"cvt.rn." suffix ".s32", convert<To, int32_t>},                                           \
        {"cvt.rn." suffix ".u64", convert<To, uint64_t>},                                          \
        {"cvt.rn." suffix ".s64", convert<To, int64_t>}

static const struct {
    const char *name;
    Step *step;
} OPERATIONS[] = {
    WHOLE("u16", uint16_t), WHOLE("s16", int16_t), WHOLE("u32", uint32_t), WHOLE("s32", int32_t),
    WHOLE("u64", uint64_t), WHOLE("s64", int64_t),
    WIDE("u16", uint16_t, uint32_t), WIDE("s16", int16_t, int32_t),
    WIDE("u32", uint32_t, uint64_t), WIDE("s32", int32_t, int64_t),
    BITS("b16", uint16_t), BITS("b32", uint32_t), BITS("b64", uint64_t), BITWISE("pred", bool),
    RUN("not.pred", bool, !a),
    RUN("prmt.b32", uint32_t, permuted(a, b, c)),
    FLOAT("", ".f32", float, , ), FLOAT(".ftz", ".f32", float, flushed, flushed),
    FLOAT("", ".f64", double, , ),
    RUN("add.rn.f16x2", uint32_t, in_pairs<ADD>(HALF, a, b, 0)),
    RUN("mul.rn.f16x2", uint32_t, in_pairs<MULTIPLY>(HALF, a, b, 0)),
    RUN("fma.rn.bf16x2", uint32_t, in_pairs<FUSED>(BRAIN, a, b, c)),
    RUN("cvt.rn.f16.f32", float, narrowed(HALF, a)), RUN("cvt.rn.bf16.f32", float, narrowed(BRAIN, a)),
    RUN("cvt.f32.f16", uint16_t, (float)widened(HALF, a)),
    TO_WHOLE("u8", uint8_t), TO_WHOLE("s8", int8_t), TO_WHOLE("u16", uint16_t), TO_WHOLE("s16", int16_t),
    TO_WHOLE("u32", uint32_t), TO_WHOLE("s32", int32_t), TO_WHOLE("u64", uint64_t),
    TO_WHOLE("s64", int64_t), TO_FLOAT("f32", float), TO_FLOAT("f64", double),
    ANY("b8", uint8_t), ANY("u8", uint8_t), ANY("s8", int8_t), ANY("b16", uint16_t),
    ANY("u16", uint16_t), ANY("s16", int16_t), ANY("b32", uint32_t), ANY("u32", uint32_t),
    ANY("s32", int32_t), ANY("f32", uint32_t), ANY("b64", uint64_t), ANY("u64", uint64_t),
    ANY("s64", int64_t), ANY("f64", uint64_t), {"mov.pred", move},
    {"pack.b16", pack<uint16_t>}, {"unpack.b16", unpack<uint16_t>}, /* of 16 bits each */
    {"pack.b32", pack<uint32_t>}, {"unpack.b32", unpack<uint32_t>},
    {"cvta.to.global.u64", move}, {"cvta.to.local.u64", move}, {"cvta.local.u64", move},
    {"mov.globaltimer", read_clock}, {"nanosleep.u32", nothing},
};

/* ---- running ----------------------------------------------------------------------------- */

enum { MOST_REGISTERS = 1 << 16, MOST_BYTES = 1 << 12 };

struct Program {
    const Instruction *code;
    const int64_t *values; /* registers that are never written, and what is in them */
    int n_values;
    int registers;
    int local_bytes;
    int n_parameters;
    const int *parameters; /* where each lies, and how many bytes it has */
};

/* The instruction that was refused, or -1. */
static int run_thread(const Program &program, Register *r)
{
    for (int at = 0;;) {
        const Instruction &i = program.code[at];
        const int here = at++;
        if (i.guard >= 0 && (r[i.guard] & 1) == (Register)i.unless)
            continue;
        if (i.step == RETURN)
            return -1;
        if (i.step == JUMP)
            at = i.target;
        else if (!OPERATIONS[i.step].step(r, i))
            return here;
    }
}

extern "C" int ptx_operation(const char *name)
{
    for (unsigned k = 0; k < sizeof OPERATIONS / sizeof *OPERATIONS; k++)
        if (!strcmp(OPERATIONS[k].name, name))
            return (int)k;
    return UNKNOWN;
}

/* All threads of a grid; the instruction that was refused, or -1. */
extern "C" int ptx_launch(const Program *program, int order, unsigned grid, unsigned block,
                          void **arguments, int64_t (*clock)(void), uint64_t *refused)
{
    alignas(16) char parameters[MOST_BYTES];
    alignas(16) char local[MOST_BYTES];
    static thread_local Register r[MOST_REGISTERS];
    host_clock = clock;
    memset(r, 0xA5, program->registers * sizeof *r); /* nothing may depend on these */
    for (int k = 0; k < program->n_values; k++)
        r[program->values[2 * k]] = (Register)program->values[2 * k + 1];
    for (int k = 0; k < program->n_parameters; k++)
        memcpy(parameters + program->parameters[2 * k], arguments[k], program->parameters[2 * k + 1]);
    for (unsigned b = 0; b < grid; b++)
        for (unsigned t = 0; t < block; t++) {
            memset(local, 0xA5, program->local_bytes);
            r[TID] = emul_nth(order, t, block), r[NTID] = block;
            r[CTAID] = emul_nth(order, b, grid), r[NCTAID] = grid;
            r[PARAMETERS] = (Register)(uintptr_t)parameters, r[LOCAL] = (Register)(uintptr_t)local;
            const int at = run_thread(*program, r);
            if (at >= 0) {
                *refused = address_of(r, program->code[at]);
                return at;
            }
        }
    return -1;
}
