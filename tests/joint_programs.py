"""Acts on a joint simulation of ranks at sites of their own, of round numbers."""

import numpy as np
from by_hand import ONE_MESSAGE, TRUNK, plan_of
from strategies import program_of, sites_of_one

from emul import Stack
from emul.plans import Step
from emul.stacks import IDEAL
from emul.timing import Footprint
from emul.timing.joint.simulation import JointSimulation
from emul.topology import Network

NBYTES = 1_000_000
OVERHEAD_PS, SENDS_PS, DELAY_PS = 1_000_000, 10_000_000_000, 5_000_000_000
"""Of NBYTES on TRUNK: 1 us of overhead, 10 ms of sending, 5 ms of delay."""
SENT_PS, THERE_PS = OVERHEAD_PS + SENDS_PS, OVERHEAD_PS + SENDS_PS + DELAY_PS
LAZILY = "lazily"
RENDEZVOUS = Stack("asks", handshake="rendezvous", eager_bytes=0, control_bytes=1)
PING_PONG = plan_of([Step.of(0, 1, 0, reduce=False), Step.of(1, 0, 0, reduce=False)])


def network_of(n=2, trunk=TRUNK):
    return Network.of(sites_of_one(lambda a, b: trunk, n))


def ranks(*numbers):
    return np.array(numbers, dtype=np.int32)


def message(network, src=0, dst=1, nbytes=NBYTES, communicator=0, stack=IDEAL, **more):
    """The footprint of one message; ``src`` is below ``dst``."""
    program = program_of(ONE_MESSAGE, nbytes, 1)
    return Footprint.of(
        program, network, None, stack, ranks(src, dst), communicator, seed=0, **more
    )


class Joint:
    """A joint simulation; if it ``looks``, all that is over is let go of after every act.

    Or only what was over before the last outcome, if it looks LAZILY.
    """

    def __init__(self, network, *, stack=IDEAL, looks=False, **more):
        self.simulation = JointSimulation(
            np.zeros(network.world_size, np.int64),
            network,
            fills_windows=stack is not IDEAL,
            seed=0,
            start_s=more.pop("start_s", 0.0),
            **more,
        )
        self.looks, self.over, self.failed = looks, {}, {}

    def take(self, *ops):
        for op in ops:
            self.simulation.take(op)
            if self.looks:
                self.look()
        return ops[-1]

    def look(self):
        """Let go of all that is over, and keep its moments."""
        outcome = self.simulation.outcome()
        simulation = self.simulation
        for issue in simulation.let_go() if self.looks == LAZILY else simulation.advance():
            self.over[issue] = outcome.moments[issue]
            self.failed[issue] = outcome.failures.get(issue)

    def moments(self, issue):
        return self.over.get(issue) or self.simulation.outcome().moments[issue]

    def failure(self, issue):
        if issue in self.over:
            return self.failed[issue]
        return self.simulation.outcome().failures.get(issue)

    def done(self, issue):
        return self.moments(issue).done_ps.tolist()

    def clocks(self):
        return self.simulation.clocks_ps().tolist()
