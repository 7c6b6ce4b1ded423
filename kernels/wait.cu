/* wait: keeps a stream until a step is due, by the clock of the device.
 *
 * pace: the table (clock.cuh), of ``steps`` steps; ``step`` is the one that is waited for
 * launch: one block of one thread, after the step
 * equals: emul.timing.wait_until, on %globaltimer
 *
 * No wait goes on for ever: one that is longer than the table allows is refused, a clock that
 * stands still is found by counting looks (a nap in which it stood is as many as had room in it),
 * and the host can end all of them. The fault is left in the table, and the waits that follow
 * end at once.
 */

enum {
    EMUL_NEAR_NS = 10000, /* of the end: looks at nothing but the clock */
    EMUL_LONGEST_NAP_NS = 100000,
    EMUL_LOOK_NS = 2 /* no look at the clock is quicker */
};

extern "C" __global__ void emul_wait(long long *pace, int steps, int step)
{
    volatile emul_pace *const head = (volatile emul_pace *)pace;
    const long long due = head->start + pace[EMUL_PACE_WORDS + step];
    long long now = emul_now(), error = head->error;
    long long looks = EMUL_SPARE_LOOKS + (due - now) / EMUL_LOOK_NS;
    if (error == EMUL_FINE && due - now > head->longest)
        error = EMUL_TOO_LONG;
    while (now < due && error == EMUL_FINE) {
        const long long before = now, rest = (due - now) / 4;
        const long long nap = rest < EMUL_LONGEST_NAP_NS ? rest : EMUL_LONGEST_NAP_NS;
        const bool naps = due - now > EMUL_NEAR_NS;
        if (naps) {
            emul_nap(nap);
            if (head->stop)
                error = EMUL_STOPPED;
        }
        now = emul_now();
        looks -= naps && now == before ? 1 + nap / EMUL_LOOK_NS : 1;
        if (looks < 0)
            error = EMUL_CLOCK_STANDS;
    }
    if (error != EMUL_FINE)
        head->error = error;
    pace[EMUL_PACE_WORDS + steps + step] = now - due;
}
