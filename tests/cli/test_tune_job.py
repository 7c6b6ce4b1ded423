"""``emul tune JOB.toml``: the search over a training job."""

import json

import jsonschema
import pytest
from command import run_here

TWO = """
[defaults.node_link]
rate_gbit_per_s = 800
latency_us = 1

[defaults.site_link]
rate_gbit_per_s = 400
latency_us = 2

[defaults.trunk]
rate_gbit_per_s = 10
latency_us = 100

[[site]]
name = "a"
nodes = 1
ranks_per_node = 1

[[site]]
name = "b"
nodes = 1
ranks_per_node = 1

[[trunk]]
between = ["a", "b"]
"""
JOB = """
topology = "two.toml"

[model]
parameters = 1e9
layers = 2

[hardware]
compute_s = 0.5

[method]
name = "ddp"
buckets = 4
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.toml").write_text(TWO)
    (tmp_path / "job.toml").write_text(JOB)
    return tmp_path


def test_a_job_is_tuned_and_told(folder):
    asked = ["job.toml", "--upgrades", "rate", "--no-pairs", "--json", "out.json"]
    status, out, err = run_here("tune", *asked, "--write", "tuned.toml")
    assert (status, err) == (0, "")
    document = json.loads((folder / "out.json").read_text())
    schema = run_here("schema", "tune")[1]
    jsonschema.validate(document, json.loads(schema))
    rows = document["rows"]
    assert [row["kind"] for row in rows] == ["today", "settings", "upgrade", "upgrade"]
    assert rows[0]["settings"]["method"] == "ddp:buckets=4"
    assert rows[2]["modelled_s"] < rows[1]["modelled_s"] <= rows[0]["modelled_s"]
    assert "4 times the rate of a - b saves" in " ".join(out.split())
    written = run_here("topology", "show", "tuned.toml")
    assert written[0] == 0
    assert "40" in written[1]


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["-b", "1M"], "--minbytes: needed a collective, not a job"),
        (["--write-plan", "x.xml"], "--write-plan: needed a collective, not a job"),
        (["--budget", "5"], "--budget: needed costs"),
    ],
)
def test_options_of_a_collective_are_refused(more, complaint):
    status, out, err = run_here("tune", "job.toml", *more)
    assert (status, out) == (2, "")
    assert complaint in err


def test_a_job_that_is_not_there_is_one_line():
    status, _, err = run_here("tune", "absent.toml")
    assert status == 2
    assert "absent.toml" in err
    assert err.count("\n") == 1
