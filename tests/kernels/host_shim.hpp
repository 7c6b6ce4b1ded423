/* Lets a .cu file without #include run on the CPU: CUDA's built-in variables as thread-locals,
 * and a launcher that walks over the grid one thread at a time. Blocks go backwards when asked,
 * because a kernel must not depend on their order. */

struct emul_dim { unsigned x, y, z; };

static thread_local emul_dim blockIdx, threadIdx, blockDim, gridDim;

#define __global__
#define __device__

template <typename Kernel, typename... Arguments>
static void emul_launch(bool backwards, emul_dim grid, emul_dim block, Kernel kernel,
                        Arguments... arguments)
{
    gridDim = grid;
    blockDim = block;
    for (unsigned b = 0; b < grid.x * grid.y; b++) {
        const unsigned at = backwards ? grid.x * grid.y - 1 - b : b;
        blockIdx = {at % grid.x, at / grid.x, 0};
        for (unsigned t = 0; t < block.x; t++) {
            threadIdx = {t, 0, 0};
            kernel(arguments...);
        }
    }
}
