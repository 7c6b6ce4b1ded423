"""Algorithms in a Python file of the user: found, executed, and every error with file and line."""

import sys
import textwrap

import numpy as np
import pytest

from emul import PlanError, World
from emul.plans import Plan, is_user_code, load_algorithm, plan_from, user_file, verify

STAR = """
from emul import Send, algorithm

def star(n):
    for rank in range(1, n):
        yield [Send(rank, 0, chunk, reduce=True) for chunk in range(n)]
    yield [Send(0, rank, chunk) for rank in range(1, n) for chunk in range(n)]
"""


@pytest.fixture
def mine(tmp_path):
    """A function that writes a file of the user and returns its path."""

    def write(text, name="mine.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return str(path)

    return write


@pytest.fixture(autouse=True)
def nothing_stays():
    """Whatever a file of the user does, the interpreter is as it was."""
    before = list(sys.path), sys.dont_write_bytecode, sys.stdout
    yield
    assert (list(sys.path), sys.dont_write_bytecode, sys.stdout) == before


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mine.py:star", "mine.py"),
        ("a/b.py:star", "a/b.py"),
        ("mine.py", "mine.py"),
        ("odd:name.py", "odd:name.py"),
        ("a:b/mine.py", "a:b/mine.py"),
        ("hierarchical:nodes", None),
        ("ring", None),
        ("plan.xml", None),
        (3, None),
    ],
)
def test_files_are_told_from_names(name, expected):
    assert is_user_code(name) == (expected is not None)
    if expected:
        assert user_file(name) == expected


def test_a_function_of_a_file_is_run_and_timed_as_the_function_is(mine):
    path, world = mine(STAR), World("three-campus")
    x = np.random.default_rng(0).integers(-9, 9, (24, 100)).astype(np.float32)
    run = world.all_reduce(x, algorithm=f"{path}:star")
    assert np.array_equal(run.output, np.tile(x.sum(axis=0), (24, 1)))
    assert run.prediction.algorithm == "star"
    space = {}
    exec(STAR, space)
    assert world.predict("all_reduce", 100, algorithm=space["star"]).time_s == run.time_s
    assert world.predict("all_reduce", 100, algorithm=f"{path}:star", collapse=True).time_s == (
        run.time_s
    )


def test_a_file_is_executed_once_and_again_when_it_has_changed(mine):
    path = mine("from emul.plans import build_plan\nplan = build_plan('all_reduce', 'ring', [2])\n")
    first = load_algorithm(f"{path}:plan")
    assert isinstance(first, Plan)
    assert load_algorithm(f"{path}:plan") is first
    mine("from emul.plans import build_plan\nplan = build_plan('all_reduce', 'direct', [3])\n")
    assert str(load_algorithm(f"{path}:plan")) == "direct all_reduce over 3 ranks"


def test_what_an_algorithm_says_of_itself_is_kept(mine):
    path = mine(
        STAR + "\n@algorithm('all_gather', chunks=lambda n: 2 * n, scratch=lambda n: 1, root=1)\n"
        "def to_all(n, chunks):\n"
        "    yield [Send(r, to, c) for r in range(n) for to in range(n) if to != r\n"
        "           for c in range(2 * r, 2 * r + 2)]\n"
    )
    found = load_algorithm(f"{path}:to_all")
    assert (found.collective, found.root, found.name) == ("all_gather", 1, "to_all")
    plan = plan_from(found, None, 3)
    verify(plan)
    assert (plan.partition.n_chunks, plan.scratch.shape) == (6, (1, 1))


def test_siblings_are_imported_and_forgotten(mine, tmp_path):
    for folder, factor in (("a", 1), ("b", 2)):
        mine(f"HALF = {factor}\n", f"{folder}/helper.py")
        mine(
            """
            import helper
            from emul import Send
            def mine(n):
                from later import LAST
                yield [Send(0, rank, LAST + helper.HALF - helper.HALF) for rank in range(1, n)]
            def half(n):
                return [[]] * helper.HALF
            """,
            f"{folder}/mine.py",
        )
        mine("LAST = 0\n", f"{folder}/later.py")
    for folder, factor in (("a", 1), ("b", 2)):
        path = tmp_path / folder / "mine.py"
        verify(plan_from(load_algorithm(f"{path}:mine"), "broadcast", 3, chunks=1))
        assert len(list(plan_from(load_algorithm(f"{path}:half"), None, 3).steps())) == factor
    assert not {"helper", "later", "mine"} & set(sys.modules)
    assert not list(tmp_path.rglob("__pycache__"))


def test_a_file_prints_on_standard_error(mine, capsys):
    path = mine("print('at first')\n" + STAR.replace("    for rank", "    print(n)\n    for rank"))
    plan_from(load_algorithm(f"{path}:star"), None, 4)
    assert capsys.readouterr() == ("", "at first\n4\n")


