/* fused: carries out a whole collective in one pass, from the rows of the input to those of the
 * output, with every reduction in the order of the plan. Each element is read once for every place
 * that the plan reads it from, and written once for every rank that ends with it.
 *
 * input, output: the buffers; one and the same where it is used in place
 * runs: n_runs runs of elements, cut into n_tiles tiles of EMUL_TILE_BYTES; run i has a tape
 *       (emul.plans.Recipe), and leaves and targets: byte offsets in input and output
 * ranks: the divisor of avg
 * EMUL_SPILLED: the most spill slots of a tape; up to four stay in registers
 * launch: any number of blocks of any number of threads, in one dimension
 * equals: emul.ops.NumpyOps.perform
 *
 * A tape is worked through by all threads at once, so nothing diverges but at the end of a run. A
 * thread has EMUL_UNITS pieces of each row, and folds four rows with all their loads under way before
 * the first is needed: 8 loads of 16 bytes. The next instruction of the tape waits for them. All loads
 * of a piece come before its stores, as in place needs.
 */

enum { EMUL_UNITS = 2, EMUL_SLOTS = EMUL_SPILLED ? EMUL_SPILLED : 1 };

typedef struct {
    long long length, first_tile; /* elements; tiles of all runs before this one */
    long long tape_from, tape_to, leaf_from, target_from;
    long long alike; /* all leaves and targets lie alike to sixteen bytes */
} emul_run;

typedef struct {
    const emul_instruction *tape, *end;
    const char *input;
    char *output;
    const long long *leaf, *target;
    long long ranks;
} emul_pass;

/* The values that a thread has of one rank's row, or of a combination of several. */
template <class Piece> struct emul_held {
    Piece unit[EMUL_UNITS];
};

/* The spilled values; a few are chosen among without an address, so that they stay in registers. */
template <class Piece> struct emul_spilled {
    emul_held<Piece> slot[EMUL_SLOTS];

    __device__ inline void put(int which, const emul_held<Piece> &value)
    {
        if (EMUL_SPILLED > 4)
            slot[which] = value;
        else
#pragma unroll
            for (int s = 0; s < EMUL_SLOTS; s++)
                if (s == which)
                    slot[s] = value;
    }

    __device__ inline emul_held<Piece> got(int which) const
    {
        if (EMUL_SPILLED > 4)
            return slot[which];
        emul_held<Piece> value = slot[0];
#pragma unroll
        for (int s = 1; s < EMUL_SLOTS; s++)
            if (s == which)
                value = slot[s];
        return value;
    }
};

template <class Piece>
static __device__ inline emul_held<Piece> emul_joined(emul_held<Piece> stood,
                                                      const emul_held<Piece> &sent)
{
#pragma unroll
    for (int k = 0; k < EMUL_UNITS; k++)
        stood.unit[k] = emul_combine(stood.unit[k], sent.unit[k]);
    return stood;
}

/* Where a thread's pieces lie, in bytes from where the tile begins; those beyond the end are loaded
 * from the last piece, and not stored. */
struct emul_where {
    int at[EMUL_UNITS];
    bool there[EMUL_UNITS];
};

template <class Piece>
static __device__ inline emul_held<Piece> emul_taken(const char *from, const emul_where &where)
{
    emul_held<Piece> value;
#pragma unroll
    for (int k = 0; k < EMUL_UNITS; k++)
        value.unit[k] = emul_load((const Piece *)(from + where.at[k]));
    return value;
}

template <class Piece>
static __device__ inline void emul_given(char *into, const emul_where &where,
                                         const emul_held<Piece> &value)
{
#pragma unroll
    for (int k = 0; k < EMUL_UNITS; k++)
        if (where.there[k])
            emul_store((Piece *)(into + where.at[k]), value.unit[k]);
}

/* The use of leaves that were loaded together: combined into the accumulator, ... */
template <bool RIGHT> struct emul_folding {
    template <class Piece>
    static __device__ inline void take(emul_held<Piece> &so_far, const emul_pass &,
                                       const emul_where &, int, const emul_held<Piece> &value)
    {
        so_far = RIGHT ? emul_joined(value, so_far) : emul_joined(so_far, value);
    }
};

/* ... or only moved on. */
struct emul_moving {
    template <class Piece>
    static __device__ inline void take(emul_held<Piece> &, const emul_pass &pass,
                                       const emul_where &where, int which,
                                       const emul_held<Piece> &value)
    {
        emul_given(pass.output + pass.target[which], where, value);
    }
};

/* N leaves from ``first`` on: all addresses first, then all loads. No load hangs on a condition, and
 * so eight come in a row in the machine code too (NVRTC 13.0.48 and 13.5.37, sm_90). */
template <class Action, int N, class Piece>
static __device__ inline void emul_some(emul_held<Piece> &so_far, const emul_pass &pass,
                                        const emul_where &where, int first)
{
    const char *from[N];
    emul_held<Piece> value[N];
#pragma unroll
    for (int j = 0; j < N; j++)
        from[j] = pass.input + pass.leaf[first + j];
#pragma unroll
    for (int j = 0; j < N; j++)
        value[j] = emul_taken<Piece>(from[j], where);
#pragma unroll
    for (int j = 0; j < N; j++)
        Action::take(so_far, pass, where, first + j, value[j]);
}

