"""What each number of a link is, where it comes from, and what follows from it."""

from dataclasses import replace

import pytest

from emul.links.limits import connection_limit
from emul.reading.toml_table import TomlTable
from emul.topology import figures_of, link_preset_names, load_document, notes_of, preset_table
from emul.topology.toml.link_tables import from_preset, link_of
from emul.topology.toml.provenance import UNSPOKEN
from emul.topology.toml.reader import LinkOrigin, read_document

STATUSES = {"measured", "published", "assumed", "given", "derived"}


def found(nics=None, **content):
    table = from_preset(TomlTable(content, "file.toml", "trunk[0]"), is_trunk=True)
    return LinkOrigin("a - b", table, link_of(table, nics), nics)


def figures(*arguments, **content):
    return {figure.name: figure for figure in figures_of(found(*arguments, **content))}


def test_a_number_has_the_source_that_the_file_gives_it():
    said = figures(
        rate_gbit_per_s=8, latency_us=5, overhead_us=1,
        sources={"rate_gbit_per_s": "measured: iperf3, May", "latency_us": "published: a: b"},
    )  # fmt: skip
    rate, latency = said["rate_gbit_per_s"], said["latency_us"]
    assert (rate.value, rate.unit) == (8, "Gbit/s")
    assert (rate.status, rate.source) == ("measured", "iperf3, May")
    assert (latency.status, latency.source) == ("published", "a: b")
    assert (said["overhead_us"].status, said["overhead_us"].source) == ("given", "")


def test_a_default_that_is_assumed_says_so():
    plain = {"rate_gbit_per_s": 8, "km": 1}
    pair = figures(**plain, transponder_pairs=1)["transponder_pair_us"]
    assert (pair.value, pair.status) == (8, "assumed")
    assert "(default)" in pair.source
    assert "transponder_pair_us" not in figures(**plain)
    assert "amplifier_us" in figures(**plain, amplifiers=1)
    assert "mtu_bytes" in figures(**plain, loss=0.1, recovery="sr")
    assert (
        figures(**plain, transponder_pairs=1, transponder_pair_us=3)["transponder_pair_us"].status
        == "given"
    )
    assert all(text.startswith(("published: ", "assumed: ")) for text in UNSPOKEN.values())


def test_an_override_loses_the_source_of_the_preset():
    before, after = (
        figures(preset="metro_dwdm_16km", **own)["loss"] for own in ({}, {"loss": 0.5})
    )
    assert (before.status, after.status) == ("assumed", "given")


def test_switches_have_the_source_of_their_generation():
    said = figures(rate_gbit_per_s=8, km=1, mtu_bytes=1000, switches=["ndr", "deep-buffer"])
    assert said["switch ndr"].status == "published"
    assert said["switch deep-buffer"].status == "assumed"
    assert said["packets stored"].value == pytest.approx(1e-6)


@pytest.mark.parametrize("name", link_preset_names())
def test_the_figures_of_a_preset_add_up(name):
    table = preset_table(name)
    said, link = figures_of(table), table.link
    assert {figure.status for figure in said} <= STATUSES
    assert len({figure.name for figure in said}) == len(said)
    assert all(figure.source for figure in said)
    values = {figure.name: figure.value for figure in said}
    assert values["rate"] == link.rate_bytes_per_s
    assert (values["RTT"], values["BDP"]) == (link.rtt_s, link.bdp_bytes)
    if "one-way delay" in values:
        parts = ("glass", "compensating fibre", "amplifiers in all", "transponders in all",
                 "hops in all", "switches in all", "packets stored")  # fmt: skip
        boxes_us = sum(values.get(f"{box}_us", 0) for box in ("macsec", "equipment"))
        assert sum(values.get(part, 0) for part in parts) + boxes_us * 1e-6 == pytest.approx(
            link.latency_s, rel=1e-12
        )
    limit = connection_limit(link, rate_bytes_per_s=link.rate_bytes_per_s, rtt_s=link.rtt_s)
    assert values["one connection gets"] == min(link.rate_bytes_per_s, limit.bytes_per_s)


def test_a_short_buffer_is_noted_with_what_it_does():
    lossless = {"rate_gbit_per_s": 400, "latency_us": 294, "lossless": True, "buffer_bytes": 12e6}
    (note,) = notes_of([found(**lossless)])
    assert note.startswith("a - b: buffer of 11.44 MiB is short of the 28.06 MiB of headroom")
    assert "capped at 20.41 GB/s" in note
    (note, *_) = notes_of([found(**lossless, loss=1e-9, recovery="gbn")])
    assert note.endswith("length: loses")
    assert notes_of([found(**{**lossless, "buffer_bytes": 40e6})]) == ()
    said = figures(**lossless)
    assert said["rate for transfers"].value == pytest.approx(12e6 / 588e-6)
    assert said["headroom"].value > 29e6


