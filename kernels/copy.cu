/* copy: carries out the copying rows of one step.
 *
 * work:  (ranks, width) elements, row after row
 * rows:  n_rows descriptors; offsets and lengths in elements from the start of work
 * launch: any 2-D grid of any 1-D blocks; y walks over rows, x over elements
 * equals: target[...] = source, for each row (emul.ops.NumpyOps)
 */

typedef struct {
    long long source;
    long long target;
    long long length;
} emul_row;

extern "C" __global__ void emul_copy(EMUL_TYPE *work, const emul_row *rows, int n_rows)
{
    for (int r = blockIdx.y; r < n_rows; r += gridDim.y) {
        const emul_row row = rows[r];
        const long long stride = (long long)gridDim.x * blockDim.x;
        for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < row.length;
             i += stride)
            work[row.target + i] = work[row.source + i];
    }
}
