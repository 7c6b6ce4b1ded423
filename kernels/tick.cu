/* tick: measures by how much the clock of the device moves on.
 *
 * moved: (n) nanoseconds between one reading and the next that is another; 0 where it stands still
 * launch: one block of one thread
 * equals: the differences of values of time.monotonic_ns, as often as it returns a new one
 */

extern "C" __global__ void emul_tick(long long *moved, int n)
{
    long long last = emul_now();
    for (int i = 0; i < n; i++) {
        long long now = emul_now();
        for (int looks = 0; now == last && looks < EMUL_SPARE_LOOKS; looks++)
            now = emul_now();
        moved[i] = now - last;
        last = now;
    }
}
