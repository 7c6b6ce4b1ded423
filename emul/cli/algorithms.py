"""The algorithm that a command was asked for: a name, a plan file, or FILE.py:NAME."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emul.plans import CustomAlgorithm, Plan
    from emul.topology import Topology

__all__ = ["collective_and_root", "file_read", "in_file", "plan_asked", "root_argument"]

ALL_REDUCE = "all_reduce"
SEND_RECV = "send_recv"

NEXT_RANK = 1
"""Where send_recv sends to, as in nccl-tests."""


def file_read(algorithm: str) -> str:
    """Return the file that ``algorithm`` is in, if it is in one, or else the name."""
    from emul.plans import is_user_code, user_file

    return user_file(algorithm) if is_user_code(algorithm) else algorithm


def collective_and_root(
    collective: str | None, algorithm: str, root: int | None
) -> tuple[str, int]:
    """Return the collective and its root, as asked for, or as the file of an algorithm says.

    ``root`` is None where none was asked for. Of send_recv it is how far along each rank sends.
    """
    from emul.plans import Plan

    found = in_file(algorithm)
    if collective is None:
        collective = (found.collective if found else None) or ALL_REDUCE
    if isinstance(found, Plan) and collective == SEND_RECV:
        return collective, found.root
    if root is None and found is not None:
        root = found.root
    if root is None:
        root = NEXT_RANK if collective == SEND_RECV else 0
    return collective, root


def root_argument(collective: str, root: int) -> dict[str, Any]:
    """Return the argument of a call by which it is given its root, or how far it sends."""
    from emul.plans import collective_named

    if collective == SEND_RECV:
        return {"shift": root}
    return {"root": root} if collective_named(collective).rooted else {}


def in_file(algorithm: str) -> Plan | CustomAlgorithm | None:
    """Return the plan or the algorithm in a file; None for the name of an algorithm."""
    from emul.plans import is_plan_file, is_user_code, load_algorithm, read_plan

    if is_plan_file(algorithm):
        return read_plan(algorithm)
    return load_algorithm(algorithm) if is_user_code(algorithm) else None


def plan_asked(
    collective: str | None, algorithm: str, root: int | None, where: Topology, nbytes: int
) -> Plan:
    """Return the proven plan of ``algorithm`` over the ranks of a topology.

    ``collective`` and ``root`` are None where none was asked for. ``nbytes``: of the whole vector,
    where the plan depends on it. Raises PlanError for a plan of another collective, another root,
    or another number of ranks.
    """
    from emul.errors import PlanError
    from emul.plans import Plan, plan_from, verify
    from emul.topology import world_of

    found = in_file(algorithm)
    wanted, start = collective_and_root(collective, algorithm, root)
    sites, n = where.ranks_by_node, where.world_size
    if found is None:
        return _plan_named(wanted, algorithm, start, where, nbytes)
    plan = found
    if not isinstance(plan, Plan):
        said = plan.collective if collective is None else collective
        plan = plan_from(plan, said, n, sites=sites, root=start)
        verify(plan)
    if collective not in (None, plan.collective):
        raise PlanError(f"{algorithm} computes {plan.collective}: needed {collective}")
    if plan.world_size != n:
        raise PlanError(
            f"{plan} on {where.name}, which has {n}: needed {world_of(plan.world_size)}"
        )
    if root not in (None, plan.root):
        raise PlanError(f"{algorithm} has root {plan.root}: needed {root}")
    if isinstance(found, Plan):
        verify(plan)
    return plan


def _plan_named(collective: str, algorithm: str, root: int, where: Topology, nbytes: int) -> Plan:
    """Return the proven plan by its name; that of ``packed`` suits the rates and the size."""
    from emul.plans import Shape, build_plan, collective_named, packs, verify
    from emul.runtime.packed import packed_plan_for

    if not packs(collective, algorithm):
        return build_plan(collective, algorithm, where.ranks_by_node, root=root)
    shape = Shape(collective_named(collective), where.world_size, nbytes)
    plan = packed_plan_for(where, shape, 1, root, algorithm)
    verify(plan)
    return plan