template <class Action, class Piece>
static __device__ inline void emul_all(emul_held<Piece> &so_far, const emul_pass &pass,
                                       const emul_where &where, int first, int last)
{
#pragma unroll 1
    for (; first + 4 <= last; first += 4)
        emul_some<Action, 4>(so_far, pass, where, first);
    if constexpr (sizeof(Piece) == 16) /* seven rows, of eight ranks, need two turns then */
        if (last - first == 3) {
            emul_some<Action, 3>(so_far, pass, where, first);
            return;
        }
    if (last - first >= 2) {
        emul_some<Action, 2>(so_far, pass, where, first);
        first += 2;
    }
    if (last > first)
        emul_some<Action, 1>(so_far, pass, where, first);
}

template <class Piece>
static __device__ inline void emul_play(const emul_pass &pass, const emul_where &where)
{
    emul_held<Piece> so_far = {};
    emul_spilled<Piece> spilled;
#pragma unroll 1
    for (const emul_instruction *now = pass.tape; now < pass.end; now++) {
        const int first = now->first, last = first + now->count;
        switch (now->code) {
        case EMUL_LOAD:
            so_far = emul_taken<Piece>(pass.input + pass.leaf[first], where);
            break;
        case EMUL_COMBINE:
            emul_all<emul_folding<false> >(so_far, pass, where, first, last);
            break;
        case EMUL_COMBINE_RIGHT:
            emul_all<emul_folding<true> >(so_far, pass, where, first, last);
            break;
#if EMUL_SPILLED
        case EMUL_SPILL:
            spilled.put(first, so_far);
            break;
        case EMUL_RELOAD:
            so_far = spilled.got(first);
            break;
        case EMUL_COMBINE_SPILLED:
            so_far = emul_joined(so_far, spilled.got(first));
            break;
        case EMUL_COMBINE_RIGHT_SPILLED:
            so_far = emul_joined(spilled.got(first), so_far);
            break;
#endif
        case EMUL_FINISH:
#pragma unroll
            for (int k = 0; k < EMUL_UNITS; k++)
                so_far.unit[k] = emul_finish(so_far.unit[k], pass.ranks);
            break;
        case EMUL_STORE:
#pragma unroll 1
            for (int i = first; i < last; i++)
                emul_given(pass.output + pass.target[i], where, so_far);
            break;
        case EMUL_MOVE:
            emul_all<emul_moving>(so_far, pass, where, first, last);
            break;
        }
    }
}

/* ``n`` pieces, the first at element ``first`` of the tile. */
template <class Piece>
static __device__ inline void emul_stretch(const emul_pass &pass, int first, int n)
{
#pragma unroll 1
    for (int piece = threadIdx.x; piece < n; piece += EMUL_UNITS * blockDim.x) {
        emul_where where;
#pragma unroll
        for (int k = 0; k < EMUL_UNITS; k++) {
            const int which = piece + k * (int)blockDim.x;
            where.there[k] = which < n;
            where.at[k] = first * (int)sizeof(emul_element) +
                          (which < n ? which : n - 1) * (int)sizeof(Piece);
        }
        emul_play<Piece>(pass, where);
    }
}

static __device__ inline void emul_tile(const emul_pass &pass, bool alike, int length)
{
    int lead = length;
    if (alike) {
        const emul_address begin = (emul_address)(pass.output + pass.target[0]);
        lead = (int)((16 - begin % 16) % 16 / sizeof(emul_element));
        lead = lead < length ? lead : length;
    }
    const int vectors = (length - lead) / EMUL_PER_VECTOR;
    emul_stretch<emul_vector>(pass, lead, vectors);
    const int rest = lead + vectors * EMUL_PER_VECTOR;
#pragma unroll 1
    for (int end = 0; end < 2; end++)
        emul_stretch<emul_element>(pass, end ? rest : 0, end ? length - rest : lead);
}

extern "C" __global__ void EMUL_BOUNDS emul_fused(const char *input, char *output,
                                                  const emul_run *runs, long long n_runs,
                                                  long long n_tiles, const emul_instruction *tape,
                                                  const long long *leaf, const long long *target,
                                                  long long ranks)
{
    const long long per_tile = EMUL_TILE_BYTES / sizeof(emul_element);
#pragma unroll 1
    for (long long tile = blockIdx.x; tile < n_tiles; tile += gridDim.x) {
        const emul_run *const run = runs + emul_entry_of(runs, n_runs, tile);
        const long long low = (tile - run->first_tile) * per_tile;
        const long long left = run->length - low;
        const long long begin = low * (long long)sizeof(emul_element);
        const emul_pass pass = {tape + run->tape_from,
                                tape + run->tape_to,
                                input + begin,
                                output + begin,
                                leaf + run->leaf_from,
                                target + run->target_from,
                                ranks};
        emul_tile(pass, run->alike, (int)(left < per_tile ? left : per_tile));
    }
}
