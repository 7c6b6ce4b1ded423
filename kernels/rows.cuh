/* The rows of one step, cut into tiles: shared by copy, reduce and recv_reduce_copy.
 *
 * A row takes a run of elements from one or two places to a third. Tiles are EMUL_TILE_BYTES of a
 * row each, counted over all rows; the blocks of a launch, however many, take every so many-th
 * tile. Any launch of one dimension will do. No two rows of a step write the same, and none reads
 * the target of another, so their order is free.
 *
 * Where all places of a row lie alike to sixteen bytes, sixteen are carried at a time, and single
 * elements before and after them; otherwise single elements throughout.
 */

/* Places are byte offsets times four, plus the buffer that they are in; EMUL_NOTHING is none. */
typedef struct {
    long long stood, sent, target;
    long long length;     /* elements */
    long long first_tile; /* tiles of all rows before this one */
} emul_row;

enum { EMUL_INPUT, EMUL_OUTPUT, EMUL_WORK, EMUL_NOWHERE };
enum { EMUL_NOTHING = -1, EMUL_AT_ONCE = 4 };

typedef struct {
    char *stood, *sent, *target;
} emul_places;

static __device__ inline char *emul_place(char *input, char *output, char *work, long long place)
{
    const int buffer = (int)(place & 3);
    char *const from = buffer == EMUL_INPUT ? input : buffer == EMUL_OUTPUT ? output : work;
    return buffer == EMUL_NOWHERE ? (char *)0 : from + (place >> 2);
}

/* ``n`` pieces (elements, or vectors), the first at element ``first`` of a row. */
template <class Action, class Piece>
static __device__ inline void emul_stretch(const emul_places at, long long first, int n,
                                           long long ranks)
{
    const Piece *const stood = (const Piece *)((const emul_element *)at.stood + first);
    const Piece *const sent = (const Piece *)((const emul_element *)at.sent + first);
    Piece *const target = (Piece *)((emul_element *)at.target + first);
    for (int begin = threadIdx.x; begin < n; begin += EMUL_AT_ONCE * blockDim.x) {
        Piece a[EMUL_AT_ONCE], b[EMUL_AT_ONCE];
        int where[EMUL_AT_ONCE];
        /* All loads come first; those beyond the end load the last piece once more. */
#pragma unroll
        for (int k = 0; k < EMUL_AT_ONCE; k++) {
            where[k] = begin + k * (int)blockDim.x;
            const int there = where[k] < n ? where[k] : n - 1;
            b[k] = emul_load(sent + there);
            if (Action::combines(at))
                a[k] = emul_load(stood + there);
        }
#pragma unroll
        for (int k = 0; k < EMUL_AT_ONCE; k++)
            if (where[k] < n)
                emul_store(target + where[k],
                           Action::combines(at) ? emul_combine(a[k], b[k])
                                                : Action::moved(b[k], ranks));
    }
}

template <class Action>
static __device__ inline void emul_tile(const emul_places at, long long low, long long high,
                                        long long ranks)
{
    const emul_address target = (emul_address)at.target;
    emul_address apart = target ^ (emul_address)at.sent;
    if (Action::combines(at))
        apart |= target ^ (emul_address)at.stood;
    long long lead = high;
    if (apart % 16 == 0) {
        const emul_address begin = target + (emul_address)low * sizeof(emul_element);
        lead = low + (long long)((16 - begin % 16) % 16 / sizeof(emul_element));
        lead = lead < high ? lead : high;
    }
    const int vectors = (int)((high - lead) / EMUL_PER_VECTOR);
    const long long rest = lead + (long long)vectors * EMUL_PER_VECTOR;
    emul_stretch<Action, emul_vector>(at, lead, vectors, ranks);
    emul_stretch<Action, emul_element>(at, low, (int)(lead - low), ranks);
    emul_stretch<Action, emul_element>(at, rest, (int)(high - rest), ranks);
}

/* All tiles of this block. An Action says whether a row combines two places, and finishes
 * values that are only moved. */
template <class Action>
static __device__ inline void emul_carry_out(char *input, char *output, char *work,
                                             const emul_row *rows, long long n_rows,
                                             long long n_tiles, long long ranks)
{
    const long long per_tile = EMUL_TILE_BYTES / sizeof(emul_element);
    for (long long tile = blockIdx.x; tile < n_tiles; tile += gridDim.x) {
        const emul_row row = rows[emul_entry_of(rows, n_rows, tile)];
        const long long low = (tile - row.first_tile) * per_tile;
        const long long high = low + per_tile < row.length ? low + per_tile : row.length;
        emul_places at;
        at.sent = emul_place(input, output, work, row.sent);
        at.target = emul_place(input, output, work, row.target);
        at.stood = Action::in_place ? at.target : emul_place(input, output, work, row.stood);
        emul_tile<Action>(at, low, high, ranks);
    }
}
