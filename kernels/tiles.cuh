/* Work cut into tiles: of a table whose entries say by ``first_tile`` how many tiles all before them
 * have, the entry that a tile belongs to.
 */
template <class Entry>
static __device__ inline long long emul_entry_of(const Entry *entries, long long n, long long tile)
{
    long long low = 0, high = n;
    while (high - low > 1) {
        const long long middle = (low + high) / 2;
        if (entries[middle].first_tile <= tile)
            low = middle;
        else
            high = middle;
    }
    return low;
}
