/* The instruction set of fused code, for C, CUDA and Cython alike.
 *
 * A tape is a list of instructions (emul.ops.fusing). It works on one accumulator. An instruction
 * names leaves (rows that are read), targets (rows that are written) or spill slots: ``count`` of
 * them from number ``first`` on. This text includes nothing, so that NVRTC can compile it.
 */
#ifndef EMUL_INSTRUCTIONS_H
#define EMUL_INSTRUCTIONS_H

enum {
    EMUL_LOAD,                  /* accumulator = leaf */
    EMUL_COMBINE,               /* accumulator = accumulator + leaf, one leaf after the other */
    EMUL_COMBINE_RIGHT,         /* accumulator = leaf + accumulator, one leaf after the other */
    EMUL_SPILL,                 /* slot = accumulator */
    EMUL_RELOAD,                /* accumulator = slot */
    EMUL_COMBINE_SPILLED,       /* accumulator = accumulator + slot */
    EMUL_COMBINE_RIGHT_SPILLED, /* accumulator = slot + accumulator */
    EMUL_FINISH,                /* divide the accumulator by the number of ranks, for avg */
    EMUL_STORE,                 /* targets = accumulator */
    EMUL_MOVE                   /* target i = leaf i, not in place: only fused.cu carries it out */
};

typedef struct {
    int code, first, count;
} emul_instruction;

#endif
