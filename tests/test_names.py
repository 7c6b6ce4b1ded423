"""What ``import emul`` offers, and that it is loaded only when it is used."""

import ast
import sys
from pathlib import Path

import pytest
from command import printed_by

import emul


def imported_for_types():
    tree = ast.parse(Path(emul.__file__).read_text())
    blocks = (node for node in tree.body if isinstance(node, ast.If))
    (block,) = (node for node in blocks if ast.unparse(node.test) == "TYPE_CHECKING")
    return {name.name: line.module for line in block.body for name in line.names}


def test_a_type_checker_sees_what_a_program_gets():
    assert imported_for_types() == emul._ROOM_OF
    assert set(emul.__all__) <= set(dir(emul))
    for name, room in emul._ROOM_OF.items():
        assert getattr(emul, name) is getattr(sys.modules[room], name)


def test_rooms_are_there_without_an_import_of_their_own():
    script = "import emul; print(emul.plans.build_hierarchy.__name__, emul.measured.__name__)"
    assert printed_by(script) == "build_hierarchy emul.measured\n"


@pytest.mark.parametrize("name", ["Wrold", "_worlds", "__wrapped__", "no_such_room"])
def test_what_is_not_there_is_an_attribute_error(name):
    with pytest.raises(AttributeError, match=f"module 'emul' has no attribute '{name}'"):
        getattr(emul, name)


@pytest.mark.parametrize("imported", ["emul", "emul.cli.main"])
def test_what_needs_no_array_does_not_wait_for_numpy(imported):
    script = f"import sys, {imported}; print([m for m in sys.modules if m.startswith('numpy')])"
    assert printed_by(script) == "[]\n"
