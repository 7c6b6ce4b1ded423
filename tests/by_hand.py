"""Two sites and one trunk of round numbers, to be timed by hand; and stacks, drawn."""

import math

from hypothesis import strategies as st
from strategies import program_of, sites_of_one

from emul import Link, Stack
from emul.plans import Partition, Plan, Step
from emul.stacks import Constants
from emul.timing import time_plan
from emul.topology import Network

RATE, DELAY_S = 1e8, 5e-3
TRUNK = Link(RATE, DELAY_S, 1e-6)
CONTROL = Stack("control", control_bytes=100)
BULK = 1_000_000
CONTROL_S = 100 / RATE


def plan_of(steps, order="free", chunks=1, **more):
    return Plan("all_reduce", "by hand", 2, 0, Partition.uniform(chunks), lambda: iter(steps),
                order=order, **more)  # fmt: skip


def seconds(plan, nbytes, stack, trunk=TRUNK, n=2, slicing=None):
    network = Network.of(sites_of_one(lambda a, b: trunk, n))
    return time_plan(program_of(plan, nbytes, 1), network, slicing, stack=stack).total_s


ONE_MESSAGE = plan_of([Step.of(0, 1, 0, reduce=False)])


def exchange_after_a_fold():
    """Rank 1 gets a buffer of rank 0; then ranks 1 and 2 swap theirs."""
    steps = [Step.of(0, 1, 0, reduce=True), Step.of([1, 2], [2, 1], 0, reduce=True)]
    return Plan("all_reduce", "by hand", 3, 0, Partition.uniform(1), lambda: iter(steps),
                order="lockstep")  # fmt: skip


constants = st.builds(
    Constants, *[st.sampled_from([0.0, 0.0, 1e-9, 3e-6, 2e-5]) for _ in range(4)],
    st.sampled_from([0.0, 1e-9]),
)  # fmt: skip
stacks = st.builds(
    Stack,
    st.just("drawn"),
    handshake=st.sampled_from(["none", "rendezvous", "notice"]),
    eager_bytes=st.sampled_from([0, 4, 20, math.inf]),
    control_bytes=st.sampled_from([1, 64]),
    in_order=st.booleans(),
    shares_ports=st.booleans(),
    constants=constants,
)
