"""Waiting until a moment of the monotonic clock: sleep towards it, then spin, without the GIL.

Linux sleeps on an absolute deadline with a timer slack of 1 ns, restored afterwards; elsewhere
a relative sleep does. Signals are handled between naps, so Ctrl-C ends a wait at once.
"""

from libc.stdint cimport int64_t

__all__ = ["now_ns", "wait_until"]

cdef extern from *:
    """
    #include <errno.h>
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

    static void emul_sleep_until(int64_t due_ns) {
        struct timespec due;
    #ifdef __linux__
        due.tv_sec = due_ns / 1000000000;
        due.tv_nsec = due_ns % 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    #else
        int64_t rest = due_ns - emul_now_ns();
        if (rest <= 0) return;
        due.tv_sec = rest / 1000000000;
        due.tv_nsec = rest % 1000000000;
        nanosleep(&due, NULL);
    #endif
    }

    /* Timer slack belongs to the calling thread; 50 us by default. */
    static long emul_set_timer_slack(long slack_ns) {
    #ifdef __linux__
        long before = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
        prctl(PR_SET_TIMERSLACK, slack_ns, 0, 0, 0);
        return before;
    #else
        (void)slack_ns;
        return 0;
    #endif
    }

    static void emul_relax(void) {
    #if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
    #elif defined(__aarch64__)
        __asm__ __volatile__("yield");
    #endif
    }
    """
    int64_t emul_now_ns() noexcept nogil
    void emul_sleep_until(int64_t due_ns) noexcept nogil
    long emul_set_timer_slack(long slack_ns) noexcept nogil
    void emul_relax() noexcept nogil

# A sleeper on a virtual machine wakes 20 to 100 us late (measured); this much is spun instead.
cdef int64_t MARGIN_NS = 150_000

# The longest nap: a thread that is not the main one learns of an interrupt this late.
cdef int64_t NAP_NS = 20_000_000


def now_ns():
    """Return the monotonic clock in nanoseconds: the clock that ``wait_until`` waits on."""
    return emul_now_ns()


def wait_until(int64_t due_ns):
    """Return at ``due_ns`` of the monotonic clock, at once when it has passed; returns the time.

    The GIL is free while waiting. An exception raised by a signal handler, such as
    KeyboardInterrupt, ends the wait.
    """
    cdef long slack = emul_set_timer_slack(1)
    try:
        return _wait_until(due_ns)
    finally:
        emul_set_timer_slack(slack)


cdef int64_t _wait_until(int64_t due_ns) except -1:
    cdef int64_t now = emul_now_ns()
    while due_ns - now > MARGIN_NS:
        with nogil:
            emul_sleep_until(min(now + NAP_NS, due_ns - MARGIN_NS))
        _raise_if_signalled()
        now = emul_now_ns()
    with nogil:
        while now < due_ns:
            emul_relax()
            now = emul_now_ns()
    return now


cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1


cdef int _raise_if_signalled() except -1:
    return PyErr_CheckSignals()
