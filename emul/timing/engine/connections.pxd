"""Connections between the ports of two ranks, as the scheduler uses them."""

from libc.stdint cimport int32_t, int64_t, uint8_t

from emul.timing.engine.events cimport Heap
from emul.timing.engine.fluid cimport Fluid
from emul.timing.engine.operations cimport Operations

cdef enum:
    # Events of a transfer, in the order in which those at the same time are handled: at the
    # sender's port, the connection and the receiver's port; then these.
    PORT = 0
    CONNECTION = 1
    RECEIVER = 2
    LEFT = 3      # its last byte has left the connection
    ARRIVED = 4
    DONE = 5
    FREED = 6     # its credit is back: word of its arrival has come
    STREAM = 7    # of a stream: its wait is over
    CHANGE = 8    # of a changing way, whose number is STREAMS_FROM - 1 less its own
    SENT_TO_NIC = 9    # of a transfer of several windows: its sender has handed over all of it
    SENT = 10     # its last byte has left its sender's port and its connection

cdef enum:
    # Streams count from here: at the same time, their events come before those of transfers.
    STREAMS_FROM = -0x40000000  # as a literal: with checks of overflow Cython takes no other

cdef enum:
    # The causes that hold a stream up: CAPS of emul.timing.engine.fluid, of which the first are
    # windows, also those that are filled anew; then outages.
    BY_WINDOW = 0
    BY_OUTAGE = 4

cdef enum:
    # The two moments of a transfer on streams: when its first part begins, when its last has left.
    BEGAN = 0
    GONE = 1


