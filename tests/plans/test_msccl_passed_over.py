"""What the runtimes of MSCCL pass over is passed over and told; the proof is as strict as ever."""

import random
import re
from xml.etree import ElementTree as ET

import pytest
from interpreter import is_right
from threadblocks import fused_ring, program

from emul import PlanError
from emul.plans import build_plan, plan_xml, read_plan
from emul.report.plans import plan_words

ATTRIBUTES = ("redop", "netdepid", "rtype", "outOfPlace", "nchunks", "instances", "comment")
ELEMENTS = ("copy", "op", "meta", "threadblock", "sends")


def all_gather(copies="", more=""):
    """Two ranks that exchange their blocks in place, as TACCL and TE-CCL write it."""
    gpus = [[(1 - g, 1 - g, 0, [f"s o{g} o{g}", f"r o{1 - g} o{1 - g}"])] for g in (0, 1)]
    text = program("allgather", 2, gpus, more=more)
    return re.sub(r"(<gpu [^>]*>)", rf"\1{copies}", text)


def rows(plan):
    steps = [[column.tolist() for column in (s.src, s.dst, s.src_chunk)] for s in plan.steps()]
    return plan.collective, plan.world_size, steps


def test_a_plan_as_taccl_writes_it_is_proven_and_told(file):
    plan = file(all_gather('<copy i_off="0" o_off="0"/>', 'redop="nop"'))
    assert rows(plan) == rows(file(all_gather()))
    assert plan.notes == (
        "passed over, as MSCCL and RCCL do: redop= of <algo> (line 1), <copy> in <gpu> (line 2, "
        "2 times)",
    )
    assert list(plan_words(plan))[-1] == plan.notes[0]
    assert not file(all_gather()).notes


def strewn(text, chance):
    """``text`` with unknown attributes and elements at places drawn by ``chance``."""
    tree = ET.fromstring(text)
    for element in list(tree.iter()):
        if chance.random() < 0.3:
            element.set(chance.choice(ATTRIBUTES), "7")
        if chance.random() < 0.3:
            other = ET.Element(chance.choice(ELEMENTS), {"id": "0", "s": "9"})
            other.append(ET.Element(chance.choice(("step", "tb", "gpu", "algo", "x"))))
            element.insert(chance.randint(0, len(element)), other)
    return ET.tostring(tree, encoding="unicode")


def shuffled(text, chance):
    """``text`` with its gpus, and their threadblocks, in another order."""
    tree = ET.fromstring(text)
    for element in [tree, *tree]:
        children = list(element)
        chance.shuffle(children)
        element[:] = children
    return ET.tostring(tree, encoding="unicode")


TEXTS = {
    "fused": fused_ring(4),
    "direct": plan_xml(build_plan("all_reduce", "direct", (4,))),
    "scatter": plan_xml(build_plan("reduce_scatter", "ring", (3,))),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("seed", range(12))
def test_unknown_things_and_order_change_nothing(name, seed, file):
    chance, plain = random.Random(seed), file(TEXTS[name])
    strange = file(shuffled(strewn(TEXTS[name], chance), chance))
    assert rows(strange) == rows(plain)
    assert is_right(strange)
    assert strange.notes[0].startswith("passed over, as MSCCL and RCCL do: ")


@pytest.mark.parametrize("seed", range(12))
def test_a_wrong_plan_is_refused_with_them_as_without(seed, file):
    chance, text = random.Random(seed), TEXTS["fused"]
    at = chance.choice([each.start() for each in re.finditer('type="rcs"', text)])
    text = text[:at] + text[at:].replace('type="rcs"', 'type="r"', 1)
    for each in (text, strewn(text, chance)):
        with pytest.raises(PlanError):
            file(each)


def test_a_copy_that_no_runtime_does_is_missed_and_named(file):
    # out of place, only a step could bring a rank's own block into its output
    gpus = [[(1 - g, 1 - g, 0, ["s i0 i0", f"r o{1 - g} o{1 - g}"])] for g in (0, 1)]
    text = program("allgather", 2, gpus, inplace=0)
    text = re.sub(r"(<gpu [^>]*>)", r'\1<copy i_off="0" o_off="0"/>', text)
    with pytest.raises(PlanError, match=r"lacks .*passed over, as MSCCL and RCCL do: <copy> in <g"):
        file(text)


def test_what_is_passed_over_is_told_in_few_words(file):
    many = " ".join(f'{"x" * 50}{i}="1" y{i}="1"' for i in range(400))
    (note,) = file(all_gather(more=many)).notes
    assert len(note) < 1000
    assert "x" * 40 + "= of <algo>" in note
    assert note.endswith(" others")


def test_largest_bytes_and_a_step_without_depid_are_read(file):
    limits = f'minBytes="0" maxBytes="{2**63 - 1}"'
    text = all_gather(more=limits).replace('depid="-1" deps="-1"', 'depid="-1" deps="0"')
    assert rows(file(text)) == rows(file(all_gather()))
    with pytest.raises(PlanError, match=r"maxBytes='9223372036854775808': needed a whole number"):
        file(all_gather(more=f'maxBytes="{2**63}"'))


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("p.json", '{"name": "a", "gpus": [{"id": 0, "threadblocks": []}]}', r"MSCCL\+\+ in JSON"),
        ("p.xml", '\ufeff \n{"name": "a", "gpus": []}', r"MSCCL\+\+ in JSON"),
        ("p.json", '[{"name": "a"}]', "p.json: JSON: needed a plan of MSCCL in XML"),
        ("p.xml", '<system version="1"><cpu/></system>', r"<system> .*\(a topology of NCCL\)"),
        ("p.xml", '<graphs version="1"></graphs>', r"<graphs> .*\(graphs of NCCL\): needed <algo>"),
    ],
)
def test_neighbours_are_named(name, text, named, tmp_path):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(PlanError, match=named):
        read_plan(tmp_path / name)


def test_a_byte_order_mark_is_no_part_of_a_plan(tmp_path):
    (tmp_path / "p.xml").write_text(all_gather(), encoding="utf-8-sig")
    assert is_right(read_plan(tmp_path / "p.xml"))


ENDLESS = {
    "no regular file": "/dev/zero",
    "more than [0-9]+ bytes": '<algo name="' + "x" * (1 << 21),
    "more than [0-9]+ tb in gpu 0": program("allreduce", 1, [[(-1, -1, 0, [])] * 4100] * 2),
    "more than [0-9]+ chunks moved": program(
        "allreduce", 1 << 20, [[(1 - g, 1 - g, 0, [f"s i0 i0 x{1 << 20}"] * 9)] for g in (0, 1)]
    ),
}


@pytest.mark.parametrize("complaint", ENDLESS)
def test_a_file_without_end_is_refused_within_bounds(complaint, tmp_path, monkeypatch):
    monkeypatch.setattr("emul.plans.msccl.notes.MOST_BYTES", 1 << 20)
    path, text = tmp_path / "p.xml", ENDLESS[complaint]
    if text.startswith("/"):
        path = text
    else:
        path.write_text(text)
    with pytest.raises(PlanError, match=complaint):
        read_plan(path)
