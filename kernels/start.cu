/* start: stamps when a call began, for the waits that follow.
 *
 * pace: the table (clock.cuh)
 * launch: one block of one thread, before the first step
 * equals: emul.timing.now_ns, on %globaltimer, less what had passed before the launch; or what the
 *         host has reckoned, where that is earlier, by as much as the launch took
 */

extern "C" __global__ void emul_start(long long *pace)
{
    emul_pace *const head = (emul_pace *)pace;
    const long long latest = emul_now() - head->elapsed;
    if (latest < head->start)
        head->start = latest;
}
