/* copy: carries out the copying rows of one step, and the copies before and after all steps.
 *
 * input, output, work: the buffers that rows name
 * rows: n_rows descriptors, cut into n_tiles tiles (rows.cuh)
 * ranks: with avg, copied values are divided by it; otherwise every bit is kept
 * launch: any number of blocks of any number of threads, in one dimension
 * equals: target[...] = source, for each row (emul.ops.NumpyOps); with avg NumpyOps.finish
 */

struct emul_copying {
    enum { in_place = 1 };

    static __device__ bool combines(const emul_places &) { return false; }

    template <class Piece> static __device__ Piece moved(Piece piece, long long ranks)
    {
        return emul_finish(piece, ranks);
    }
};

extern "C" __global__ void EMUL_BOUNDS emul_copy(char *input, char *output, char *work,
                                                 const emul_row *rows, long long n_rows,
                                                 long long n_tiles, long long ranks)
{
    emul_carry_out<emul_copying>(input, output, work, rows, n_rows, n_tiles, ranks);
}
