/* recv_reduce_copy: combines what stood with what is sent into a third place; or copies what is
 * sent, where nothing stood. Carries out steps of any rows in one launch.
 *
 * input, output, work: the buffers that rows name
 * rows: n_rows descriptors, cut into n_tiles tiles (rows.cuh)
 * launch: any number of blocks of any number of threads, in one dimension
 * equals: numpy.add / multiply / minimum / maximum(stood, sent, out=target), or
 *         target[...] = sent, for each row (emul.ops.NumpyOps)
 */

struct emul_joining {
    enum { in_place = 0 };

    static __device__ bool combines(const emul_places &at) { return at.stood != (char *)0; }

    template <class Piece> static __device__ Piece moved(Piece piece, long long)
    {
        return piece;
    }
};

extern "C" __global__ void EMUL_BOUNDS emul_recv_reduce_copy(char *input, char *output, char *work,
                                                             const emul_row *rows,
                                                             long long n_rows, long long n_tiles,
                                                             long long ranks)
{
    emul_carry_out<emul_joining>(input, output, work, rows, n_rows, n_tiles, ranks);
}
