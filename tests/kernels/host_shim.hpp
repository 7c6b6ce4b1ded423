/* Lets a .cu file without #include run on the CPU: CUDA's built-in variables as thread-locals, and
 * a launcher that takes the arguments as the CUDA driver does, an array of pointers to each. It
 * walks over the grid one thread at a time, blocks and threads forwards, backwards or shuffled,
 * because a kernel must not depend on their order. */

struct emul_dim { unsigned x, y, z; };

static thread_local emul_dim blockIdx, threadIdx, blockDim, gridDim;

#define __global__
#define __device__
#define __launch_bounds__(...)

enum { EMUL_FORWARDS, EMUL_BACKWARDS, EMUL_SHUFFLED };

/* The i-th of n numbers; shuffled: by steps that share no divisor with n. */
static unsigned emul_nth(int order, unsigned i, unsigned n)
{
    if (order == EMUL_FORWARDS)
        return i;
    if (order == EMUL_BACKWARDS)
        return n - 1 - i;
    unsigned long long step = n / 2 + n / 8 + 1;
    for (;; step++) {
        unsigned long long a = step, b = n;
        while (b) {
            const unsigned long long rest = a % b;
            a = b;
            b = rest;
        }
        if (a == 1)
            return (unsigned)((i * step + n / 3) % n);
    }
}

template <unsigned... I> struct emul_indices {};
template <unsigned N, unsigned... I> struct emul_count : emul_count<N - 1, N - 1, I...> {};
template <unsigned... I> struct emul_count<0, I...> { typedef emul_indices<I...> type; };

template <class... Arguments, unsigned... I>
static void emul_call(void (*kernel)(Arguments...), void **arguments, emul_indices<I...>)
{
    (void)arguments;
    kernel(*(Arguments *)arguments[I]...);
}

template <class... Arguments>
static void emul_walk(void (*kernel)(Arguments...), int order, unsigned grid, unsigned block,
                      void **arguments)
{
    gridDim = {grid, 1, 1};
    blockDim = {block, 1, 1};
    for (unsigned b = 0; b < grid; b++) {
        blockIdx = {emul_nth(order, b, grid), 0, 0};
        for (unsigned t = 0; t < block; t++) {
            threadIdx = {emul_nth(order, t, block), 0, 0};
            emul_call(kernel, arguments, typename emul_count<sizeof...(Arguments)>::type());
        }
    }
}

#define EMUL_LAUNCHER(name)                                                                        \
    extern "C" void launch_##name(int order, unsigned grid, unsigned block, void **arguments)      \
    {                                                                                              \
        emul_walk(name, order, grid, block, arguments);                                            \
    }
