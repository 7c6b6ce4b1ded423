/* reduce: carries out the reducing rows of one step, into what stands at their targets.
 *
 * input, output, work: the buffers that rows name
 * rows: n_rows descriptors, cut into n_tiles tiles (rows.cuh); ``stood`` is not looked at
 * launch: any number of blocks of any number of threads, in one dimension
 * equals: numpy.add / multiply / minimum / maximum(target, sent, out=target), for each row
 *         (emul.ops.NumpyOps)
 */

struct emul_reducing {
    enum { in_place = 1 };

    static __device__ bool combines(const emul_places &) { return true; }

    template <class Piece> static __device__ Piece moved(Piece piece, long long)
    {
        return piece;
    }
};

extern "C" __global__ void EMUL_BOUNDS emul_reduce(char *input, char *output, char *work,
                                                   const emul_row *rows, long long n_rows,
                                                   long long n_tiles, long long ranks)
{
    emul_carry_out<emul_reducing>(input, output, work, rows, n_rows, n_tiles, ranks);
}
