"""Plans in the XML of MSCCL, in and out (microsoft/msccl, src/graph/topo.cc).

The modules behind are imported when they are first used: most programs never read a file.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from emul.plans.plan import Plan
from emul.reading.bounded_text import file_version

if TYPE_CHECKING:
    from typing import TypeGuard

__all__ = ["PLAN_FILES", "is_plan_file", "msccl_xml", "plan_xml", "read_plan"]

PLAN_FILES = (".xml", ".json")
"""How the names of plan files end, by which they are told from those of algorithms.

Plans in JSON are those of MSCCL++, which the reader refuses by name.
"""

MOST_KEPT = 32
"""Of the plans that were read last: a command asks for its file several times."""


def is_plan_file(name: object) -> TypeGuard[str]:
    """Say whether ``name`` is that of a plan file, and not of an algorithm."""
    return isinstance(name, str) and name.lower().endswith(PLAN_FILES)


def read_plan(path: str | Path) -> Plan:
    """Return the verified plan of an MSCCL XML file.

    A file that says it runs both in place and out of place is proven for both, and the plan is
    the one in place. A file is read once, and again when it has changed. Raises PlanError, with
    file and line, for unknown content, a race, a deadlock, or a file that does not compute its
    collective.
    """
    return _read(str(path), file_version(path))


@lru_cache(maxsize=MOST_KEPT)
def _read(path: str, version: object) -> Plan:
    """Return the plan of a file in this ``version``."""
    from emul.plans.msccl.parsing import proven_plan

    return proven_plan(path)


def plan_xml(plan: Plan) -> str:
    """Return ``plan`` as MSCCL XML, which is read back as the same plan.

    Raises PlanError for a plan that was read from a file of others, that goes in loops, that is cut
    too finely or has too many steps for a file, or whose ranks exchange chunks within themselves.
    """
    from emul.plans.msccl.writing import written

    return written(plan)


def msccl_xml(plan: Plan) -> str:
    """Return ``plan`` as XML for the run time of MSCCL: only what it reads, within its limits.

    It is read back as an equivalent plan, which gives the same bits for every size that MSCCL runs
    it at. Raises PlanError, with the reason, for a plan that MSCCL cannot run (gather, scatter,
    send_recv, a root but 0, too many steps, threadblocks or channels), and as `plan_xml`.
    """
    from emul.plans.msccl.runtime_limits import written_for_msccl

    return written_for_msccl(plan)
