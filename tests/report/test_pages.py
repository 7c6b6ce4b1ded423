"""Pages: questions and answers, sources, sums, and text that stays text."""

import re
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from nightly import examples
from report import pages
from report.test_markup import HOSTILE, Read

from emul import Node, Site, Topology, World
from emul.reading.printable import printable
from emul.report import perf_row
from emul.report.closing import closing_of
from emul.report.html import (
    Origin,
    PerfFindings,
    calibration_page,
    perf_page,
    render,
    validation_page,
    write_report,
)
from emul.report.html.page import Page, Table, Words, table
from emul.report.html.renderer import MOST_OPEN, MOST_ROWS
from emul.report.validation import ValidationResult
from emul.runtime.alternatives import Alternative
from emul.topology import load_document
from emul.units import format_time

MOST_BYTES = 5_000_000
KINDS = {
    "perf": pages.campuses,
    "explain": pages.explained,
    "train": pages.trained,
    "tune": pages.tuned,
    "validate": pages.validated,
    "calibrate": pages.calibrated,
}


@pytest.fixture(params=KINDS)
def page(request):
    return KINDS[request.param]()


def sections(page, kind):
    return [each for each in page.sections if isinstance(each, kind)]


def table_of(page, title):
    """Return the table that begins with ``title``, as rows by their columns."""
    found = sections(page, Table)
    found += [each.numbers for each in page.sections if getattr(each, "numbers", None)]
    (chosen,) = [each for each in found if each.title.startswith(title)]
    names = [column.name for column in chosen.columns]
    return [dict(zip(names, row, strict=True)) for row in chosen.rows]


def test_a_page_asks_nobody_and_runs_nothing(page):
    text = render(page)
    read = Read(text)
    tags = {tag for tag, _ in read.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    names = {name for _, attributes in read.elements for name, _ in attributes}
    assert not {name for name in names if name.startswith("on")} | (names & {"src", "style"})
    hrefs = [dict(attributes).get("href") for _, attributes in read.elements]
    assert {href for href in hrefs if href} == {"#answer"}
    assert "url(" not in text
    assert "@import" not in text
    policy = next(dict(a)["content"] for t, a in read.elements if ("http-equiv" in dict(a)))
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert len(text) < MOST_BYTES / 20


def test_a_page_can_be_read_by_ear_and_by_keyboard(page):
    read = Read(render(page))
    levels = [int(tag[1]) for tag, _ in read.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert set(levels[1:]) == {2}
    ids = [dict(attributes)["id"] for _, attributes in read.elements if "id" in dict(attributes)]
    assert len(ids) == len(set(ids))
    for tag, attributes in read.elements:
        given_ = dict(attributes)
        for name in ("aria-labelledby", "aria-describedby"):
            assert given_.get(name, ids[0]) in ids
        if tag == "svg":
            assert given_["role"] == "img"
            assert given_["aria-labelledby"] != given_["aria-describedby"]
        if given_.get("class") in ("wide", "drawing"):
            assert given_["tabindex"] == "0"
            assert given_["aria-label"]
    assert dict(read.elements[0][1]) == {"lang": "en"}


def test_drawings_are_well_formed(page):
    drawings = re.findall(r"<svg.*?</svg>", render(page), flags=re.DOTALL)
    assert drawings
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert [child.tag for child in root[:2]] == ["title", "desc"]
        assert root[1].text


def test_two_runs_of_one_input_differ_in_the_moment_alone(page):
    later = Origin.of("1.2.3", ["emul", "perf", "a b.toml"], datetime(2027, 1, 2, 3, 4))
    one, two = render(page), render(replace(page, origin=later))
    assert one != two
    assert re.sub("<time>.*?</time>", "", one) == re.sub("<time>.*?</time>", "", two)


def test_the_command_can_be_run_again():
    assert pages.MADE.command == "emul perf 'a b.toml'"
    words = ["emul", "perf", "--topology", "it's $HOME;`x`"]
    said = Origin.of("1", words, datetime(2026, 12, 1)).command
    assert said == "emul perf --topology 'it'\"'\"'s $HOME;`x`'"


def test_the_answer_has_the_figures_of_the_computation():
    world = World(pages.topology(["north", "south"]))
    found = pages.findings(world)
    alone = World(world.topology.in_one_place()).predict("all_reduce", 1 << 18, dtype="float32")
    here = found.prediction
    closing = closing_of(world, here, alone)
    page = perf_page(replace(found, closing=closing), pages.MADE)
    spent = here.critical_path.spent_s(here.critical_path.binding_place)
    assert page.question == (
        "How long does all_reduce of 64 B to 1 MiB take over 4 ranks at 2 sites (some), and why?"
    )
    assert page.answer == (
        f"{format_time(here.time_s)} for 1 MiB by {here.algorithm}, "
        f"{here.time_s / alone.time_s:.3g} times as long as at one campus; {format_time(spent)} of "
        f"it are spent at {here.critical_path.binding_place}."
    )


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"one": 0.502, "all": 0.5}, "one"),
        ({"one": 0.9, "all": 0.5}, "all"),
        ({"one": 0.995, "all": 1.2}, None),
        ({}, None),
    ],
)
def test_the_answer_names_the_least_change_that_brings_most(parts, named):
    """Not an effect that is turned off: nobody can buy a link without loss."""
    found = pages.findings(World(pages.topology(["a", "b"])))
    now = found.prediction.time_s
    changes = [
        Alternative(change, SimpleNamespace(time_s=part * now, algorithm="", binding=""))
        for change, part in parts.items()
    ]
    ideal = SimpleNamespace(time_s=now / 9, algorithm="", binding="")
    changes.append(Alternative("no packet lost", ideal, effect="loss"))
    answer = perf_page(replace(found, changes=changes), pages.MADE).answer
    said = f"; with {named} it would take {format_time(parts[named] * now)}" if named else ""
    assert answer.endswith(f" at {found.prediction.critical_path.binding_place}{said}.")