def test_dataclasses_of_a_file_work(mine):
    path = mine(
        """
        from __future__ import annotations
        from dataclasses import dataclass
        @dataclass
        class Place:
            rank: int
        def mine(n):
            return [[]] * Place(2).rank
        """
    )
    assert len(list(plan_from(load_algorithm(f"{path}:mine"), None, 4).steps())) == 2


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("def mine(n:\n", "mine.py, line 1: no Python: '\\(' was never closed"),
        ("x = 1\nimport no_such_module\n", "mine.py, line 2: ModuleNotFoundError: No module named"),
        ("\n\n1 / 0\n", "mine.py, line 3: ZeroDivisionError: division by zero$"),
        ("def mine(n):\n    return n[0]\n", "mine.py, line 2: TypeError: 'int' object is not sub"),
        ("def mine(n):\n    yield []\n    yield [][1]\n", "line 3: IndexError: list index out of"),
        ("def mine(n):\n    yield (1 // 0 for _ in range(n))\n", "line 2: ZeroDivisionError"),
        ("import sys\nsys.exit('bye')\n", "mine.py, line 2: the program is ended here: needed"),
        ("def mine(n):\n    exit(3)\n", "mine.py, line 2: the program is ended here"),
        ("from emul.plans import build_plan\ndef mine(n):\n    return build_plan('x', 'ring', [n])",
         "mine.py, line 3: unknown collective 'x'"),
        ("def mine(n):\n    assert n < 0\n", "mine.py, line 2: AssertionError$"),
        ("def mine(n):\n    raise ValueError('two\\nlines')\n", "line 2: ValueError: two lines$"),
        ("def mine(n):\n    return mine(n)\n", "mine.py, line 2: RecursionError: maximum"),
        ("mine = 3\n", "mine.py:mine is 3: needed a function that yields steps, or a Plan"),
        ("class mine:\n    pass\n", "mine is <class .*: needed a function that yields steps"),
        ("def main(n):\n    yield []\n", "has no mine: .* did you mean .*mine.py:main\\?"),
        ("def other(n):\n    yield []\n", "has no mine: needed a function .*; it has other$"),
        ("_hidden = 1\n", "has no mine: needed a function that yields steps, .*; it has none"),
        ("def mine(n):\n    return 5\n", "mine returns 5: needed steps"),
        ("import broken\n", r"broken.py, line 2: no Python: invalid syntax"),
        ("import breaks\n", r"breaks.py, line 3: KeyError: 'x'"),
        ("b'\\xff'.decode()\n", "line 1: UnicodeDecodeError"),
    ],
)  # fmt: skip
def test_errors_of_a_file_have_its_line(text, complaint, mine):
    mine("x = 1\ny = = 2\n", "broken.py")
    mine("\ndef f():\n    return {}['x']\nf()\n", "breaks.py")
    path = mine(text)
    with pytest.raises(PlanError, match=complaint) as raised:
        plan_from(load_algorithm(f"{path}:mine"), None, 4)
    assert "\n" not in str(raised.value)


def test_a_file_without_a_name_in_it_says_which_there_are(mine):
    path = mine(f"class Helper: pass\n{STAR}")
    with pytest.raises(PlanError, match=r"asked for: needed [^ ]*mine.py:star$"):
        load_algorithm(path)


def test_what_cannot_be_read_is_refused(mine, tmp_path):
    with pytest.raises(PlanError, match=r"gone.py: cannot be read \(No such file or dir"):
        load_algorithm(f"{tmp_path}/gone.py:star")
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(PlanError, match=r"folder.py: cannot be read \(no regular file\): needed a"):
        load_algorithm(f"{tmp_path}/folder.py:star")
    with pytest.raises(PlanError, match="cannot be read"):
        load_algorithm("a\0b.py:star")


EVIL = """
import sys
from emul import Send, algorithm
class Error(Exception):
    def __str__(self): sys.exit(0)
class Worse(BaseException):
    def __str__(self): return 5
class Thing:
    def __repr__(self): sys.exit(0)
class Odd:
    def __repr__(self): return 5
class Iterates:
    def __iter__(self): raise OSError("no more")
class Endless:
    def __iter__(self): return 5
class Nameless:
    def __getattr__(self, name): raise ZeroDivisionError(name)
    def __call__(self, n): yield []
"""


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("def mine(n): raise Error", "mine.py, line 19: Error: of type Error$"),
        ("def mine(n): raise Worse", "mine.py, line 19: Worse: of type Worse$"),
        ("def mine(n): raise GeneratorExit", "mine.py, line 19: GeneratorExit$"),
        ("def mine(n):\n  yield []\n  raise GeneratorExit", "mine.py, line 21: GeneratorExit$"),
        ("mine = Thing()", "mine is of type Thing: needed a function that yields steps"),
        ("mine = Odd()", "mine is of type Odd: needed a function that yields steps"),
        ("def mine(n): return Thing()", "mine returns of type Thing: needed steps"),
        ("def mine(n): return Iterates()", "mine.py, line 13: OSError: no more$"),
        ("def mine(n): yield Iterates()", "mine.py, line 13: OSError: no more$"),
        ("def mine(n): return Endless()", r"mine.py.*: TypeError: iter\(\) returned non-iterator"),
        ("def mine(n): yield Endless()", r"mine.py.*: TypeError: .*iter"),
        ("mine = Nameless()", "mine.py, line 17: ZeroDivisionError: __name__"),
        ("def __getattr__(name): raise KeyError(name)", "mine.py, line 19: KeyError: 'mine'"),
        ("async def mine(n): return []", "mine returns <coroutine object mine at"),
    ],
)
def test_code_that_fails_where_nobody_expects_code_is_one_error(text, complaint, mine):
    path = mine(f"{EVIL}{text}\n")
    with pytest.raises(PlanError, match=complaint) as raised:
        plan_from(load_algorithm(f"{path}:mine"), None, 4)
    assert "\n" not in str(raised.value)


def test_an_interrupt_is_no_error_of_the_file(mine):
    path = mine("def mine(n):\n    raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        plan_from(load_algorithm(f"{path}:mine"), None, 4)
    path = mine("def mine(n):\n    raise MemoryError\n", "large.py")
    with pytest.raises(MemoryError):
        plan_from(load_algorithm(f"{path}:mine"), None, 4)
