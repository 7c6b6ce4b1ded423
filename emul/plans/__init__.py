"""Plans: who sends which chunk to whom. No time, no array values."""

from emul.plans.algorithms import ALGORITHMS, algorithms_for, build_plan
from emul.plans.collectives import COLLECTIVES, Collective, collective_named
from emul.plans.custom import Schedule, Send, plan_from
from emul.plans.plan import Partition, Plan, Step
from emul.plans.program import Program
from emul.plans.verify import verify

__all__ = [
    "ALGORITHMS",
    "COLLECTIVES",
    "Collective",
    "Partition",
    "Plan",
    "Program",
    "Schedule",
    "Send",
    "Step",
    "algorithms_for",
    "build_plan",
    "collective_named",
    "plan_from",
    "verify",
]