def test_a_slower_single_place_is_not_compared_with():
    world = World(pages.topology(["north", "south"]))
    found = pages.findings(world)
    slower = world.predict("all_reduce", 1 << 22, dtype="float32")
    closing = closing_of(world, found.prediction, slower)
    page = perf_page(replace(found, closing=closing), pages.MADE)
    assert "one campus" not in page.answer
    assert "one site" not in render(page)


def test_wrong_elements_and_defects_are_in_the_answer():
    found = pages.findings(World(pages.topology(["a", "b"])))
    rows = [replace(each, wrong=number) for number, each in enumerate(found.rows)]
    page = perf_page(replace(found, rows=rows), pages.MADE)
    assert "; 3 elements were wrong." in page.answer
    assert [row["#wrong"] for row in table_of(page, "All sizes")] == ["0", "1", "2"]
    low = replace(found.prediction, bound_ps=found.prediction.total_ps + 1)
    assert "by a defect of emul: do not trust it" in perf_page(
        replace(found, prediction=low), pages.MADE
    ).answer  # fmt: skip


def test_parts_of_the_time_add_up_to_the_whole():
    page = pages.campuses()
    *parts, whole = table_of(page, "Parts of the time")

    def number(text):
        return float(text.replace(",", ""))

    assert whole["where"] == "all"
    assert sum(number(part["time (us)"]) for part in parts) == pytest.approx(
        number(whole["time (us)"]), abs=1e-9
    )
    modelled = number(table_of(page, "All sizes")[-1]["modelled (us)"])
    assert number(whole["time (us)"]) == pytest.approx(modelled, rel=1e-5)
    shares = [part["share"] for part in parts]
    printed = [float(share.strip("%")) for share in shares if "<" not in share]
    assert sum(printed) == pytest.approx(100)


def test_shares_of_an_explanation_add_up_to_the_time():
    page = pages.explained()
    *parts, whole = table_of(page, "Shares at 16 KiB")
    assert whole["effect"] == "sum"
    for column in ("share (us)", "share (%)"):
        printed = [round(100 * float(part[column])) for part in parts]
        assert sum(printed) == round(100 * float(whole[column]))
    assert {"host", "schedule", "sending"} <= {part["effect"] for part in parts}
    chain = table_of(page, "The binding chain at 16 KiB")
    spent = sum(round(1e6 * float(part["time (us)"].replace(",", ""))) for part in chain)
    assert spent / 1e6 == pytest.approx(float(whole["share (us)"]), abs=0.01)
    assert page.answer.startswith("all_reduce of 16 KiB takes ")
    assert "Was it the distance?" in page.answer
    colors = re.findall(r'class="f(\d+) part"', render(page))
    at_16_kib = colors[: len([part for part in parts if float(part["share (us)"]) > 0])]
    assert len(set(at_16_kib)) == len(at_16_kib)


