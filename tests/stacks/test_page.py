"""The page of stacks says what the reader does."""

import re
from importlib.resources import files

from emul import World
from emul.stacks.profile import KEYS, read_stack, stack_names

PAGE = files("emul.stacks").joinpath("README.md").read_text()


def test_the_page_has_every_key_and_every_stack():
    said = re.findall(r"`([\w@.]+)`", PAGE)
    described = {"name", "description", "constants", "choice", "sources"}
    described |= {"options", "tuner_rules", "sockets", "more_call_us"}
    assert set(KEYS) - described <= set(said)
    assert set(stack_names()) <= set(said)
    tables = (
        "[constants]",
        "[[choice]]",
        "[sources]",
        "[options]",
        "[tuner_rules]",
        "[sockets]",
        "[more_call_us]",
    )
    for table in tables:
        assert table in PAGE


def test_the_example_of_the_page_can_be_used(tmp_path):
    polling, text = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "mine.toml"
    path.write_text(polling)
    assert read_stack(path).host_constants.message_s == 3e-6  # of the socket
    path.write_text(text)
    stack = read_stack(path)
    assert stack.eager_bytes == 16384
    world = World("one-campus", stack=str(path))
    assert world.predict("all_reduce", 100).plan.algorithm == "openmpi:ring"  # 24 ranks, not 8
