"""emul's engine of discrete events, with what it needs counted: dependencies, then the times."""

from bench.peers.protocol import Ring, repeated, tell
from bench.worlds import one_site
from emul.plans import COLLECTIVES, Program, Shape, build_plan
from emul.timing import dependencies, schedule
from emul.timing.conditions import Conditions
from emul.timing.traffic import Traffic
from emul.topology import Network

if __name__ == "__main__":
    ring = Ring.of_command_line()
    n = ring.ranks
    shape = Shape.of(COLLECTIVES["all_reduce"], n, n * ring.chunk_bytes // 4)
    program = Program.of(build_plan("all_reduce", "ring", (n,)), shape, 4)
    traffic, network = Traffic.of(program, None), Network.of(one_site(n))
    conditions = Conditions.of(traffic, network, seed=0, start_s=0.0, until_s=60.0)

    def total_ps() -> int:
        times, trouble = schedule(traffic, dependencies(traffic, n), network, conditions)
        assert trouble is None
        assert len(times["done_ps"]) == ring.transfers
        return int(times["done_ps"].max())

    assert total_ps() == ring.total_ps
    tell(
        repeated(total_ps, ring.repeats),
        "dependencies and schedule, from a program that is there; ports of both ends, cut-through",
        total_ps=total_ps(),
    )
