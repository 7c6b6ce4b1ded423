/* start: stamps when a call began, for the waits that follow.
 *
 * pace: the table (clock.cuh)
 * launch: one block of one thread, before the first step
 * equals: emul.timing.now_ns, on %globaltimer, less what had passed before the launch
 */

extern "C" __global__ void emul_start(long long *pace)
{
    emul_pace *const head = (emul_pace *)pace;
    head->start = emul_now() - head->elapsed;
}
