/* wait: keeps a stream until moments of the device's own clock, and measures that clock.
 *
 * pace:  emul_pace, then (steps) due times in nanoseconds after the start, then (steps) nanoseconds
 *        by which each wait ended after its due time, which the waits write
 * launch: one block of one thread; emul_start before the steps, emul_wait after each
 * equals: emul.timing.wait_until, on %globaltimer; emul_tick: nothing in NumPy
 *
 * No wait goes on for ever: one that is longer than allowed is refused, a clock that stands still
 * is found by counting, and the host can end all of them. What went wrong is left in error, and the
 * waits that follow end at once.
 */

typedef struct {
    long long start;   /* written by emul_start: when the call began, by this clock */
    long long elapsed; /* nanoseconds that the call had taken when it was launched */
    long long stop;    /* not 0: the host wants all waits to end */
    long long error;   /* EMUL_FINE, or what went wrong first */
    long long longest; /* nanoseconds that one wait may take */
} emul_pace;

#define EMUL_PACE_WORDS 5

#define EMUL_FINE 0
#define EMUL_TOO_LONG 1
#define EMUL_CLOCK_STANDS 2
#define EMUL_STOPPED 3

/* The last nanoseconds of a wait look at nothing but the clock. */
#define EMUL_NEAR_NS 10000
#define EMUL_LONGEST_NAP_NS 100000

/* No look at the clock is quicker than so many nanoseconds; what waits for it to come to a moment
 * looks at most as often, and this often more. */
#define EMUL_LOOK_NS 2
#define EMUL_SPARE_LOOKS 1048576

#ifdef __CUDACC__
static __device__ long long emul_now(void)
{
    unsigned long long now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now)::"memory");
    return (long long)now;
}

static __device__ void emul_nap(long long ns)
{
    asm volatile("nanosleep.u32 %0;" ::"r"((unsigned)ns));
}
#else
static long long emul_now(void) { return emul_clock(); }

static void emul_nap(long long) {}
#endif

extern "C" __global__ void emul_start(long long *pace)
{
    emul_pace *head = (emul_pace *)pace;
    head->error = EMUL_FINE;
    head->start = emul_now() - head->elapsed;
}

extern "C" __global__ void emul_wait(long long *pace, int steps, int step)
{
    volatile emul_pace *head = (volatile emul_pace *)pace;
    const long long due = head->start + pace[EMUL_PACE_WORDS + step];
    long long now = emul_now();
    long long looks = EMUL_SPARE_LOOKS + (due - now) / EMUL_LOOK_NS;
    long long error = head->error;
    if (error == EMUL_FINE && due - now > head->longest)
        error = EMUL_TOO_LONG;
    while (now < due && error == EMUL_FINE) {
        if (due - now > EMUL_NEAR_NS) {
            const long long nap = (due - now) / 4;
            emul_nap(nap < EMUL_LONGEST_NAP_NS ? nap : EMUL_LONGEST_NAP_NS);
            if (head->stop)
                error = EMUL_STOPPED;
        }
        if (--looks < 0)
            error = EMUL_CLOCK_STANDS;
        now = emul_now();
    }
    if (error != EMUL_FINE)
        head->error = error;
    pace[EMUL_PACE_WORDS + steps + step] = now - due;
}

/* Writes by how many nanoseconds the clock moves on, n times; 0 where it stands still. */
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
