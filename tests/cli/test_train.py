"""``emul train``: a line for each method whose times add up, words, files, and interrupts."""

import csv
import json
import re

import jsonschema
import pytest
from command import run_here
from told_progress import told_progress

from emul import training
from emul.cli import train as module
from emul.training import StepReport

LINK = "{ rate_gbit_per_s = 8000, latency_us = 0 }"
TWO = f"""
[[site]]
name = "a"
nodes = [1]
node_link = {LINK}
site_link = {LINK}

[[site]]
name = "b"
nodes = [1]
node_link = {LINK}
site_link = {LINK}

[[trunk]]
between = ["a", "b"]
rate_gbit_per_s = 8
latency_us = 100
"""
"""Two ranks, 1 GB/s and 0.1 ms apart: an all_reduce of 1e9 bytes passes 1e9 bytes each way."""

TRUNK_S = 1.0
"""Of the gradients of 5e8 parameters in bfloat16; the rest is below one per cent of it."""

JOB = ["5e8x1", "--topology", "two.toml", "--compute", "3"]
ONE = ["--method", "ddp:buckets=1"]
LOCAL = ["--method", "local:10,overlap=none"]
QUICK = [*JOB, *ONE, "--no-changes"]

MINE = """
def mine(seat):
    yield seat.forward()
    yield seat.backward()


def broken(seat):
    yield seat.forwards()


number = 3
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.toml").write_text(TWO)
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path


def document_of(folder, name="out.json"):
    return json.loads((folder / name).read_text())


def line_of(out, method):
    """The cells of the line of a method."""
    return next(line for line in out.splitlines() if line.startswith(f"  {method}  ")).split()


def test_a_step_is_compute_and_the_gradients_over_the_trunk(folder):
    asked = [*JOB, *ONE, *LOCAL, "--tokens", "6M", "--no-changes", "--json", "out.json"]
    status, out, err = run_here("train", *asked)
    assert (status, err) == (0, "")
    document = document_of(folder)
    whole, local = document["rows"]
    assert whole["exposed_s"] == pytest.approx(TRUNK_S, rel=0.01)
    assert local["exposed_s"] == pytest.approx(TRUNK_S / 10, rel=0.01)
    for row, method, steps in ((whole, "ddp:buckets=1", 1), (local, "local:10,overlap=none", 10)):
        assert row["method"] == method
        assert row["compute_s"] == pytest.approx(3)
        assert row["time_s"] == pytest.approx(row["compute_s"] + row["exposed_s"])
        causes = sum(row[f"{kind}_s"] for kind in ("trunk", "site", "node", "rank"))
        assert causes == pytest.approx(row["exposed_s"])
        assert row["utilisation"] == pytest.approx(3 / row["time_s"])
        assert row["tokens_per_day"] == pytest.approx(6e6 * 86400 / row["time_s"])
        assert row["crossing_bytes"] == 2 * 10**9 / steps
        assert row["one_campus_s"] == pytest.approx(3, rel=0.01)
        assert re.fullmatch("trunk (a -> b|b -> a)", row["binding"])
        assert row["mfu"] is None
    assert [document[key] for key in ("parameters", "layers", "tokens", "compute_s")] == [
        5 * 10**8, 1, 6e6, 3.0,
    ]  # fmt: skip
    assert "MFU" not in out


def test_times_add_up_as_they_are_printed():
    status, out, _ = run_here("train", "1e9x3", "--compute", "0.5", *ONE, "--no-changes")
    assert status == 0
    assert "times are modelled" in out.splitlines()[0]
    step, compute, exposed, *causes = (
        int(cell.replace(".", "")) for cell in line_of(out, "ddp:buckets=1")[1:7]
    )
    assert step == compute + exposed
    assert exposed == sum(causes)
    assert compute == 500
    assert len(str(step)) == 4  # digits of the shortest step


@pytest.mark.parametrize("columns", [80, 100])
def test_it_fits_the_terminal(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("emul.cli.terminal.on_terminal", lambda: True)
    asked = ["1e9x1", "--topology", "two.toml", "--tokens", "4M", "--hardware", "h100",
             "--mfu", "0.4", "--method", "local:5,overlap=none,wire=float32"]  # fmt: skip
    status, out, _ = run_here("train", *asked, "--no-changes")
    assert status == 0
    lines = [re.sub(r"\x1b\[\d*m", "", line) for line in out.splitlines()]
    assert max(map(len, lines)) <= columns
    assert any(line.startswith("Binding: trunk") for line in lines)


def test_the_default_is_hsdp_where_the_mesh_shards(folder):
    for mesh, name in (([], "ddp"), (["--mesh", "replicate=2,shard=2"], "hsdp")):
        asked = ["1e6x2", "--sites", "2,2", "--compute", "500ms", "--no-changes"]
        assert run_here("train", *asked, *mesh, "--json", "out.json")[0] == 0
        document = document_of(folder)
        assert document["rows"][0]["method"] == name
        assert document["compute_s"] == 0.5
    assert document["mesh"] == {"replicate": 2, "shard": 2}
    assert document["crossings"] == {"replicate": "trunk", "shard": "node"}


def test_changes_are_runs_and_told_with_the_words(folder):
    status, out, _ = run_here("train", *JOB, *ONE, "--json", "out.json")
    assert status == 0
    document = document_of(folder)
    (detail,) = document["methods"]
    row = document["rows"][0]
    by_words = {each["words"]: each for each in detail["changes"]}
    faster = by_words["2 times the rate of a - b"]
    assert faster["time_s"] == pytest.approx(3 + TRUNK_S / 2, rel=0.01)
    assert faster["saves_s"] == pytest.approx(row["time_s"] - faster["time_s"])
    assert (faster["method"], faster["effort"]) == ("ddp:buckets=1", 2)
    assert faster["saves_per_month"] is None
    assert all(line in out.splitlines() for line in detail["words"])
    assert sum(part["seconds"] for part in detail["exposed"]) == pytest.approx(row["exposed_s"])
    assert sum(detail["trunk_bytes"].values()) == row["crossing_bytes"]
    schema = json.loads(run_here("schema", "train")[1])
    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)
    document["rows"][0]["mfu"] = "much"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)


def test_without_changes_none_is_tried(folder, monkeypatch):
    monkeypatch.setattr(StepReport, "changes", property(lambda step: pytest.fail("tried")))
    status, out, _ = run_here("train", *QUICK, "--json", "out.json")
    assert status == 0
    assert "Change:" not in out
    assert document_of(folder)["methods"][0]["changes"] is None


def test_csv_has_the_lines_of_the_json(folder):
    run_here("train", *QUICK, *LOCAL, "--json", "out.json", "--csv", "out.csv")
    rows = document_of(folder)["rows"]
    lines = list(csv.DictReader((folder / "out.csv").read_text().splitlines()))
    for line, row in zip(lines, rows, strict=True):
        assert line == {key: "" if value is None else str(value) for key, value in row.items()}


def test_needs_are_told_where_they_are_asked_for(folder):
    status, out, _ = run_here("train", *QUICK[:-3], *LOCAL, "--need", "0.98", "--no-changes",
                              "--json", "out.json")  # fmt: skip
    assert status == 0
    document = document_of(folder)
    needs = {each["name"]: each["value"] for each in document["methods"][0]["needs"]}
    # 0.98 leaves 3 / 0.98 - 3 = 61 ms of the 100 ms a step: 1.63 times the rate, or 17 steps.
    assert needs["local_steps"] == 17
    assert 1.63 <= needs["rate"] <= 1.64 * 2 ** (1 / 8)
    assert document["needed_utilisation"] == 0.98
    assert "Needs for 98 %, each alone:" in out


def test_a_file_says_the_job_and_options_override_it(folder):
    (folder / "job.toml").write_text(
        'topology = "two.toml"\n[model]\nparameters = 5e8\nlayers = 1\n[batch]\ntokens = 1e6\n'
        '[hardware]\nname = "a100"\nmfu = 0.5\n'
        '[[method]]\nname = "ddp"\nbuckets = 1\n[[method]]\nname = "local"\nevery = 10\n'
        '[cost]\ngpu_hour = 3.6\ntrunk_month = 2628\ncurrency = "EUR"\n'
    )
    asked = ["train", "job.toml", "--no-changes", "--json", "out.json"]
    assert run_here(*asked)[0] == 0
    document = document_of(folder)
    assert [row["method"] for row in document["rows"]] == ["ddp:buckets=1", "local:10"]
    # 6 x 5e8 x 1e6 operations by 2 ranks of 312e12 a second, half of which is reached.
    assert document["compute_s"] == pytest.approx(3e15 / (2 * 312e12 * 0.5))
    assert (document["mfu"], document["hardware"]) == (0.5, "a100")
    status, out, _ = run_here(*asked, "--compute", "3", *ONE, "--tokens", "2M")
    assert status == 0
    document = document_of(folder)
    (row,) = document["rows"]
    assert (document["mfu"], document["tokens"], document["currency"]) == (None, 2e6, "EUR")
    # Two ranks of 0.001 a second each, and a trunk of 2628 in 730 hours.
    assert row["cost_per_step"] == pytest.approx(row["time_s"] * (0.002 + 0.001))
    assert "Money: 0.01 EUR a step, 6.0" in out


def test_money_of_changes_needs_the_costs_of_upgrades(folder):
    (folder / "two.toml").write_text(TWO + "[cost]\nper_gbit_per_s = 5\n")
    (folder / "job.toml").write_text(
        'topology = "two.toml"\n[model]\nparameters = 5e8\nlayers = 1\n[cost]\ngpu_hour = 2\n'
    )
    asked = ["train", "job.toml", "--compute", "3", *ONE, "--json", "out.json"]
    status, out, _ = run_here(*asked)
    assert status == 0
    document = document_of(folder)
    by_words = {each["words"]: each for each in document["methods"][0]["changes"]}
    faster = by_words["2 times the rate of a - b"]
    assert faster["costs_per_month"] == pytest.approx(8 * 5)  # 8 Gbit/s more
    part = faster["saves_s"] / document["rows"][0]["time_s"]
    assert faster["saves_per_month"] == pytest.approx(2 * 2 * 730 * part)
    assert by_words["int8 on the wire"]["costs_per_month"] == 0
    saves = f"{faster['saves_per_month']:.2f}"
    assert f"2 times the rate of a - b saves {saves} of rank hours and costs 40.00" in out


def test_a_method_of_ones_own_is_a_function_in_a_file(folder):
    asked = [*JOB, "--method", "mine.py:mine", "--no-changes", "--json", "out.json"]
    status, out, err = run_here("train", *asked)
    assert (status, err) == (0, "")
    (row,) = document_of(folder)["rows"]
    assert (row["method"], row["time_s"], row["exposed_s"]) == ("mine.py:mine", 3.0, 0.0)
    assert "Binding: compute; no communication is exposed." in out


def test_a_page_can_be_handed_on(folder):
    status, _, err = run_here("train", *JOB, *ONE, "--report", "out.html")
    assert (status, err) == (0, "")
    text = re.sub(r"<[^>]*>", " ", (folder / "out.html").read_text())
    assert "How long is a training step of 500e6 parameters over 2 ranks at 2 sites (two)" in text
    assert re.search(r"waiting for trunks 2[45]\.\d%", text)  # 1 s of 4
    assert "trunk a -&gt; b 2" in text
    assert "Changes of ddp:buckets=1" in text
    assert "emul train 5e8x1 --topology two.toml" in text


def test_a_trace_has_the_collectives_and_the_compute_of_each_rank(folder):
    status, _, err = run_here("train", *QUICK, "--trace", "out.json")
    assert (status, err) == (0, "")
    events = document_of(folder)["traceEvents"]
    compute = [each for each in events if each["name"] in ("forward", "backward")]
    assert [(each["args"]["rank"], each["name"], each["ts"], each["dur"]) for each in compute] == [
        (rank, name, start * 1e6, seconds * 1e6)
        for name, start, seconds in (("forward", 0, 1), ("backward", 1, 2))
        for rank in (0, 1)
    ]
    (sums,) = [each for each in events if each["name"] == "all_reduce 0"]
    assert sums["ts"] == 3e6
    status, _, err = run_here("train", *QUICK, *LOCAL, "--trace", "out.json")
    assert (status, "--trace: needed one --method" in err) == (2, True)


def test_presets_are_listed():
    status, out, err = run_here("train", "--list")
    assert (status, err) == (0, "")
    assert re.search(r"llama-3.1-405b +405.9e9 +405.9e9 +128 +16384", out)
    assert re.search(r"h100 +989.4 +80 +published: NVIDIA H100", out)
    assert re.search(r"local +every=..., fragments=1, delay=0, wire=bfloat16", out)


def test_an_interrupt_keeps_the_methods_that_are_done(folder, monkeypatch):
    run, calls = training.Job.run, []

    def stops_at(number):
        def stops(job):
            calls.append(job)
            if len(calls) == number:
                raise KeyboardInterrupt
            return run(job)

        calls.clear()
        monkeypatch.setattr(training.Job, "run", stops)

    asked = ["train", *QUICK, *LOCAL, "--json", "out.json"]
    stops_at(2)
    status, out, err = run_here(*asked)
    assert (status, err) == (130, "emul train: interrupted after 1 of 2 methods\n")
    assert "local:10" not in out
    document = document_of(folder)
    assert document["interrupted"]
    assert [row["method"] for row in document["rows"]] == ["ddp:buckets=1"]
    (folder / "out.json").unlink()
    stops_at(1)
    status, out, err = run_here(*asked)
    assert (status, out, err) == (130, "", "emul train: interrupted after 0 of 2 methods\n")
    assert not (folder / "out.json").exists()


def test_progress_is_told_on_a_terminal(monkeypatch):
    told = told_progress(module, monkeypatch)
    run_here("train", *QUICK, *LOCAL)
    assert told == ["method 1 of 2: ddp:buckets=1", "method 2 of 2: local:10,overlap=none"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "no model: needed a name (see --list), a config.json, parameters x layers"),
        (["llama-3.1-405"], "unknown model 'llama-3.1-405'"),
        (["1e9x0", "--compute", "1"], "layers 0"),
        (["1.2.3x4", "--compute", "1"], "model '1.2.3x4': needed a number, such as 1e9x24"),
        (["gone.toml"], "gone.toml"),
        (["1e9x2"], "a job without compute_s: needed it as measured, or tokens, hardware and mfu"),
        (["1e9x2", "--compute", "0"], "'0': needed a time above 0, such as 0.5 or 500ms"),
        (["1e9x2", "--compute", "1h"], "'1h': needed a time above 0"),
        (["1e9x2", "--tokens", "many"], "'many': needed a number above 0, such as 48M or 48e6"),
        (["1e9x2", "--compute", "1", "--mfu", "0.4"], "--mfu and --compute: needed one of them"),
        ([*JOB, "--hardware", "h10"], "unknown hardware 'h10'"),
        ([*JOB, "--mesh", "replicate=3"], "mesh replicate=3"),
        ([*JOB, "--mesh", "replicas=2"], "unknown axis 'replicas'"),
        ([*JOB, "--mesh", "replicate"], "mesh 'replicate': needed axis=ranks"),
        ([*JOB, "--method", "ddq"], "unknown method 'ddq'"),
        ([*JOB, "--method", "ddp:bucket=2"], "unknown field of method ddp 'bucket'"),
        ([*JOB, "--method", "local"], "method local: needed 'every'"),
        ([*JOB, "--method", "mine.py"], "mine.py: no name in it is asked for"),
        ([*JOB, "--method", "mine.py:min"], "mine.py has no min: needed a function of a seat that"),
        ([*JOB, "--method", "mine.py:number"], "mine.py:number is 3: needed a function of a seat"),
        ([*JOB, "--method", "mine.py:broken"], "mine.py, line 8: AttributeError: "),
        ([*JOB, "--method", "gone.py:mine"], "gone.py"),
        ([*JOB, "--precision", "int32"], "precision 'int32'"),
        ([*JOB, "--ranks", "2", "--sites", "2"], "needed one of them"),
        ([*JOB, "--need", "1"], "utilisation 1"),
        ([*JOB, "--json", "two.toml"], "two.toml"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, complaint):
    status, out, err = run_here("train", *arguments)
    assert (status, out) == (2, "")
    assert complaint in err
    assert err.count("\n") == 1
