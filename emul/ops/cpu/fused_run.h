/* A recipe carried out on rows: which pointers a tape gets, which kernel, how many threads. */
#include <pthread.h>

/* Runs of elements, one after the other: run i has the instructions, leaves and targets from
 * ``tape_from[i]``, ``leaf_from[i]`` and ``target_from[i]`` up to those of run i + 1, and covers
 * the elements from ``starts[i]`` up to ``starts[i + 1]``, counted over all runs. Leaf and target
 * are each an element of the row of a rank, where the run begins. A run that ``copies`` reduces
 * nothing; leaf j goes to target j. */
typedef struct {
    int64_t runs, most_spilled, most_leaves, most_targets;
    const emul_instruction *tape;
    const int64_t *tape_from, *leaf_from, *target_from, *starts;
    const int32_t *leaf_rank, *target_rank;
    const int64_t *leaf_low, *target_low;
    const uint8_t *copies;
} fused_recipe;

/* Rows of the caller, ``stride`` bytes apart; ``moves`` carries out copies in place.
 * ``large``: together they do not fit into the caches. */
typedef struct {
    const fused_recipe *recipe;
    const char *input;
    char *output;
    int64_t input_stride, output_stride, itemsize, divisor;
    bool in_place, large, fetches;
    fused_kernel kernel, moves;
} fused_call;

/* Copies go from one target to the next in pieces that stay in the nearest cache; past the caches,
 * in pieces that stay in the second one. Written past the caches, which else read each line first,
 * 128 MiB went to 8 ranks 1.4 times as fast, and between them 1.8 times (AMD's Zen 4); in pieces of
 * 16 KiB 1.4 and 1.3 times. Fetching ahead gains nothing here. */
#define FUSED_COPY_BYTES (16 << 10)
#define FUSED_COPY_PAST_BYTES (256 << 10)

static void fused_copy_past_caches(char *to, const char *from, int64_t nbytes)
{
    int64_t at = 0;
#if EMUL_FUSED_X86
    at = (int64_t)(-(uintptr_t)to & (FUSED_LINE - 1));
    at = at < nbytes ? at : nbytes;
    memcpy(to, from, (size_t)at);
    for (; at + FUSED_LINE <= nbytes; at += FUSED_LINE)
        for (int64_t i = at; i < at + FUSED_LINE; i += (int64_t)sizeof(__m128i))
            _mm_stream_si128((__m128i *)(to + i), _mm_loadu_si128((const __m128i *)(from + i)));
#endif
    memcpy(to + at, from + at, (size_t)(nbytes - at));
}

static void fused_copy(const fused_pass *pass, int64_t low, int64_t high, bool past_caches)
{
    const int64_t most = past_caches ? FUSED_COPY_PAST_BYTES : FUSED_COPY_BYTES;
    for (int64_t at = low; at < high; at += most) {
        const int64_t nbytes = high - at < most ? high - at : most;
        for (int64_t i = 0; i < pass->targets; i++) {
            if (pass->target[i] == pass->leaf[i])
                continue;
            if (past_caches)
                fused_copy_past_caches(pass->target[i] + at, pass->leaf[i] + at, nbytes);
            else
                memcpy(pass->target[i] + at, pass->leaf[i] + at, (size_t)nbytes);
        }
    }
}

static void fused_point(const fused_call *call, int64_t run, fused_pass *pass)
{
    const fused_recipe *recipe = call->recipe;
    const int64_t leaf = recipe->leaf_from[run], target = recipe->target_from[run];
    pass->tape = recipe->tape + recipe->tape_from[run];
    pass->length = recipe->tape_from[run + 1] - recipe->tape_from[run];
    pass->leaves = recipe->leaf_from[run + 1] - leaf;
    pass->targets = recipe->target_from[run + 1] - target;
    for (int64_t i = 0; i < pass->leaves; i++)
        pass->leaf[i] = call->input + recipe->leaf_rank[leaf + i] * call->input_stride +
                        recipe->leaf_low[leaf + i] * call->itemsize;
    for (int64_t i = 0; i < pass->targets; i++)
        pass->target[i] = call->output + recipe->target_rank[target + i] * call->output_stride +
                          recipe->target_low[target + i] * call->itemsize;
}

/* Return how many bytes after ``low`` all targets are aligned as the widest vector; -1: never. */
static int64_t fused_to_alignment(const fused_pass *pass, int64_t low)
{
    const uintptr_t all = FUSED_WIDEST_VECTOR - 1;
    const uintptr_t off = (uintptr_t)(pass->target[0] + low) & all;
    for (int64_t i = 1; i < pass->targets; i++)
        if (((uintptr_t)(pass->target[i] + low) & all) != off)
            return -1;
    return (int64_t)((FUSED_WIDEST_VECTOR - off) & all);
}

static void fused_reduce(const fused_call *call, fused_pass *pass, int64_t low, int64_t high)
{
    const int64_t ahead = call->large ? fused_to_alignment(pass, low) : -1;
    pass->streams = false;
    if (ahead >= 0 && ahead % call->itemsize == 0 && low + ahead < high) {
        call->kernel(pass, low, low + ahead);
        pass->streams = !call->in_place;
        low += ahead;
    }
    call->kernel(pass, low, high);
}

static void fused_run_pass(const fused_call *call, int64_t run, fused_pass *pass, int64_t low,
                           int64_t high)
{
    if (!call->recipe->copies[run])
        fused_reduce(call, pass, low, high);
    else if (call->in_place && pass->leaves > 1)
        call->moves(pass, low, high);
    else
        fused_copy(pass, low, high, EMUL_FUSED_X86 && call->large);
}

