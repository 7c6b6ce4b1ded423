"""Every option that takes a number, found by asking the commands for their options."""

import click
import pytest
from command import run_here
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples

from emul.cli.main import main
from emul.cli.names import Name
from emul.cli.params import Amount, Dilation, Real, Seconds, Size, Whole

NUMBERS = (Amount, Dilation, Real, Seconds, Size, Whole)
HUGE = "99999999999999999999"
NEVER = {
    Real: ["nan", "-nan", "inf", "-inf", "1e300", "1e999", "-1", HUGE, "9" * 400, "", "few", "0x"],
    Amount: ["nan", "inf", "-inf", "1e300", "1e999", "-1", "0", HUGE + "T", "9" * 400, "", "few"],
    Seconds: ["nan", "inf", "-inf", "1e300", "1e999", "-1", "0", HUGE, "9" * 400, "", "few", "1h"],
    Dilation: ["nan", "inf", "-inf", "1e300", "1e-300", "1e999", "-1", "0", "9" * 400, "", "Auto"],
    Whole: ["nan", "inf", "1e300", "-1", HUGE, "-" + HUGE, "9" * 5000, "", "few", "1.5"],
    Size: ["nan", "inf", "1e300", "-1", HUGE, HUGE + "T", "9" * 5000, "9" * 99, "", "few", "1e3"],
}


def commands(group, path=()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def options():
    for path, command in commands(main):
        for option in command.params:
            if isinstance(option, click.Option) and not option.is_flag:
                yield path, command, option


OPTIONS = [(path, command, each) for path, command, each in options()
           if isinstance(each.type, NUMBERS)]  # fmt: skip


def test_numbers_are_of_the_types_that_refuse():
    """With click's own types, nan and numbers of a thousand digits would get through."""
    assert len(OPTIONS) >= 17
    for path, _, option in options():
        if not isinstance(option.type, NUMBERS):
            assert isinstance(option.type, (click.Choice, click.Path, click.types.StringParamType))
            assert not isinstance(option.default, (int, float)), (path, option.name)


@pytest.mark.parametrize(
    ("path", "command", "option"), OPTIONS, ids=[f"{p[-1]} {o.opts[-1]}" for p, _, o in OPTIONS]
)
def test_what_is_no_number_or_bounds_nothing_is_refused_at_the_option(path, command, option):
    required = [
        text
        for each in command.params
        if each.required
        for text in ([] if isinstance(each, click.Argument) else [each.opts[0]]) + ["x"]
    ]
    for value in NEVER[type(option.type)]:
        status, printed, complaint = run_here(*path, *required, f"{option.opts[-1]}={value}")
        assert (status, printed) == (2, ""), value
        assert complaint.count("\n") == 1
        assert option.opts[-1] in complaint, complaint
        assert len(complaint) < 1500


@examples(200)
@given(st.one_of(st.floats().map(repr), st.integers().map(str), st.text(max_size=8)))
def test_an_option_gives_a_number_in_its_range_or_a_usage_error(text):
    ranges = ((Real(0), 0, 1e12), (Whole(0), 0, 2**63 - 1), (Size(), 0, 2**63 - 1),
              (Dilation(), 1e-9, 1e9))  # fmt: skip
    for kind, least, most in ranges:
        try:
            number = kind.convert(text, None, None)
        except click.UsageError:
            continue
        assert number == "auto" or least <= number <= most


def test_sizes_are_exact_and_not_without_number():
    assert Size().convert("9007199254740993", None, None) == 9007199254740993
    status, printed, complaint = run_here("perf", "-b", "1", "-e", "1T", "-i", "1")
    assert (status, printed) == (2, "")
    assert "1099511627776 sizes: needed at most 10000" in complaint


def test_all_steps_of_a_plan_are_those_that_there_are():
    most = str(2**63 - 1)
    arguments = ["plan", "show", "all_reduce", "direct", "--topology", "one-campus"]
    assert run_here(*arguments, "--steps", most) == run_here(*arguments, "--steps", "1000")


NAMED = [(path, command, each) for path, command in commands(main) for each in command.params
         if isinstance(each.type, Name)]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "command", "named"), NAMED, ids=[f"{p[-1]} {each.opts[-1]}" for p, _, each in NAMED]
)
def test_an_empty_word_is_no_name_and_takes_no_default(path, command, named):
    words = [] if isinstance(named, click.Argument) else [named.opts[0], ""]
    for each in command.params:
        if isinstance(each, click.Argument) and (each.required or each is named):
            words.append("" if each is named else "x")
    status, out, complaint = run_here(*path, *words)
    assert (status, out) == (2, "")
    assert "'': needed a name" in complaint
