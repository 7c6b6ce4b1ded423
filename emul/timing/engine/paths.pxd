"""The network's arrays (see emul.topology.Network) as compiled code reads them."""

cimport cython
from libc.math cimport floor
from libc.stdint cimport int32_t, int64_t


cdef inline int64_t occupancy(int64_t nbytes, double rate, int64_t most) noexcept nogil:
    """Return the picoseconds that ``nbytes`` take, to the nearest; ``most`` if it is more."""
    cdef double ps = floor(nbytes * 1e12 / rate + 0.5)
    return <int64_t>ps if ps < most else most


@cython.final
cdef class Paths:
    cdef int32_t[::1] site_of     # of each rank
    cdef int32_t[::1] node_of
    cdef int32_t[::1] nic_of      # the first rank with the same NIC
    cdef double[::1] rate         # at which bytes keep each port from others
    cdef int64_t[::1] latency     # of each way
    cdef int64_t[::1] overhead
    cdef int64_t sites
    cdef int64_t first_trunk

    cdef inline bint near(self, int64_t src, int64_t dst) noexcept nogil:
        return self.node_of[src] == self.node_of[dst]

    cdef inline int64_t out(self, int64_t src, int64_t dst) noexcept nogil:
        """Return the number of the port that a transfer takes at its sender."""
        return 4 * src if self.near(src, dst) else 4 * self.nic_of[src] + 2

    cdef inline int64_t into(self, int64_t src, int64_t dst) noexcept nogil:
        """Return the number of the port that a transfer takes at its receiver."""
        return 4 * dst + 1 if self.near(src, dst) else 4 * self.nic_of[dst] + 3

    cdef inline int64_t path(self, int64_t src, int64_t dst) noexcept nogil:
        """Return the number of the way between two ranks, as in emul.topology.Network."""
        cdef int64_t a = self.site_of[src], b = self.site_of[dst]
        if self.near(src, dst):
            return self.node_of[src]
        if a == b:
            return self.first_trunk - self.sites + a
        return self.first_trunk + a * self.sites + b
