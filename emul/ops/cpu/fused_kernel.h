/* One kernel: a tape on a run of elements of one type, with one reduction, for one instruction set.
 *
 * Included with KERNEL (its name), UNIT (the contents of a register, or two), UNIT_BYTES (of memory
 * that a unit stands for), LOAD, STORE, STREAM, COMBINE, DIVIDE and SETTLE (functions on units)
 * defined.
 * A block is UNITS units, so that the additions of one do not wait for those of another; twice as
 * many were no faster (8 rows of 64 MiB).
 *
 * Where it gains, the leaves of some blocks later are fetched between the stores: else reading
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
    const emul_instruction *const end = pass->tape + pass->length;
    const char **const leaf = pass->leaf;
    char **const target = pass->target;
    UNIT *const spilled = (UNIT *)pass->spilled;
    int64_t at = low;
    for (; at + BLOCK <= high; at += BLOCK) {
#define DO(k) UNIT a##k = {0};
        EACH(DO)
#undef DO
        for (const emul_instruction *now = pass->tape; now < end; now++) {
            const int32_t first = now->first, last = first + now->count;
            switch (now->code) {
            case EMUL_LOAD:
#define DO(k) a##k = LOAD(AT(leaf[first] + at, k));
                EACH(DO)
#undef DO
                break;
            case EMUL_COMBINE:
                for (int32_t i = first; i < last; i++) {
                    const char *from = leaf[i] + at;
#define DO(k) a##k = COMBINE(a##k, LOAD(AT(from, k)));
                    EACH(DO)
#undef DO
                }
                break;
            case EMUL_COMBINE_RIGHT:
                for (int32_t i = first; i < last; i++) {
                    const char *from = leaf[i] + at;
#define DO(k) a##k = COMBINE(LOAD(AT(from, k)), a##k);
                    EACH(DO)
#undef DO
                }
                break;
            case EMUL_SPILL:
#define DO(k) spilled[first * UNITS + k] = a##k;
                EACH(DO)
#undef DO
                break;
            case EMUL_RELOAD:
#define DO(k) a##k = spilled[first * UNITS + k];
                EACH(DO)
#undef DO
                break;
            case EMUL_COMBINE_SPILLED:
#define DO(k) a##k = COMBINE(a##k, spilled[first * UNITS + k]);
                EACH(DO)
#undef DO
                break;
            case EMUL_COMBINE_RIGHT_SPILLED:
#define DO(k) a##k = COMBINE(spilled[first * UNITS + k], a##k);
                EACH(DO)
#undef DO
                break;
            case EMUL_FINISH:
                if (pass->divisor > 1) {
#define DO(k) a##k = DIVIDE(a##k, pass->divisor);
                    EACH(DO)
#undef DO
                }
#define DO(k) a##k = SETTLE(a##k);
                EACH(DO)
#undef DO
                break;
            case EMUL_STORE:
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