def test_changes_stand_in_the_order_of_their_gain():
    world = World(pages.topology(["a", "b"]))
    found = pages.findings(world)
    here = found.prediction
    half = world.predict("all_reduce", 1 << 12, dtype="float32")
    more = world.predict("all_reduce", 1 << 20, dtype="float32")
    changes = (
        Alternative("more", more),
        Alternative("refused", None, "too much work"),
        Alternative("same", here),
        Alternative("half", half),
    )
    rows = table_of(perf_page(replace(found, changes=changes), pages.MADE), "What a change")
    assert [row["change"] for row in rows] == ["half", "same", "more", "refused"]
    assert rows[0]["brings"] == f"{here.time_s / half.time_s:.3g} times as fast"
    assert rows[1]["brings"] == "nothing"
    assert rows[2]["brings"] == f"{100 * (more.time_s / here.time_s - 1):.3g}% more time"
    assert rows[3]["brings"] == "not timed: too much work"


def test_measured_figures_stand_where_a_clock_was_waited_for():
    found = pages.findings(World(pages.topology(["a", "b"])))
    assert "measured (us)" not in table_of(perf_page(found, pages.MADE), "All sizes")[0]
    rows = [
        replace(row, wall_s=2 * row.modelled_s + 1e-6, lag_s=1e-6, dilation=2.0)
        for row in found.rows
    ]
    page = perf_page(replace(found, rows=rows), pages.MADE)
    assert [row["lag (us)"] for row in table_of(page, "All sizes")] == ["1.00"] * 3
    text = render(page)
    assert "measured, divided by the dilation of 2" in text
    assert "Measured = 2 x modelled + lag." in text


def test_sources_and_effects_left_out_are_told():
    text = render(pages.campuses())
    assert "others leave a quarter" in text
    assert ">assumed<" in text
    world = World(World("three-campus").topology.without(["loss", "jitter"]))
    found = pages.findings(world, (16,), document=load_document("three-campus"))
    remarks = perf_page(found, pages.MADE).sections[-1].remarks
    assert "Left out, though the links below have it: loss, jitter." in remarks
    assert not any("Left out" in each for each in pages.campuses().sections[-1].remarks)


def test_without_a_file_the_page_says_that_there_are_no_sources():
    page = perf_page(pages.findings(World(pages.topology(["a", "b"]))), pages.MADE)
    assert any("made by a program" in each for each in page.sections[-1].remarks)


def test_data_go_as_the_stack_of_the_call_sends_them():
    def remarks(**settings):
        world = World("three-campus", **settings)
        found = pages.findings(world, (1 << 18,), "auto")
        return " ".join(perf_page(found, pages.MADE).sections[-1].remarks)

    assert "Data go as nccl LL128 sends them; random" in remarks(
        stack="nccl", stack_options={"NCCL_PROTO": "LL128"}
    )
    by_model = remarks(slicing=None)
    assert "Data go in whole chunks; random" in by_model
    assert "the algorithm is the quickest by the model" in by_model


def test_one_rank_sends_nothing_and_no_change_brings_anything():
    site = Site("a", (Node(1, pages.NEAR),), pages.NEAR)
    world = World(Topology("alone", (site,)))
    now = world.predict("all_reduce", 16)
    found = pages.findings(world, (16,), "auto", changes=[Alternative("no distance at all", now)])
    page = perf_page(found, pages.MADE)
    assert page.question.startswith("How long does all_reduce of 64 B take over 1 rank at 1 site ")
    (change,) = table_of(page, "What a change would bring")
    assert (change["time (us)"], change["brings"]) == ("0.00", "nothing")
    said = " ".join(sections(page, Words)[-1].sentences)
    assert "One campus" not in said
    assert said.endswith("more were not timed: none can be quicker.")


def test_one_site_and_nothing_sent_have_pages():
    alone = render(perf_page(pages.findings(World("one-campus")), pages.MADE))
    assert "Sites and trunks" not in alone
    nothing = pages.findings(World(pages.topology(["a", "b"])), (0,))
    page = perf_page(nothing, pages.MADE)
    assert page.answer.startswith("0 ns for 0 B by ")
    assert "Nothing is sent" in render(page)


