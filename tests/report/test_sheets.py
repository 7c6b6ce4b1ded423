"""Sheets of plans, topologies and stacks: what each figure on them stands for."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

from emul import Link, Node, Site, Topology, Trunk
from emul.files import write_file, write_text
from emul.measured import Calibration
from emul.plans import build_plan
from emul.report.calibration_words import fit_words
from emul.report.closing import Excerpt
from emul.report.plans import plan_sheet
from emul.report.stacks import choice_table, number_table
from emul.report.table import figure, micro
from emul.report.topologies import _joined, topology_sheet
from emul.report.validation import validation_table
from emul.report.words import _excerpt
from emul.stacks.stack import Choice, Stack

NEAR, FAR = Link(1e9, 1e-6), Link(2e9, 5e-3, 1e-6)
TOPOLOGY = Topology(
    "two",
    (Site("a", (Node(2, NEAR), Node(1, NEAR)), NEAR), Site("b", (Node(1, NEAR),), NEAR)),
    (Trunk(("a", "b"), FAR, 12.5),),
)


def printed(table):
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(table)
    return console.export_text()


def sheet(collective, algorithm, steps=8, root=0):
    plan = build_plan(collective, algorithm, TOPOLOGY.ranks_by_node, root=root)
    return list(plan_sheet(plan, TOPOLOGY, steps))


def test_a_plan_is_carried_in_its_own_direction():
    lines = sheet("broadcast", "direct")
    assert "trunk a -> b: 1 buffers" in lines
    assert "trunk b -> a: 0 buffers" in lines
    assert "NICs of a: a rank sends at most 2 buffers, another receives 1" in lines
    assert "NICs of b: the busiest rank sends 0 and receives 1 buffers" in lines
    assert "node links of a: a rank sends at most 1 buffers, another receives 1" in lines
    gathered = sheet("reduce", "direct", root=3)
    assert "trunk a -> b: 3 buffers" in gathered
    assert "NICs of b: the busiest rank sends 0 and receives 3 buffers" in gathered


def test_a_plan_is_counted_without_what_stays_at_a_rank():
    (line,) = [each for each in sheet("all_to_all", "direct") if " transfers on " in each]
    assert line == "4 steps, 12 transfers on 1 channel; 4 chunks; 3 buffers sent in all"


def test_steps_that_are_not_drawn_are_counted():
    lines = sheet("all_reduce", "ring", steps=2)
    assert lines[-1] == "... and 4 more steps"
    assert [each for each in lines if each.startswith("step ")] == ["step 0:", "step 1:"]
    assert "  rank 3 chunk 2 reduces into rank 0" in lines
    assert sheet("all_reduce", "ring", steps=6)[-1].startswith("  rank ")


def test_several_chunks_are_named_from_the_first_to_the_last():
    lines = sheet("all_gather", "bruck")
    assert "  rank 1 chunk 0 to chunk 1 to rank 3" in lines
    assert not any("chunk 4" in each for each in lines)


def test_a_topology_has_its_ranks_nodes_and_round_trips():
    heading, table = topology_sheet(TOPOLOGY)
    assert heading[1] == "a 3 ranks on 2 nodes, b 1 rank on 1 node"
    (line,) = [each for each in printed(table).splitlines() if each.strip().startswith("a - b")]
    # 2 GB/s x 10 ms are 20 MB
    expected = "a - b  12.5  5 ms  10 ms  2 GB/s (16 Gbit/s)  1 us  19.07 MiB"
    assert line.split() == expected.split()
    limited = replace(TOPOLOGY.sites[0], uplink_bytes_per_s=1.5e9)
    _, table = topology_sheet(replace(TOPOLOGY, sites=(limited, TOPOLOGY.sites[1])))
    assert "uplink of a" in printed(table)
    assert "1.5 GB/s (12 Gbit/s)" in printed(table)


def test_names_beyond_four_are_counted():
    assert _joined(list("abcd")) == "a, b, c, d"
    assert _joined(list("abcdefg")) == "a, b, c, d and 3 more"


@pytest.mark.parametrize(("in_order", "said"), [(True, "behind bulk data"), (False, "past bulk")])
def test_a_stack_says_whether_answers_overtake(in_order, said):
    stack = Stack("own", handshake="notice", in_order=in_order, slice_bytes=1024, slots=3)
    assert said in printed(number_table(stack))
    assert "1 KiB, 3 in flight" in printed(number_table(stack))


def test_choices_hold_up_to_ranks_and_below_bytes():
    stack = Stack("own", choices={"broadcast": (Choice("x", 7, 2048), Choice("y"))})
    lines = [line.split() for line in printed(choice_table(stack)).splitlines()]
    assert ["broadcast", "up", "to", "7", "below", "2", "KiB", "x"] in lines
    assert ["broadcast", "any", "any", "y"] in lines


@pytest.mark.parametrize(
    ("value", "width", "text"),
    [(1.234, 4, "1.23"), (12.345, 4, "12.3"), (123.45, 4, "123"), (1234.5, 4, "1234"),
     (12345.6, 4, "1.2e+04"), (0.5, 7, "0.50"), (None, 4, "-")],
)  # fmt: skip
def test_figures_fit_into_their_columns(value, width, text):
    assert figure(value, width) == text
    assert micro(None if value is None else value / 1e6, width) == text


def test_an_excerpt_tells_the_whole_before_the_part():
    def words(more):
        return _excerpt(Excerpt(120, 4, 900, 30, more))

    told = "Alike: 120 ranks were timed by 4 of them, 900 transfers by 30"
    assert words(0.0) == f"{told}."
    assert words(0.25).startswith(f"{told}; shares do not come out even")
    assert words(0.25).endswith("with 25 % more bytes in all.")


def test_a_file_is_as_it_was_where_it_cannot_be_written_whole(tmp_path):
    path = tmp_path / "rows.json"
    write_text(path, "as it was")

    def half(file):
        file.write(b"half of it")
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_file(path, half)
    assert path.read_text() == "as it was"
    assert list(tmp_path.iterdir()) == [path]


def test_a_row_of_a_validation_has_bits_and_two_errors():
    """1 MB/s is 8 Mbit/s; predicted 10 % more than measured, by the textbook 40 % less."""
    row = SimpleNamespace(
        sw="gloo", collective="broadcast", algorithm="ring", ranks=4, placement="block",
        delay_s=5e-3, rate_bytes_per_s=1e6, nbytes=1000, measured_s=0.5,
    )  # fmt: skip
    predicted = SimpleNamespace(
        row=row, predicted_s=0.55, error=0.1, binding="share", textbook_s=0.3, textbook_error=-0.4
    )
    text = printed(validation_table([predicted]))
    assert [each for each in text.split() if "%" in each] == ["+10.0%", "-40.0%"]
    assert "8 Mbit/s" in text


def test_a_fit_is_off_in_the_median_and_at_worst():
    found = Calibration(None, None, None, None, (), 7, 0.01, 0.25, 0)
    assert fit_words(found).startswith(
        "7 measurements; the fit is off by 1.00% in the median, by 25.00% at worst"
    )