/* Return the run that holds ``element``. */
static int64_t fused_run_at(const fused_recipe *recipe, int64_t element)
{
    int64_t low = 0, high = recipe->runs;
    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;
        if (recipe->starts[middle] <= element)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Carries out the elements [low, high) of all runs with ``workspace`` for pointers and blocks. */
static void fused_stretch(const fused_call *call, int64_t low, int64_t high, char *workspace)
{
    const fused_recipe *recipe = call->recipe;
    fused_pass pass = {.divisor = call->divisor, .fetches = call->fetches, .spilled = workspace};
    pass.streams = false;
    pass.padded = pass.spilled + recipe->most_spilled * FUSED_MOST_SPILLED;
    pass.leaf = (const char **)(pass.padded + (recipe->most_leaves + recipe->most_targets) *
                                                  (FUSED_MOST_BLOCK + sizeof(char *)));
    pass.target = (char **)(pass.leaf + recipe->most_leaves);
    for (int64_t run = fused_run_at(recipe, low); run < recipe->runs; run++) {
        const int64_t start = recipe->starts[run], end = recipe->starts[run + 1];
        if (start >= high)
            return;
        fused_point(call, run, &pass);
        fused_run_pass(call, run, &pass, ((low > start ? low : start) - start) * call->itemsize,
                       ((high < end ? high : end) - start) * call->itemsize);
    }
}

static size_t fused_workspace_bytes(const fused_recipe *recipe)
{
    const size_t pointers = (size_t)(recipe->most_leaves + recipe->most_targets);
    return (size_t)recipe->most_spilled * FUSED_MOST_SPILLED +
           pointers * (FUSED_MOST_BLOCK + 2 * sizeof(char *)) + 64;
}

typedef struct {
    const fused_call *call;
    int64_t low, high;
    char *workspace;
    pthread_t thread;
    bool started;
} fused_share;

static void *fused_take_share(void *given)
{
    const fused_share *share = (const fused_share *)given;
    fused_stretch(share->call, share->low, share->high, share->workspace);
#if EMUL_FUSED_X86
    _mm_sfence(); /* stores past the caches are there before anybody is told so */
#endif
    return NULL;
}

/* Threads of a call take shares of so many elements, or multiples, so that none share a line. */
#define FUSED_SHARE 4096

/* Carries out the elements [low, high), the first share in this thread and each other in one of its
 * own; where a thread cannot be had, its share is carried out here. Returns -1, having written
 * nothing, when there is no memory. */
static int fused_carry_out(const fused_call *call, int64_t low, int64_t high, int64_t threads)
{
    const size_t bytes = (fused_workspace_bytes(call->recipe) + 63) / 64 * 64;
    const int64_t shares = (high - low + FUSED_SHARE - 1) / FUSED_SHARE;
    threads = threads < shares ? threads : shares;
    if (threads < 1)
        return 0;
    char *memory = malloc((size_t)threads * (bytes + sizeof(fused_share)) + 64);
    if (memory == NULL)
        return -1;
    char *workspace = memory + (64 - (uintptr_t)memory % 64) % 64;
    fused_share *share = (fused_share *)(workspace + (size_t)threads * bytes);
    for (int64_t i = 0; i < threads; i++) {
        share[i].call = call;
        share[i].low = low + shares * i / threads * FUSED_SHARE;
        share[i].high = i + 1 < threads ? low + shares * (i + 1) / threads * FUSED_SHARE : high;
        share[i].workspace = workspace + (size_t)i * bytes;
    }
    for (int64_t i = 1; i < threads; i++)
        share[i].started =
            pthread_create(&share[i].thread, NULL, fused_take_share, &share[i]) == 0;
    fused_take_share(&share[0]);
    for (int64_t i = 1; i < threads; i++) {
        if (share[i].started)
            pthread_join(share[i].thread, NULL);
        else
            fused_take_share(&share[i]);
    }
    free(memory);
    return 0;
}

/* The instruction sets that this machine has, the best last; Python chooses by name. */
enum { FUSED_BASELINE, FUSED_AVX2, FUSED_AVX512, FUSED_SETS };

static const char *const fused_set_names[FUSED_SETS] = {"baseline", "avx2", "avx512"};

#if EMUL_FUSED_X86
/* Not every compiler knows this feature by name. */
static bool fused_converts_half(void)
{
    unsigned int a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

static bool fused_has_set(int set)
{
    if (set == FUSED_BASELINE)
        return true;
#if EMUL_FUSED_X86
    __builtin_cpu_init();
    if (set == FUSED_AVX2)
        return __builtin_cpu_supports("avx2") && fused_converts_half();
    if (set == FUSED_AVX512)
        return fused_has_set(FUSED_AVX2) && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
#endif
    return false;
}

/* Every instruction set has the same element types, in the order of fused_set.h. */
enum { FUSED_TYPES = sizeof fused_types_baseline / sizeof *fused_types_baseline };

static const char *fused_type_name(int type)
{
    return fused_types_baseline[type].name;
}

static fused_kernel fused_kernel_of(int set, int type, int reduction)
{
#if EMUL_FUSED_X86
    if (set == FUSED_AVX2)
        return fused_types_avx2[type].kernel[reduction];
    if (set == FUSED_AVX512)
        return fused_types_avx512[type].kernel[reduction];
#endif
    (void)set;
    return fused_types_baseline[type].kernel[reduction];
}

/* Whether to fetch ahead where rows do not fit into the caches. Of 8 rows of 64 MiB that was 1.45
 * times as fast in place on AMD's Zen 4, and 1.4 into other rows; less at 8 KiB ahead, nothing into
 * the first cache. On Intel's model 207 (Emerald Rapids) 1.1 times with two threads, with one 1.04,
 * into other rows 1.06. Nothing is known of arm64. */
static bool fused_gains_by_fetching(void)
{
    return EMUL_FUSED_X86;
}