def test_an_interrupted_page_says_so():
    found = pages.findings(World(pages.topology(["a", "b"])))
    read = Read(render(perf_page(found, pages.MADE, interrupted="Interrupted after 3 sizes.")))
    assert "Interrupted after 3 sizes." in read.texts
    assert ("interrupted") in [dict(a).get("class") for _, a in read.elements]


def test_long_tables_are_folded_and_very_long_ones_cut():
    lines = [(str(number),) for number in range(MOST_ROWS + 7)]
    text = render(Page("q", "a", (table("t", ("n",), lines),), pages.MADE))
    assert "<details>" in text
    assert "7 more lines are left out here." in text
    assert text.count("<tr>") == MOST_ROWS + 1
    short = render(Page("q", "a", (table("t", ("n",), lines[:MOST_OPEN]),), pages.MADE))
    assert "<details>" not in short


def test_validation_tells_the_errors_and_the_farthest_off():
    page = pages.validated()
    every = table_of(page, "By one-way delay")[-1]
    assert every["one-way delay"] == "all"
    assert page.answer.startswith(
        f"Half of the predictions are within {float(every['median'][:-1]):.1f}%"
    )
    rows = table_of(page, "All rows")
    worst = table_of(page, f"The {len(rows)} farthest off")
    errors = [abs(float(row["error"].strip("+-%"))) for row in worst]
    assert errors == sorted(errors, reverse=True)


def test_constants_that_were_fitted_to_measured_rows_are_told():
    rows = pages.predictions()
    for fitted in (False, True):
        page = validation_page(ValidationResult(rows, ["emul"], fitted=fitted), pages.MADE)
        told = any("fitted to the rows without" in each for each in page.sections[-1].remarks)
        assert told == fitted


def test_interrupted_validation_says_so():
    rows = pages.predictions()[:1]
    page = validation_page(ValidationResult(rows, ["emul"], interrupted=True), pages.MADE)
    assert page.interrupted == "Interrupted after 1 row: the others are missing."


def test_calibration_tells_the_numbers_and_the_errors_of_the_fit():
    page = pages.calibrated()
    assert "the latency 8 us" in page.answer
    assert "the rate 8 Gbit/s" in page.answer
    rows = table_of(page, "All measurements")
    assert len(rows) == 19
    for row in rows[:-1]:
        size = float(row["size (B)"].replace(",", ""))
        fitted = float(row["by the fit (us)"].replace(",", ""))
        assert fitted == pytest.approx(10 + size / 1e3, rel=0.02)


def test_calibration_of_nothing_says_so():
    result = pages.calibration()
    nothing = replace(result.calibration, latency_s=None, overhead_s=None, rate_bytes_per_s=None)
    page = calibration_page(replace(result, calibration=nothing), pages.MADE)
    assert page.answer.startswith("Nothing of the trunk link was measured")


def test_a_run_of_a_program_has_a_page(tmp_path):
    world = World(pages.topology(["a", "b"]))
    run = world.all_reduce(np.ones((4, 8), np.float32))
    row = perf_row(world, [run], redop="sum", root=0, seed=0, wrong=None)
    write_report(tmp_path / "x.html", perf_page(PerfFindings(world, [row], run.prediction), MADE))
    assert (tmp_path / "x.html").read_text().startswith("<!DOCTYPE html>")


MADE = pages.MADE
names = st.one_of(st.sampled_from(HOSTILE), st.text(min_size=1, max_size=30))


def page_of(first, second, title, note):
    world = World(pages.topology([first, second], name=title))
    found = pages.findings(world, (64, 4096), algorithm="ring")
    page = perf_page(found, Origin(note, {"emul": "1"}, "now"))
    return replace(page, sections=(*page.sections, Words(title, (note,))))


PLAIN = Read(render(page_of("a", "b", "c", "d"))).structure


@examples(12)
@given(names, names, names, names)
def test_names_are_text_and_change_nothing_else(first, second, title, note):
    assume(first != second)
    assume(not any("->" in name for name in (first, second)))
    text = render(page_of(first, second, title, note))
    read = Read(text)
    assert read.structure == PLAIN
    shown = "\n".join(read.texts)
    for name in (first, second):
        assert f"trunk {printable(name)} -> " in shown
    assert printable(note) in read.texts
    for drawing in re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL):
        ElementTree.fromstring(drawing)
