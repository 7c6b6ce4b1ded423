"""Every attribute of the compiled classes is kept by a checkpoint, or said to need no keeping."""

import re
from pathlib import Path

import pytest
from emul.timing.engine.connections import Connections
from emul.timing.engine.due import DueQueue
from emul.timing.engine.egress import Egress
from emul.timing.engine.fluid import Fluid

import emul.timing.engine
from emul.timing.engine.credit import Credit
from emul.timing.engine.dependencies import Edges
from emul.timing.engine.operations import Operations
from emul.timing.engine.scheduler import Simulation

ENGINE = Path(emul.timing.engine.__file__).parent
OWNERS = {
    "scheduler.pyx": Simulation,
    "dependencies.pxd": Edges,
    "egress.pxd": Egress,
    "credit.pxd": Credit,
    "connections.pxd": Connections,
    "fluid.pxd": Fluid,
    "due.pxd": DueQueue,
    "operations.pxd": Operations,
}
KINDS = {
    "transfer", "port", "connection", "stream", "class", "joint", "item", "heap", "operation",
    "given", "made anew",
}  # fmt: skip
ATTRIBUTE = re.compile(r"^    cdef (?:readonly )?[\w]+(?:\[[:, 1]+\])?\*? (\w+) *(?:#.*)?$", re.M)


def attributes(source, name):
    """The names of the C attributes that a class declares."""
    (body,) = re.findall(rf"^cdef class {name}:\n((?:(?:    .*)?\n)+)", source, re.M)
    return ATTRIBUTE.findall(body)


@pytest.mark.parametrize("file", OWNERS)
def test_each_attribute_is_kept_given_or_made_anew(file):
    owner = OWNERS[file]
    declared = attributes((ENGINE / file).read_text(), owner.__name__)
    listed = [name.rstrip("*") for names in owner.STATE.values() for name in names.split()]
    assert declared
    assert sorted(declared) == sorted(listed)
    assert owner.STATE.keys() <= KINDS


@pytest.mark.parametrize("file", OWNERS)
def test_each_kind_of_columns_is_saved_and_restored_by_its_class(file):
    source = (ENGINE / file).with_suffix(".pyx").read_text()
    for kind in OWNERS[file].STATE.keys() - {"given", "made anew"}:
        for verb in ("save", "restore"):
            assert source.count(f'StateColumns(self, "{kind}").{verb}(') == 1, (kind, verb)


def test_an_attribute_that_is_added_is_found():
    source = """
cdef class Thing:
    cdef readonly int64_t[:, ::1] one    # a
    cdef Heap* two

    cdef double three

    cdef void act(self) noexcept nogil

cdef class Other:
"""
    assert attributes(source, "Thing") == ["one", "two", "three"]
