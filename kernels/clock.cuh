/* The clock of the device in nanoseconds, and the table by which it keeps a stream waiting: what
 * start, wait and tick share.
 *
 * A table is an emul_pace, then (steps) due times in nanoseconds after the start, then (steps)
 * nanoseconds by which each wait ended after its due time, which the waits write.
 */

typedef struct {
    long long stop;    /* not 0: the host wants all waits to end; written at any time */
    long long start;   /* when the call began, by this clock: as the host reckons it, and no later
                          than emul_start finds possible */
    long long elapsed; /* nanoseconds that the call had taken when it was launched */
    long long error;   /* the first fault, or EMUL_FINE */
    long long longest; /* nanoseconds that one wait may take */
} emul_pace;

enum { EMUL_PACE_WORDS = 5 };
enum { EMUL_FINE, EMUL_TOO_LONG, EMUL_CLOCK_STANDS, EMUL_STOPPED };

/* A clock that does not move in so many looks stands still. */
enum { EMUL_SPARE_LOOKS = 1000000 };

#ifdef __CUDA_ARCH__

static __device__ inline long long emul_now(void)
{
    unsigned long long now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now)::"memory");
    return (long long)now;
}

/* Sleeps for a while, for twice as long at most. */
static __device__ inline void emul_nap(long long ns)
{
    asm volatile("nanosleep.u32 %0;" ::"r"((unsigned)ns));
}

#else

extern "C" {
long long (*emul_host_clock)(void);
}

static inline long long emul_now(void) { return emul_host_clock(); }

static inline void emul_nap(long long) {}

#endif