cdef class Connections:
    cdef readonly dict arrays        # those of the columns that are kept, by name
    cdef int32_t[::1] of             # of each transfer: its connection, or -1
    cdef int64_t[::1] nbytes
    cdef int64_t[::1] jitter
    cdef Heap* heap
    cdef Operations operations
    # Results, by transfer.
    cdef int64_t[:, ::1] on_link
    cdef int32_t[:, ::1] behind
    cdef readonly int64_t[::1] left
    cdef readonly int64_t[::1] cwnd_held         # picoseconds for which windows kept its end
    # Of those on streams, when they begin and when they are gone: the run of the stream of which
    # that is the end. It began with this transfer, and so long were caps and outages.
    cdef readonly int32_t[:, ::1] runs_from
    cdef readonly int64_t[:, :, ::1] runs
    cdef uint8_t[::1] multi_window
    cdef readonly int64_t[::1] sent_to_nic    # of late ones
    # Of each connection.
    cdef double[::1] rate
    cdef int64_t[::1] spacing
    cdef readonly int64_t[::1] free
    cdef readonly int64_t[::1] began          # when the last transfer on it began
    cdef readonly int32_t[::1] last           # the last transfer that came
    cdef readonly int32_t[::1] began_last     # the last that began
    cdef readonly int32_t[::1] died_with      # the last transfer that it gave up, or -1
    cdef readonly int32_t[::1] first_stream
    cdef int64_t[::1] path_of_connection    # its changing way, or -1
    cdef int64_t[::1] latency
    cdef readonly int64_t[::1] head_came      # when its last head comes to the receiver
    cdef int64_t[::1] cwnd_rtt
    cdef double[::1] cwnd_rate
    cdef double[::1] cwnd_first
    cdef uint8_t[::1] warm
    cdef double[::1] cwnd_most
    # When the last window of its last transfer begins.
    cdef readonly int64_t[::1] last_sent_to_nic
    cdef int64_t[::1] idle
    cdef readonly int64_t[::1] cwnd_from
    cdef readonly double[::1] cwnd_sent
    cdef readonly double[::1] cwnd     # with which it goes on from there
    # Of each stream.
    cdef readonly Fluid fluid
    cdef int32_t[::1] connection_of
    cdef readonly int32_t[::1] current        # the transfer whose part it sends, or -1
    cdef readonly uint8_t[::1] doing
    cdef readonly double[::1] rest    # bytes that it was last given to send, or has to again
    cdef readonly int64_t[::1] lost_at
    cdef readonly int64_t[::1] up_at          # when the way is up again that was down
    cdef readonly int64_t[::1] resumed
    cdef readonly int32_t[::1] run_from       # with which it began to be busy without a pause
    cdef readonly int64_t[:, ::1] run         # since then: picoseconds as in runs
    # Of each transfer on streams: the next one on its connection, and its parts that have not left.
    cdef readonly int32_t[::1] following
    cdef readonly int32_t[::1] parts
    cdef readonly int64_t[::1] cwnd_until
    # Of each changing way, and of its states.
    cdef int64_t[::1] first_joint
    cdef int64_t[::1] last_joint
    cdef int64_t[::1] first_class
    cdef int64_t[::1] last_class
    cdef readonly int64_t[::1] first_state
    cdef readonly int64_t[::1] state
    cdef int64_t[::1] timer
    cdef int64_t[::1] retries
    cdef uint8_t[::1] doubling
    cdef int64_t[::1] state_from
    cdef double[::1] state_rate
    cdef double[::1] state_cap
    cdef double[::1] state_lifted
    cdef uint8_t[::1] state_term
    cdef int64_t[::1] state_extra
    cdef uint8_t[::1] state_up
    cdef uint8_t[::1] state_dry      # whether there is no rate any more, from then on
    cdef int64_t[::1] next_down
    cdef int64_t[::1] up_again
    cdef bint too_late               # windows would end after the last time that there is

    cdef inline bint needs_more_windows(self, int64_t t) noexcept nogil:
        """Say whether a transfer is more than one window holds."""
        return self.multi_window.shape[0] > 0 and self.multi_window[t]

    cdef bint is_fluid(self, int64_t t) noexcept nogil
    cdef void open(self) noexcept nogil
    cdef int64_t enter(self, int64_t time, int32_t t) noexcept nogil
    cdef void leave(self, int64_t time) noexcept nogil
    cdef void go_on(self, int64_t time, int32_t stream) noexcept nogil
    cdef void change(self, int64_t time, int64_t path) noexcept nogil
    cdef int64_t under_way(self, int64_t t) noexcept nogil
    cdef void _pass_on(self, int64_t time, int32_t t, int32_t connection) noexcept nogil
    cdef int64_t _through_cwnd(self, int64_t time, int32_t connection, double nbytes) noexcept nogil
    cdef double _cwnd_after_silence(self, int64_t time, int32_t connection) noexcept nogil
    cdef void _acknowledge(self, int64_t time, int32_t connection) noexcept nogil
    cdef void _send_to_nic(self, int64_t time, int32_t t, int32_t connection) noexcept nogil
    cdef void _queue(self, int64_t time, int32_t t, int32_t connection) noexcept nogil
    cdef void _begin(self, int64_t time, int32_t stream, int32_t t, bint at_once) noexcept nogil
    cdef void _send(self, int64_t time, int32_t stream) noexcept nogil
    cdef void _through(self, int64_t time, int32_t stream) noexcept nogil
    cdef bint _caught(self, int64_t time, int64_t until, int32_t stream) noexcept nogil
    cdef void _stall(self, int64_t time, int32_t stream, int64_t lost_at) noexcept nogil
    cdef int64_t _until_retried(self, int64_t path, int64_t lost_at, int64_t up) noexcept nogil
    cdef void _give_up(self, int64_t time, int32_t stream, int64_t path) noexcept nogil
    cdef double _patience(self, int64_t path) noexcept nogil
    cdef void _starve(self, int64_t time, int32_t stream) noexcept nogil
    cdef void _die(self, int64_t time, int32_t stream, int64_t path) noexcept nogil
    cdef bint _is_dropped(self, int64_t t) noexcept nogil
    cdef void _drop(self, int64_t time, int32_t stream) noexcept nogil
    cdef double _lost(self, int64_t time, int32_t stream, double sent,
                      int64_t exposed) noexcept nogil
    cdef void _cut(self, int64_t time, int32_t stream, bint up) noexcept nogil
    cdef void _await_cwnd(self, int64_t time, int32_t stream) noexcept nogil
    cdef void _count_capped(self, int32_t stream) noexcept nogil
    cdef void _note(self, int32_t stream, int32_t t, int moment) noexcept nogil
    cdef void _gone(self, int64_t time, int32_t stream) noexcept nogil
    cdef void _wake(self, int64_t time, int32_t stream) noexcept nogil
    cdef void _next(self, int64_t time, int32_t stream) noexcept nogil
