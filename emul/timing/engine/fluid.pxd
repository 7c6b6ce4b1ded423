"""Streams that share links, as the scheduler uses them."""

from libc.stdint cimport int32_t, int64_t, uint8_t

from emul.timing.engine.due cimport DueQueue


cdef enum:
    # The causes of a cap, so that the time at it is counted: a window, a loss; and the NICs of the
    # sender and of the receiver, where nothing else that is shared is full.
    CAPS = 4
    FIRST_PORT_CAP = 2


cdef class Fluid:
    cdef readonly dict arrays             # those of the columns that are kept, by name
    # Of each class: its rates, and since when.
    cdef readonly double[::1] wave_rate   # bytes per second of its wave
    cdef readonly double[::1] cap         # and of each of its streams
    cdef readonly uint8_t[::1] cap_term   # its cause, as in emul.timing.terms
    cdef int32_t[:, ::1] joint_links      # of each class, -1 for none; first the uplink of its site
    cdef readonly double[::1] joint_rate
    # Token buckets of waves and of joint links: their size, their tokens, and since when.
    cdef double[::1] burst
    cdef readonly double[::1] credit
    cdef double[::1] joint_burst
    cdef uint8_t[::1] joint_kind          # 0, or of a NIC: 1 out, 2 into
    cdef int32_t[::1] lifting             # of a class: the joint link that is its wave, or -1
    cdef readonly double[::1] joint_credit
    cdef readonly double[::1] joint_used
    cdef readonly int64_t[::1] joint_since
    cdef readonly double[::1] joint_part
    # Whether there are tokens, so that a wave or a joint link does not limit, and a stream's rate
    # where there are.
    cdef readonly uint8_t[::1] lifted
    cdef readonly uint8_t[::1] joint_lifted
    cdef uint8_t[::1] bucketed            # of a class: whether there is any bucket to reckon with
    cdef readonly double[::1] lifted_rate
    # The bytes in flight on the path of a class, and until when there is a queue in front of the
    # buckets.
    cdef double[::1] path_bytes
    cdef readonly int64_t[::1] busy
    cdef readonly int64_t[::1] joint_busy
    cdef readonly double[::1] rate        # bytes per second that each of its streams gets
    cdef readonly double[::1] served      # bytes per stream since the class was last idle
    cdef readonly uint8_t[::1] capped     # by its cause: 1 + one of CAPS, or 0
    cdef readonly int64_t[::1] since
    cdef readonly double[::1] part        # and the part of a picosecond after that
    cdef readonly int64_t[:, ::1] capped_time
    # Classes, and joint links after them: when the next stream is through, or a bucket is empty.
    cdef readonly DueQueue queue
    # The active streams of a class are a heap, by the bytes served then.
    cdef readonly int64_t[::1] first
    cdef readonly int32_t[::1] active
    cdef int64_t[::1] alike      # of each stream: for how many it stands
    cdef readonly int64_t[::1] load  # for how many the active streams of a class stand together
    cdef readonly int32_t[::1] heap
    cdef int32_t[::1] class_of
    cdef readonly double[::1] until
    cdef readonly int64_t[:, ::1] began_capped
    # Of the classes with joint links, and of these, while shares are worked out.
    cdef int32_t[::1] joined
    cdef uint8_t[::1] is_joined
    cdef double[::1] free
    cdef int64_t[::1] waiting
    cdef uint8_t[::1] settled
    cdef uint8_t[::1] held
    cdef int32_t[::1] unsettled
    cdef int64_t[::1] first_member   # of each joint link, among the classes that load it
    cdef int32_t[::1] member
    # Where there are NICs, the classes and joint links that the last change can reach; else all.
    cdef bint apart
    cdef int32_t[::1] reached
    cdef int32_t[::1] reached_links
    cdef Py_ssize_t reached_size
    cdef Py_ssize_t reached_links_size
    cdef uint8_t[::1] is_reached
    cdef uint8_t[::1] is_reached_link

    cdef int32_t take(self, int64_t time) noexcept nogil
    cdef void begin(self, int32_t stream, double nbytes, int64_t time) noexcept nogil
    cdef double withdraw(self, int32_t stream, int64_t time) noexcept nogil
    cdef int64_t capped_ps(self, int32_t stream, int by) noexcept nogil
    cdef void change(self, int32_t of, double wave_rate, double cap, double lifted_rate,
                     uint8_t term, int64_t time) noexcept nogil
    cdef void change_joint(self, Py_ssize_t u, double rate, int64_t time) noexcept nogil
    cdef int64_t admit(self, int32_t stream, double nbytes, int64_t time) noexcept nogil
    cdef void _reach(self, int32_t item) noexcept nogil
    cdef void _forget_reached(self) noexcept nogil
    cdef void _reach_link(self, int32_t u) noexcept nogil
    cdef void _serve_until_due(self, int32_t of, int64_t time, double part) noexcept nogil
    cdef double _tokens(self, int32_t of, int64_t time) noexcept nogil
    cdef double _joint_tokens(self, Py_ssize_t u, int64_t time, double part) noexcept nogil
    cdef void _empty(self, int32_t item, int64_t time) noexcept nogil
    cdef void _advance(self, int32_t of, int64_t time) noexcept nogil
    cdef void _serve(self, int32_t of, int64_t time, double part) noexcept nogil
    cdef void _serve_joined(self, int64_t time, double part) noexcept nogil
    cdef void _settle(self, int32_t of, int64_t time) noexcept nogil
    cdef void _share_anew(self, int32_t of) noexcept nogil
    cdef void _share_joined(self) noexcept nogil
    cdef void _lift(self, int32_t of) noexcept nogil
    cdef void _share(self) noexcept nogil
    cdef int64_t _count(self, int32_t of, Py_ssize_t u) noexcept nogil
    cdef void _hold(self, double level) noexcept nogil
    cdef void _add_up(self) noexcept nogil
    cdef double _own(self, int32_t of) noexcept nogil
    cdef void _charge(self, Py_ssize_t u) noexcept nogil
    cdef void _fix(self, int32_t of, double rate) noexcept nogil
    cdef void _set_due(self, int32_t of) noexcept nogil
    cdef void _set_joint_due(self, Py_ssize_t u) noexcept nogil
    cdef bint _less(self, int32_t a, int32_t b) noexcept nogil
    cdef void _add(self, int32_t of, int32_t stream) noexcept nogil
    cdef void _remove(self, int32_t of, int64_t at) noexcept nogil
    cdef void _sift_down(self, int64_t base, int64_t n, int64_t at) noexcept nogil
    cdef void _sift_up(self, int64_t base, int64_t at) noexcept nogil
