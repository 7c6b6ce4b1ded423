import re

import pytest
from command import emul


def test_list_names_every_preset():
    result = emul("topology", "list")
    assert result.returncode == 0
    for name in ("one-campus", "three-campus", "three-campus-dark-fibre"):
        assert name in result.stdout


def test_show_derives_delay_rtt_rate_and_bdp_with_units():
    result = emul("topology", "show", "three-campus")
    assert result.returncode == 0
    (line,) = (line for line in result.stdout.splitlines() if "south - north" in line)
    # 24 km x 2 x 1.2 x 4.8974 us + 129.1 us = 411.2 us; 9.9 Gbit/s x 822.4 us = 993.9 KiB
    for figure in (
        "24",
        "411.2 us",
        "822.4 us",
        "1.238 GB/s (9.9 Gbit/s)",
        "30 us",
        "993.9 KiB",
        "0.07735 GB/s (0.6188 Gbit/s)",  # a sixteenth
    ):
        assert figure in line
    for name in ("north - east", "east - south"):
        assert name in result.stdout
    # All nodes and all sites are alike, and are shown once.
    assert len(re.findall("inside a node of each site .* 370.8 GB/s", result.stdout)) == 1
    assert len(re.findall("inside each site .* 12.25 GB/s", result.stdout)) == 1
    assert result.stdout.count("inside") == 2


def test_check_says_what_a_good_file_describes(tmp_path):
    link = "{ rate_gbit_per_s = 1, latency_us = 1 }"
    good = tmp_path / "good.toml"
    good.write_text(
        f'[[site]]\nname = "a"\nnodes = [2, 1]\nnode_link = {link}\nsite_link = {link}\n'
    )
    result = emul("topology", "check", str(good))
    assert (result.returncode, result.stdout) == (
        0,
        f"{good}: good: 3 ranks at 1 sites, 0 trunks\n",
    )


def test_list_names_every_link_with_its_statuses():
    result = emul("topology", "list")
    (line,) = (line for line in result.stdout.splitlines() if "metro_dwdm_16km" in line)
    for figure in ("392.1 GB/s (3137 Gbit/s)", " 8 ", "130.2 us", "1e-08", "sr", "assumed"):
        assert figure in line
    assert result.stdout.count("assumed") == 14


def test_show_of_a_link_says_status_and_source_of_every_figure():
    result = emul("topology", "show", "metro_dwdm_16km")
    assert result.returncode == 0
    lines = {line[2:27].strip(): line for line in result.stdout.splitlines()}
    assert "8 us   assumed     a 400ZR pair" in lines["transponder_pair_us"]
    assert "118.2 us   derived     distance x route_factor" in lines["glass"]
    assert "260.4 us   derived" in lines["RTT"]
    assert "published   NCCL_BUFFSIZE" in lines["window_bytes"]
    assert "note: metro_dwdm_16km: one connection gets 32.2 GB/s" in result.stdout


def test_sources_are_shown_when_asked_for_and_notes_always(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'preset = "three-campus"\n[[trunk]]\nbetween = ["north", "east"]\n'
        'preset = "roce_400g_fabric"\nkm = 60\nlossless = true\nbuffer_bytes = 12e6\n'
        'sources = { km = "measured: the map" }\n'
    )
    plain, full = (emul("topology", "show", str(path), *more) for more in ((), ("--sources",)))
    note = "note: north - east: buffer of 11.44 MiB is short of the 27.49"
    assert note in plain.stdout
    assert note in full.stdout
    assert note in emul("topology", "check", str(path)).stdout
    assert "the map" not in plain.stdout
    assert "60 km   measured    the map" in full.stdout
    assert "inside north, inside east, inside south" in full.stdout


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (["check", "none.toml"], "none.toml: cannot be read"),
        (["show", "four-campus"], "unknown topology 'four-campus'"),
        (["show"], "Missing argument"),
        (["check", "bad.toml"], "bad.toml: not TOML"),
    ],
)
def test_bad_topologies_are_one_line_and_status_2(command, complaint, tmp_path):
    (tmp_path / "bad.toml").write_text("name = \n")
    result = emul("topology", *command, cwd=tmp_path)
    assert result.returncode == 2
    assert complaint in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "line 1" in result.stderr or "bad.toml" not in command