def test_a_note_is_one_sentence_for_all_links_of_which_it_is_true():
    plain = {"rate_gbit_per_s": 400, "latency_us": 130, "oversubscription": 4}
    said = "window of 4 MiB assumed for each stream, which holds 1 to 16.13 GB/s (129.1 Gbit/s) of"

    def notes(*latencies_us):
        links = [
            replace(found(**{**plain, "latency_us": us}, nics=400e9), place=f"a - {place}")
            for place, us in zip("bcdef", latencies_us, strict=False)
        ]
        return notes_of(links)

    two, alone = notes(130, 520, 130)
    assert two.startswith(f"a - b and a - d: {said} the 50 GB/s")
    assert alone.startswith("a - c: window of 4 MiB assumed for each stream, which holds 1 to 4.03")
    (note,) = notes(*[130] * 3)
    assert note.startswith(f"a - b, a - c and a - d: {said}")
    (note,) = notes(*[130] * 5)
    assert note.startswith(f"a - b, a - c, a - d and 2 more: {said}")


def test_what_sets_a_rate_is_noted():
    plain = {"rate_gbit_per_s": 400, "latency_us": 130}
    assert notes_of([found(**plain)]) == ()
    (note,) = notes_of([found(**plain, window_bytes=2**22)])
    assert note.endswith("set by its window")
    (note,) = notes_of([found(**plain, loss=1e-3, recovery="gbn")])
    assert note.endswith("set by its loss")
    (note,) = notes_of([found(**plain, oversubscription=4, nics=400e9)])
    assert "window of 4 MiB assumed for each stream, which holds 1 to 16.13 GB/s" in note
    note, assumed = notes_of([found(**plain, oversubscription=4, nics=100e9)])
    assert "4:1 of the NICs sets the rate: 25 GB/s" in note
    assert assumed.endswith("holds 1 to 16.13 GB/s (129.1 Gbit/s) of the 25 GB/s (200 Gbit/s)")
    wide = {"oversubscription": 4, "nics": 400e9, "window_bytes": 2**26}
    assert notes_of([found(**plain, **wide)]) == ()
    said = figures(**plain, oversubscription=4, nics=100e9)
    assert said["rate"].source == "NICs of the smaller site / oversubscription"


def test_a_document_has_a_table_for_every_kind_of_link(tmp_path):
    document = load_document("three-campus")
    assert [table.place for table in document.tables] == [
        name for name, _ in document.topology.links()
    ]
    path = tmp_path / "nodes.toml"
    path.write_text(
        "[defaults]\nsite_link = { rate_gbit_per_s = 8, latency_us = 1 }\n"
        'node_link = { rate_gbit_per_s = 8, latency_us = 1 }\n[[site]]\nname = "a"\n'
        "[[site.node]]\nranks = 1\nlink = { latency_us = 9 }\n"
        "[[site.node]]\nranks = 1\n[[site.node]]\nranks = 2\n"
    )
    document = read_document(path)
    assert [table.place for table in document.tables] == [
        "inside a node of a (node 0)", "inside a node of a", "inside a",
    ]  # fmt: skip
    (site,) = document.topology.sites
    assert [node.link.latency_s for node in site.nodes] == [9e-6, 1e-6, 1e-6]


def test_windows_are_told_with_what_they_allow_and_how_many_fill_a_wave():
    said = figures(rate_gbit_per_s=392, latency_us=250, window_bytes=2**22, streams=2)
    assert said["window rate"].value == pytest.approx(2 * 2**22 / 500e-6)
    assert said["streams that fill a wave"].value == 6  # 24.5 MB of 4.19 MB
    assert "window rate" not in figures(rate_gbit_per_s=392, latency_us=250)


def test_the_busiest_hour_is_assumed_unless_it_is_given():
    plain = {"rate_gbit_per_s": 8, "latency_us": 1}
    loads = {"least_load": 0.1, "most_load": 0.5}
    hour = figures(**plain, diurnal=loads)["busiest_hour"]
    assert (hour.value, hour.unit, hour.status) == (14, "hours", "assumed")
    assert "busiest_hour" not in figures(**plain, diurnal={**loads, "busiest_hour": 9})
