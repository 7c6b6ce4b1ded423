"""``emul validate``: table, JSON, picture, exit statuses."""

import json
from pathlib import Path

import pytest
from command import emul

FIDELITY = Path(__file__).parents[1] / "fidelity"
FILES = [str(FIDELITY / "collectives.csv"), "--links", str(FIDELITY / "links.csv")]


def validate(*options):
    return emul("validate", *FILES, *options)


def test_rows_and_summary_are_printed_and_written_in_the_order_of_the_file(tmp_path):
    path, picture = tmp_path / "v.json", tmp_path / "v.png"
    result = validate("--json", str(path), "--plot", str(picture), "--min-delay", "20000")
    assert result.returncode == 0
    assert "rabenseifner" in result.stdout
    assert "textbook: median" in result.stdout
    document = json.loads(path.read_text())
    lines = [row["line"] for row in document["rows"]]
    assert lines == sorted(lines)
    assert len(lines) == 64
    row = document["rows"][0]
    assert {"predicted_s", "measured_s", "textbook_s", "binding"} <= row.keys()
    assert row["error"] == pytest.approx(row["predicted_s"] / row["measured_s"] - 1)
    assert document["summary"]["rows"] == 64
    assert document["summary"]["median"] < 0.02
    assert [each["delay_s"] for each in document["summary"]["by_delay"]] == [0.02]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_stated_bounds_decide_the_exit_status():
    far = ("--summary", "--min-delay", "1000")
    assert validate(*far, "--max-median", "0.04", "--max-p90", "0.12").returncode == 0
    broken = validate(*far, "--max-median", "0.001")
    assert broken.returncode == 1
    assert "median error" in broken.stderr
    assert "needed at most 0.10%" in broken.stderr
    above_the_median = validate(*far, "--max-p90", "0.04")
    assert above_the_median.returncode == 1
    assert "90th percentile of the errors" in above_the_median.stderr


def test_calibration_says_what_it_fitted(tmp_path):
    head, *rows = (FIDELITY / "collectives.csv").read_text().splitlines()
    of_gloo = tmp_path / "gloo.csv"
    of_gloo.write_text("\n".join([head, *(row for row in rows if row.startswith("gloo,"))]) + "\n")
    asked = [
        "--links",
        str(FIDELITY / "links.csv"),
        "--calibrate",
        "--summary",
        "--min-delay",
        "100",
    ]
    result = emul("validate", str(of_gloo), *asked)
    assert result.returncode == 0
    assert "# gloo, fitted to the rows without shaping: call" in result.stdout


def test_another_stack_for_all_rows(tmp_path):
    profile = tmp_path / "mine.toml"
    profile.write_text('handshake = "none"\n')
    plain = validate("--summary", "--stack", str(profile), "--min-delay", "20000")
    assert plain.returncode == 2  # it does not say which algorithms it takes
    assert "column algo: 'default'" in plain.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--stack", "fable"], "unknown stack 'fable'"),
        (["--min-delay", "1e9"], "no row has a one-way delay"),
        (["--json", "/nowhere/v.json"], "nowhere"),
    ],
)
def test_bad_options_are_one_line_and_status_two(options, said):
    result = validate(*options)
    assert result.returncode == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_broken_file_is_one_line_and_status_two(tmp_path):
    broken = tmp_path / "m.csv"
    broken.write_text((FIDELITY / "collectives.csv").read_text().replace("0.001634414", "NaN"))
    result = emul("validate", str(broken), "--links", FILES[2])
    assert result.returncode == 2
    assert "m.csv, line 2, column median_s: 'NaN'" in result.stderr


def test_stacks_are_listed_and_shown():
    assert "openmpi" in emul("stack", "list").stdout
    shown = emul("stack", "show", "gloo").stdout
    assert "notice" in shown
    assert "gloo:ring,segments={segments}" in shown
    assert "published" in shown
