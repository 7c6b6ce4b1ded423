"""Nothing in emul is out of a user's reach, and the walk that says so finds what is planted."""

from fnmatch import fnmatch
from pathlib import Path
from textwrap import dedent

import pytest
from reachable import unreached

ROOT = Path(__file__).parents[1]

EXCEPTIONS = {
    "emul.ops.cuda.cupy_device:CupyDevice.elapsed_s": "bench.gpu takes times on the GPU by it",
    "emul.ops.cpu.wire:*": "the tests hold compiled formats against the specification by these",
    "emul.plans.algorithms.registry:build_hierarchy": "a hierarchy of three levels, for plans of "
    "one's own; no name of an algorithm stands for it yet",
    "emul.plans.algorithms.registry:HierarchySpec": "the spec of a plan of build_hierarchy",
    "emul.plans.algorithms.registry:_nested": "for the spec of a plan of build_hierarchy",
    "emul.report.program_lines:*": "scripts print a path by it, as docs/train.md says",
    "emul.topology.bound_reason:KINDS": "the docstring of a bound's reason in the JSON names it",
    "emul.timing.engine.ordered:total_in_order": "bench.test_scheduling holds the pass against a "
    "machine's speed by it",
}
"""Places that no user comes to, and why they stay."""


def excepted(place):
    return any(fnmatch(place, pattern) for pattern in EXCEPTIONS)


def test_a_user_comes_to_everything_in_emul():
    assert [place for place in unreached(ROOT) if not excepted(place)] == []


def test_every_exception_is_one():
    places = unreached(ROOT)
    stale = [name for name in EXCEPTIONS if not any(fnmatch(place, name) for place in places)]
    assert stale == []
    assert all(len(reason.split()) >= 3 for reason in EXCEPTIONS.values())


FILES = {
    "__init__.py": "from thing.kinds import Held\n__all__ = ['Held']\n",
    "__main__.py": "def run():\n    from thing import work\n    work.begin()\n",
    "kinds.py": """
        from __future__ import annotations
        class Part:
            def asked(self) -> int:
                return _half()
        class Held:
            part: Part
            def all(self) -> list[int]:
                return [1]
            def _kept(self) -> int:
                return 1
        def _half() -> int:
            return 2
        """,
    "work.py": """
        from thing import fast
        from thing.kinds import Part
        __all__ = ["begin", "spare"]
        LIMIT = 3
        def begin():
            spare = [LIMIT for LIMIT in range(2)]
            return fast.total(spare), helper()
        def helper():
            return getattr(Other(), "by_name")() + Other().by_name()
        class Other:
            def by_name(self):
                return 1
            def never(self):
                return 2
        def spare():
            return 0
        """,
    "more.py": "def begin():\n    return 1\nclass Idle:\n    pass\n",
    "fast.pyx": """
        cdef int LEAST = 1
        cdef inline int inner(int a) noexcept nogil:
            return a
        def total(list values,
                  int more=0):
            return inner(len(values))
        def unused(list values):
            return inner(len(values))
        """,
}
PLANTED = [
    "thing.fast:unused",
    "thing.kinds:Held._kept",
    "thing.more:Idle",
    "thing.more:begin",
    "thing.work:LIMIT",
    "thing.work:Other.never",
    "thing.work:spare",
]


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "thing"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(dedent(text))
    return tmp_path


def test_planted_functions_classes_methods_and_constants_are_found(package):
    """A name in ``__all__``, a variable of that name and a namesake elsewhere reach nothing."""
    assert unreached(package, "thing", ("thing.__main__", "run")) == PLANTED


@pytest.mark.parametrize(
    ("line", "reached"),
    [
        ("    work.spare()\n", "thing.work:spare"),
        ("    from thing.fast import unused as other\n    other([])\n", "thing.fast:unused"),
        ("    from thing import more as m\n    m.Idle()\n", "thing.more:Idle"),
        ("    getattr(work, 'never')\n", "thing.work:Other.never"),
    ],
)
def test_a_use_takes_a_place_off_the_list(package, line, reached):
    main = package / "thing" / "__main__.py"
    main.write_text(main.read_text() + line)
    expected = [place for place in PLANTED if place != reached]
    assert unreached(package, "thing", ("thing.__main__", "run")) == expected
