/* reduce: carries out the reducing rows of one step.
 *
 * work:  (ranks, width) elements, row after row
 * rows:  n_rows descriptors; offsets and lengths in elements from the start of work
 * launch: any 2-D grid of any 1-D blocks; y walks over rows, x over elements
 * equals: numpy.add / multiply / minimum / maximum(target, source, out=target), for each row
 *         (emul.ops.NumpyOps); whole numbers wrap, and a NaN on either side stays
 */

typedef struct {
    long long source;
    long long target;
    long long length;
} emul_row;

/* Narrow whole numbers are added as int and wrap when stored. */
static __device__ EMUL_TYPE emul_combine(EMUL_TYPE stood, EMUL_TYPE sent)
{
#if EMUL_OP == 0
    return (EMUL_TYPE)(stood + sent);
#elif EMUL_OP == 1
    return (EMUL_TYPE)(stood * sent);
#elif EMUL_OP == 2
    return stood < sent || stood != stood ? stood : sent;
#elif EMUL_OP == 3
    return stood > sent || stood != stood ? stood : sent;
#else
#error "EMUL_OP is none of 0 (sum), 1 (prod), 2 (min), 3 (max)"
#endif
}

extern "C" __global__ void emul_reduce(EMUL_TYPE *work, const emul_row *rows, int n_rows)
{
    for (int r = blockIdx.y; r < n_rows; r += gridDim.y) {
        const emul_row row = rows[r];
        const long long stride = (long long)gridDim.x * blockDim.x;
        for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < row.length;
             i += stride)
            work[row.target + i] = emul_combine(work[row.target + i], work[row.source + i]);
    }
}
