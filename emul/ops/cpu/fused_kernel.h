/* One kernel: a tape on a run of elements of one type, with one reduction, for one instruction set.
 *
 * Included with KERNEL (its name), UNIT (what a register, or two, holds), UNIT_BYTES (of memory
 * that a unit stands for), LOAD, STORE, STREAM, COMBINE, DIVIDE and SETTLE (functions on units)
 * defined.
 * A block is UNITS units, so that the additions of one do not wait for those of another; twice as
 * many were no faster (8 rows of 64 MiB).
 *
 * Where it gains, what is loaded some blocks later is fetched between the stores: else reading
 * waits while these drain (see fused_gains_by_fetching).
 */
#define UNITS 4
#define EACH(DO) DO(0) DO(1) DO(2) DO(3)
#define BLOCK (UNITS * UNIT_BYTES)
#define AT(pointer, k) ((pointer) + (k) * UNIT_BYTES)

TARGET static void KERNEL(const fused_pass *pass, int64_t low, int64_t high);

/* The last bytes, fewer than a block: as a block of its own, padded. */
TARGET static __attribute__((noinline)) void FUSED_JOIN(KERNEL, rest)(const fused_pass *pass,
                                                                      int64_t low, int64_t high)
{
    size_t nbytes = (size_t)(high - low);
    char *leaves = pass->padded, *targets = leaves + pass->leaves * BLOCK;
    const char **leaf = (const char **)(pass->padded + (pass->leaves + pass->targets) * BLOCK);
    char **target = (char **)(leaf + pass->leaves);
    fused_pass padded = *pass;
    for (int64_t i = 0; i < pass->leaves; i++) {
        leaf[i] = leaves + i * BLOCK;
        memcpy(leaves + i * BLOCK, pass->leaf[i] + low, nbytes);
    }
    for (int64_t i = 0; i < pass->targets; i++)
        target[i] = targets + i * BLOCK;
    padded.leaf = leaf;
    padded.target = target;
    padded.streams = padded.fetches = false;
    KERNEL(&padded, 0, BLOCK);
    for (int64_t i = 0; i < pass->targets; i++)
        memcpy(pass->target[i] + low, targets + i * BLOCK, nbytes);
}

TARGET static void KERNEL(const fused_pass *pass, int64_t low, int64_t high)
{
    const fused_instruction *const end = pass->tape + pass->length;
    const char **const leaf = pass->leaf;
    char **const target = pass->target;
    UNIT *const kept = (UNIT *)pass->kept;
    int64_t at = low;
    for (; at + BLOCK <= high; at += BLOCK) {
#define DO(k) UNIT a##k = {0};
        EACH(DO)
#undef DO
        for (const fused_instruction *now = pass->tape; now < end; now++) {
            const int32_t first = now->first, last = first + now->count;
            switch (now->op) {
            case FUSED_LOAD:
#define DO(k) a##k = LOAD(AT(leaf[first] + at, k));
                EACH(DO)
#undef DO
                break;
            case FUSED_FOLD:
                for (int32_t i = first; i < last; i++) {
                    const char *from = leaf[i] + at;
#define DO(k) a##k = COMBINE(a##k, LOAD(AT(from, k)));
                    EACH(DO)
#undef DO
                }
                break;
            case FUSED_UNDER:
                for (int32_t i = first; i < last; i++) {
                    const char *from = leaf[i] + at;
#define DO(k) a##k = COMBINE(LOAD(AT(from, k)), a##k);
                    EACH(DO)
#undef DO
                }
                break;
            case FUSED_KEEP:
#define DO(k) kept[first * UNITS + k] = a##k;
                EACH(DO)
#undef DO
                break;
            case FUSED_TAKE:
#define DO(k) a##k = kept[first * UNITS + k];
                EACH(DO)
#undef DO
                break;
            case FUSED_FOLD_KEPT:
#define DO(k) a##k = COMBINE(a##k, kept[first * UNITS + k]);
                EACH(DO)
#undef DO
                break;
            case FUSED_UNDER_KEPT:
#define DO(k) a##k = COMBINE(kept[first * UNITS + k], a##k);
                EACH(DO)
#undef DO
                break;
            case FUSED_FINISH:
                if (pass->divisor > 1) {
#define DO(k) a##k = DIVIDE(a##k, pass->divisor);
                    EACH(DO)
#undef DO
                }
#define DO(k) a##k = SETTLE(a##k);
                EACH(DO)
#undef DO
                break;
            case FUSED_STORE:
                for (int32_t i = first; i < last; i++) {
                    char *into = target[i] + at;
                    if (pass->fetches && i < pass->leaves)
                        FUSED_FETCH(leaf[i] + at, BLOCK);
                    if (pass->streams) {
#define DO(k) STREAM(AT(into, k), a##k);
                        EACH(DO)
#undef DO
                    } else {
#define DO(k) STORE(AT(into, k), a##k);
                        EACH(DO)
#undef DO
                    }
                }
                break;
            }
        }
    }
    if (at < high)
        FUSED_JOIN(KERNEL, rest)(pass, at, high);
}

#undef AT
#undef BLOCK
#undef EACH
#undef UNITS
#undef KERNEL
#undef COMBINE
