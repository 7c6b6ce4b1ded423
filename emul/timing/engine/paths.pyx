"""The network's arrays (see emul.topology.Network) as compiled code reads them."""

cimport cython

__all__ = ["Paths"]


@cython.final
@cython.auto_pickle(False)
cdef class Paths:
    """The places of ranks, the rates of ports and the costs of paths."""

    def __init__(self, network):
        self.site_of, self.node_of = network.site_of, network.node_of
        self.nic_of = network.nic_of
        self.rate = network.queue_rate
        self.latency, self.overhead = network.path_latency_ps, network.path_overhead_ps
        self.sites, self.first_trunk = network.n_sites, network.first_trunk_path
