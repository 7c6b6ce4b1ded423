"""Plans: who sends which chunk to whom. No time, no array values."""

from emul.plans.algorithms.registry import (
    ALGORITHMS,
    algorithms_for,
    build_hierarchy,
    build_plan,
    packs,
    unproven_plan,
)
from emul.plans.collectives import COLLECTIVES, Collective, collective_meant, collective_named
from emul.plans.custom import CustomAlgorithm, Schedule, Send, algorithm, plan_from
from emul.plans.encoding import (
    WIRES,
    Encoded,
    Encoding,
    WireFormat,
    wire_bytes,
    wire_named,
)
from emul.plans.expressions import Expressions
from emul.plans.msccl import PLAN_FILES, is_plan_file, msccl_xml, plan_xml, read_plan
from emul.plans.places import Places
from emul.plans.plan import Order, Partition, Plan, Step, Waits
from emul.plans.program import Multiplicity, Program
from emul.plans.proof.verify import passes, proof_bytes, verify
from emul.plans.rounds import Rounds
from emul.plans.shape import BufferLayout, Counts, Shape
from emul.plans.symmetry import RingRounds, SymmetricPlan
from emul.plans.user_code import is_user_code, load_algorithm, load_user_function, user_file

__all__ = [
    "ALGORITHMS",
    "COLLECTIVES",
    "PLAN_FILES",
    "WIRES",
    "BufferLayout",
    "Collective",
    "Counts",
    "CustomAlgorithm",
    "Encoded",
    "Encoding",
    "Expressions",
    "Multiplicity",
    "Order",
    "Partition",
    "Places",
    "Plan",
    "Program",
    "RingRounds",
    "Rounds",
    "Schedule",
    "Send",
    "Shape",
    "Step",
    "SymmetricPlan",
    "Waits",
    "WireFormat",
    "algorithm",
    "algorithms_for",
    "build_hierarchy",
    "build_plan",
    "collective_meant",
    "collective_named",
    "is_plan_file",
    "is_user_code",
    "load_algorithm",
    "load_user_function",
    "msccl_xml",
    "packs",
    "passes",
    "plan_from",
    "plan_xml",
    "proof_bytes",
    "read_plan",
    "unproven_plan",
    "user_file",
    "verify",
    "wire_bytes",
    "wire_named",
]
