"""Waiting until a moment of the monotonic clock: sleep towards it, then spin, without the GIL.

A sleeper wakes late. By how much is measured once in a process, and so much is spun: the margin.
Linux sleeps on an absolute deadline with a timer slack of 1 ns and, where that is asked for and
allowed, at real-time priority; elsewhere a relative sleep does. Both belong to the thread, are put
back before anything of Python runs, also for code that a signal handler starts. Between naps
a thread heeds signals, and exceptions that others set for it.
"""

from libc.stdint cimport int64_t

__all__ = ["NAP_NS", "calibrate", "margin_ns", "may_be_realtime", "now_ns", "resolution_ns",
           "wait_until"]

cdef extern from *:
    """
    #include <errno.h>
    #include <pthread.h>
    #include <sched.h>
    #include <stdint.h>
    #include <time.h>
    #ifdef __linux__
    #include <sys/prctl.h>
    #endif

    static int64_t emul_now_ns(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    }

    static int64_t emul_resolution_ns(void) {
        struct timespec step;
        clock_getres(CLOCK_MONOTONIC, &step);
        return (int64_t)step.tv_sec * 1000000000 + step.tv_nsec;
    }

    /* The scheduling of a thread while it waits, and before. */
    typedef struct {
        long slack_ns;
        int policy; /* -1: not changed */
        struct sched_param priority;
    } emul_thread;

    static void emul_take(emul_thread *was, int realtime) {
        was->policy = -1;
    #ifdef __linux__
        was->slack_ns = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
        prctl(PR_SET_TIMERSLACK, 1L, 0, 0, 0);
        if (realtime) {
            struct sched_param least = {.sched_priority = sched_get_priority_min(SCHED_FIFO)};
            int policy = sched_getscheduler(0);
            if ((policy & ~SCHED_RESET_ON_FORK) == SCHED_OTHER
                    && sched_getparam(0, &was->priority) == 0
                    && sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &least) == 0)
                was->policy = policy;
        }
    #else
        (void)realtime;
    #endif
    }

    static int emul_give_back(const emul_thread *was) {
    #ifdef __linux__
        if (was->policy != -1) /* first: leaving a real-time priority sets the usual slack */
            sched_setscheduler(0, was->policy, &was->priority);
        prctl(PR_SET_TIMERSLACK, was->slack_ns, 0, 0, 0);
    #endif
        return was->policy != -1;
    }

    static void emul_nap_until(int64_t wake_ns, int realtime) {
        emul_thread was;
        struct timespec when;
        emul_take(&was, realtime);
    #ifdef __linux__
        when.tv_sec = wake_ns / 1000000000;
        when.tv_nsec = wake_ns % 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
    #else
        wake_ns -= emul_now_ns();
        if (wake_ns > 0) {
            when.tv_sec = wake_ns / 1000000000;
            when.tv_nsec = wake_ns % 1000000000;
            nanosleep(&when, NULL);
        }
    #endif
        emul_give_back(&was);
    }

    static void emul_spin_until(int64_t due_ns, int realtime) {
        emul_thread was;
        int64_t rest;
        if (realtime) emul_take(&was, 1);
        while ((rest = due_ns - emul_now_ns()) > 0) {
            if (rest < 1000) continue; /* a pause takes up to 0.1 us */
    #if defined(__x86_64__) || defined(__i386__)
            __builtin_ia32_pause();
    #elif defined(__aarch64__)
            __asm__ __volatile__("yield");
    #endif
        }
        if (realtime) emul_give_back(&was);
    }

    static int64_t emul_margin_ns = 0; /* 0: not known in this process */

    static void emul_forget_margin(void) {
        __atomic_store_n(&emul_margin_ns, 0, __ATOMIC_RELAXED);
    }

    static int64_t emul_margin(void) {
        return __atomic_load_n(&emul_margin_ns, __ATOMIC_RELAXED);
    }

    static void emul_keep_margin(int64_t margin_ns) {
        __atomic_store_n(&emul_margin_ns, margin_ns, __ATOMIC_RELAXED);
    }

    static int emul_forget_in_children(void) {
        return pthread_atfork(NULL, NULL, emul_forget_margin);
    }
    """
    ctypedef struct emul_thread:
        pass
    int64_t emul_now_ns() noexcept nogil
    int64_t emul_resolution_ns() noexcept nogil
    void emul_take(emul_thread* was, int realtime) noexcept nogil
    int emul_give_back(const emul_thread* was) noexcept nogil
    void emul_nap_until(int64_t wake_ns, int realtime) noexcept nogil
    void emul_spin_until(int64_t due_ns, int realtime) noexcept nogil
    int64_t emul_margin() noexcept nogil
    void emul_keep_margin(int64_t margin_ns) noexcept nogil
    int emul_forget_in_children() noexcept nogil

cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1

# The longest nap: so late a thread learns of a signal that another thread was woken by, or of an
# exception that another thread set for it. A signal that wakes the thread itself ends a nap.
NAP_NS = 20_000_000
cdef int64_t LONGEST_NAP_NS = NAP_NS

# A wait that begins before the margin is known spins so long; virtual machines wake 5 to 100 us
# late (measured).
cdef int64_t UNKNOWN_MARGIN_NS = 150_000

# The GIL is taken, and the priority put back, so long before the end: either takes 0.1 to 2 us, and
# would come on top.
cdef int64_t HELD_NS = 5_000

# The last nap before the end is about so short, however long the wait: from a long sleep processors
# wake later (20 ms: 65 us; 2 ms: 20 us), and the margin is measured by naps like this.
cdef int64_t APPROACH_NS = 2_000_000

# A margin is twice the median lateness of naps, and some more: a nap that is later than that is not
# the timer but others on the core, against which no margin helps. The median heeds them least.
cdef enum:
    NAPS = 12
cdef int64_t CALIBRATION_NS = 35_000_000
cdef int64_t MORE_NS = 20_000
cdef int64_t LEAST_MARGIN_NS = 30_000
cdef int64_t MOST_MARGIN_NS = 500_000

# Compiled code does not look for exceptions that other threads set for this one; bytecode does.
cdef object heed_others = eval("lambda: None")

if emul_forget_in_children() != 0:
    raise MemoryError("no memory for a handler of forks")


def now_ns():
    """Return the monotonic clock in nanoseconds: the clock that ``wait_until`` waits on."""
    return emul_now_ns()


def resolution_ns():
    """Return the step of that clock in nanoseconds, as the system says it."""
    return emul_resolution_ns()


def margin_ns():
    """Return how many nanoseconds before the end a wait stops sleeping, and spins.

    Measured when it is first asked for in this process (25 to 50 ms), then kept; a child that was
    forked measures anew. A wait does not measure it: before that, it spins a little longer.
    """
    cdef int64_t known = emul_margin()
    return known if known else calibrate()


def calibrate():
    """Measure the margin anew, keep and return it."""
    cdef int64_t late[NAPS]
    cdef int64_t now = emul_now_ns(), end = now + CALIBRATION_NS, margin
    cdef int naps = 0
    while naps == 0 or (naps < NAPS and now < end):
        with nogil:
            emul_nap_until(now + APPROACH_NS, False)
            late[naps] = emul_now_ns() - now - APPROACH_NS
        naps += 1
        PyErr_CheckSignals()
        now = emul_now_ns()
    margin = 2 * sorted([late[i] for i in range(naps)])[naps // 2] + MORE_NS
    margin = max(LEAST_MARGIN_NS, min(MOST_MARGIN_NS, margin))
    emul_keep_margin(margin)
    return margin


def may_be_realtime():
    """Say whether this thread may wait at real-time priority (SCHED_FIFO of Linux)."""
    cdef emul_thread was
    emul_take(&was, True)
    return bool(emul_give_back(&was))


def wait_until(int64_t due_ns, *, bint realtime=False):
    """Return at ``due_ns`` of the monotonic clock, at once when it has passed; returns the time.

    The GIL is free while waiting, but for the last 5 us; the time is taken when it is held.
    ``realtime``: wait at the least real-time priority, where the user may. An exception that a
    signal handler raises, such as KeyboardInterrupt, or that another thread sets for this one, ends
    the wait.

    Signals are looked at before the spin, not after it: code after a sleep of milliseconds is
    slow, because others have used the caches (15 us were measured for a system call and the GIL).
    One that comes during the spin is heeded by the interpreter, on return.
    """
    cdef int64_t now = emul_now_ns()
    cdef int64_t margin = emul_margin() or UNKNOWN_MARGIN_NS, wake
    while due_ns - now > margin:
        wake = due_ns - (APPROACH_NS if due_ns - now > 2 * APPROACH_NS else margin)
        with nogil:
            emul_nap_until(min(wake, now + LONGEST_NAP_NS), realtime)
        PyErr_CheckSignals()
        heed_others()
        now = emul_now_ns()
    if due_ns - now > HELD_NS:
        with nogil:
            emul_spin_until(due_ns - HELD_NS, realtime)
    emul_spin_until(due_ns, False)
    return emul_now_ns()
