"""Files that commands write: whole or not at all, and refused before the work."""

import contextlib
import errno
import io
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from command import MAIN, SMALL, run_here

from emul import EmulError, FileError, report
from emul.cli.main import run
from emul.cli.sweep import Sweep
from emul.files import check_outputs, check_writable, write_file, write_text
from emul.report.documents import write_json
from emul.validation import Predictor

FIDELITY = Path(__file__).parent.parent / "fidelity" / "namespaces"
VIRTUAL = ["perf", "--clock", "virtual", "-b", "8", "-e", "64", *SMALL]


def test_a_writer_in_the_midst_of_another_one_tears_nothing(tmp_path):
    path, seen = tmp_path / "out.json", []

    def outer(file):
        file.write(b"outer, ")
        file.flush()
        write_text(path, "inner")
        seen.append(path.read_text())
        file.write(b"whole")

    write_file(path, outer)
    assert seen == ["inner"]
    assert path.read_text() == "outer, whole"
    assert os.listdir(tmp_path) == ["out.json"]


def test_readers_never_see_half_a_file_of_several_writers(tmp_path):
    path, faults = tmp_path / "race.json", []
    write_json(path, {"a": []})

    def work(name):
        try:
            for number in range(60):
                write_json(path, {"a": [name] * (10 if number % 2 else 5000)})
        except OSError as error:
            faults.append(error)

    writers = [threading.Thread(target=work, args=[str(each)]) for each in range(3)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        names = json.loads(path.read_text())["a"]
        assert len(set(names)) <= 1
    assert faults == []
    assert os.listdir(tmp_path) == ["race.json"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
@pytest.mark.parametrize("before", ["precious", None])
def test_a_writer_that_fails_leaves_what_was_there(tmp_path, error, before):
    path = tmp_path / "out.json"
    if before:
        path.write_text(before)

    def fails(file):
        file.write(b"half")
        raise error

    with pytest.raises(FileError if isinstance(error, OSError) else KeyboardInterrupt):
        write_file(path, fails)
    assert os.listdir(tmp_path) == (["out.json"] if before else [])
    assert not before or path.read_text() == before


@pytest.mark.parametrize("before", ["old", None])
@pytest.mark.parametrize("links", [1, 3])
def test_a_symbolic_link_stays_and_its_target_is_written(tmp_path, before, links):
    (tmp_path / "elsewhere").mkdir()
    real = tmp_path / "elsewhere" / "real.json"
    if before:
        real.write_text(before)
    path = tmp_path / "link0"
    path.symlink_to("elsewhere/real.json")
    for number in range(1, links):
        (tmp_path / f"link{number}").symlink_to(path)
        path = tmp_path / f"link{number}"
    check_writable(path)
    assert real.exists() == bool(before)
    write_text(path, "new")
    assert path.is_symlink()
    assert not real.is_symlink()
    assert real.read_text() == "new"


def test_permissions_are_kept_and_those_of_new_files_are_as_usual(tmp_path):
    old, new, plain = (tmp_path / name for name in ("old", "new", "plain"))
    old.write_text("")
    old.chmod(0o640)
    plain.write_text("")
    write_text(old, "x")
    write_text(new, "x")
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert new.stat().st_mode == plain.stat().st_mode


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path):
    longest = os.pathconf(tmp_path, "PC_NAME_MAX")
    path = tmp_path / ("a" * longest)
    check_writable(path)
    write_text(path, "x")
    assert path.read_text() == "x"
    for name in ("a" * (longest + 1), "é" * longest, "/".join(["a" * 99] * 99)):
        with pytest.raises(FileError, match=r"cannot be written: .*name too long"):
            check_writable(tmp_path / name)


def refused(tmp_path):
    """Paths that nobody can write to, not even root, by the kind of reason."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("precious")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "astray").symlink_to("no/such/folder/x")
    (tmp_path / "way").symlink_to("folder")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    paths = ["", ".", "folder", "way", "no/x.json", "file/x.json", "loop", "astray", "socket"]
    paths += ["a\0b", "/dev/no-such-device", "/dev/fd/999"]
    return [*paths, *(["/sys/x.json"] if Path("/sys").is_dir() else [])]


def test_what_cannot_be_written_is_refused_before_and_touched_by_neither(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = refused(tmp_path)
    before = sorted(os.listdir())
    for path in map(Path, paths):
        for attempt in (check_writable, lambda each: write_text(each, "x")):
            with pytest.raises(FileError, match="cannot be written: needed a file name") as found:
                attempt(path)
            assert isinstance(found.value, EmulError)
            assert isinstance(found.value, OSError)
            assert str(found.value).startswith(f"{path}: ")
    assert sorted(os.listdir()) == before
    assert Path("file").read_text() == "precious"


def test_a_file_name_that_is_no_utf8_can_stand_in_a_file(tmp_path):
    path = tmp_path / "\udcff.toml"
    write_text(path, f"# from {path.name}\n")
    assert path.read_text() == "# from ?.toml\n"


def test_a_folder_that_is_gone_is_refused(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(FileError, match=r"x\.json: cannot be written"):
        check_writable(Path("x.json"))


def test_devices_and_pipes_are_written_to_as_they_are(tmp_path):
    fifo, got = tmp_path / "fifo", []
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: got.append(fifo.read_text()))
    reader.start()
    check_writable(fifo)
    write_text(fifo, "through a pipe")
    reader.join()
    assert got == ["through a pipe"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    write_text(Path("/dev/null"), "x")
    check_writable(Path("/dev/full"))
    with pytest.raises(FileError, match=r"/dev/full: cannot be written: .*No space left"):
        write_text(Path("/dev/full"), "x")


def test_no_output_is_an_input_or_another_output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("precious")
    Path("link").symlink_to("in.csv")
    null = Path("/dev/null")
    check_outputs({"--json": Path("a"), "--out": Path("b"), "--none": None}, ["in.csv", "ring"])
    check_outputs({"--json": null, "--out": null})
    for same in (Path("a"), Path("./a"), tmp_path / "a"):
        with pytest.raises(FileError, match=r"--out .*: written by --json too: needed another"):
            check_outputs({"--json": Path("a"), "--out": same})
    for same in (Path("in.csv"), Path("link"), tmp_path / "in.csv"):
        with pytest.raises(
            FileError, match=r"--json .*: read by the command too: needed another file"
        ):
            check_outputs({"--json": same}, ["in.csv"])
    assert sorted(os.listdir()) == ["in.csv", "link"]


MEASURED = ["validate", str(FIDELITY / "collectives.csv"), "--links", str(FIDELITY / "links.csv")]
WRITERS = {
    "perf --json": [*VIRTUAL, "--json"],
    "perf --csv": [*VIRTUAL, "--csv"],
    "perf --nccl-json": [*VIRTUAL, "--nccl-json"],
    "perf --trace": [*VIRTUAL, "--trace"],
    "perf --plot": [*VIRTUAL, "--plot"],
    "perf --plot-timeline": [*VIRTUAL, "--plot-timeline"],
    "plan write": ["plan", "write", "all_reduce", "ring"],
    "calibrate --out": ["calibrate", "log.csv", "--out"],
    "calibrate --json": ["calibrate", "log.csv", "--json"],
    "calibrate --csv": ["calibrate", "log.csv", "--csv"],
    "validate --csv": [*MEASURED, "--csv"],
    "validate --json": [*MEASURED, "--json"],
    "validate --plot": [*MEASURED, "--plot"],
}


@pytest.mark.parametrize("command", WRITERS)
def test_every_command_refuses_before_the_work(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    Path("log.csv").write_text("kind,size_bytes,time_s\nlatency,8,0.001\n")
    for path in (".", "a" * 300, "no/such/folder/x.svg"):
        status, printed, complaint = run_here(*WRITERS[command], path)
        assert (status, printed) == (2, "")
        assert complaint.startswith(f"emul: {path}: cannot be written: needed a file name")
        assert complaint.count("\n") == 1
    assert os.listdir() == ["log.csv"]


def test_an_interrupt_names_the_files_that_are_not_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole = report.perf_document

    def interrupted(version, result):
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "perf_document", interrupted)
    status, _, complaint = run_here(*VIRTUAL, "--json", "a.json", "--csv", "b.csv")
    assert (status, os.listdir()) == (130, [])
    assert complaint == "emul: interrupted: not written: a.json, b.csv\n"
    monkeypatch.setattr(report, "perf_document", whole)
    monkeypatch.setattr("emul.report.documents.rows_csv", lambda rows: interrupted("", rows))
    status, _, complaint = run_here(*VIRTUAL, "--json", "a.json", "--csv", "b.csv")
    assert (status, os.listdir()) == (130, ["a.json"])
    assert complaint == "emul: interrupted: not written: b.csv\n"


class Unread(io.StringIO):
    """Standard output whose reader, such as head, has had enough."""

    def write(self, text):
        if text:  # Rich also writes nothing
            raise BrokenPipeError


@pytest.mark.parametrize(
    "command",
    [
        [*VIRTUAL, "--json"],
        [*VIRTUAL, "--narrow", "--json"],
        ["calibrate", "log.csv", "--json"],
        ["calibrate", "log.csv", "--out"],
        ["compare", "ring", "--against", "bruck", "--ranks", "2", "-e", "8K", "--json"],
    ],
)
def test_files_are_written_also_when_nobody_reads_the_table(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    Path("log.csv").write_text("kind,size_bytes,time_s\nlatency,0,0.001\n")
    status, *_ = run_here(*command, "whole")
    whole = Path("whole").read_text()
    monkeypatch.setattr(sys, "argv", ["emul", *command, "unread"])
    with pytest.raises(SystemExit) as end, contextlib.redirect_stdout(Unread()):
        run()
    assert (end.value.code or 0, status) == (0, 0)
    assert Path("unread").read_text().count("\n") == whole.count("\n")


@pytest.mark.parametrize("command", [VIRTUAL, ["topology", "list"], ["stack", "show", "nccl"]])
def test_without_files_a_command_ends_when_nobody_reads_it(monkeypatch, command):
    monkeypatch.setattr(sys, "argv", ["emul", *command])
    with pytest.raises(SystemExit) as end, contextlib.redirect_stdout(Unread()):
        run()
    assert end.value.code == 1


def test_a_picture_is_refused_before_the_work_if_nothing_draws_its_form(tmp_path):
    for name in ("picture.xyz", "picture"):
        status, printed, complaint = run_here(*MEASURED, "--plot", str(tmp_path / name))
        assert (status, printed) == (2, "")
        assert "needed a name that ends in ." in complaint
        assert ".svg" in complaint
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("option", ["--json", "--nccl-json"])
@pytest.mark.parametrize("done", [0, 1, 4])
def test_an_interrupt_replaces_nothing_complete_in_silence(tmp_path, monkeypatch, option, done):
    """Of four sizes; with all done, it comes while the words below the table are worked out."""
    path = tmp_path / "old.json"
    path.write_text("complete")
    row, predict = Sweep.row, Sweep.predict
    rows = []

    def interrupted(self, count, advance):
        if len(rows) == done:
            raise KeyboardInterrupt
        rows.append(count)
        return row(self, count, advance)

    def interrupted_words(self, world, count):
        if len(rows) == 4:
            raise KeyboardInterrupt
        return predict(self, world, count)

    monkeypatch.setattr(Sweep, "row", interrupted)
    monkeypatch.setattr(Sweep, "predict", interrupted_words)
    status, _, complaint = run_here(*VIRTUAL, option, str(path))
    assert (status, complaint) == (130, f"emul perf: interrupted after {done} of 4 sizes\n")
    if not done:
        assert path.read_text() == "complete"
        return
    document = json.loads(path.read_text())
    assert len(document["rows" if option == "--json" else "results"]) == done
    assert document.get("interrupted") == (True if done < 4 else None)


@pytest.mark.parametrize("done", [0, 2])
def test_an_interrupt_of_validate_is_said_in_its_json(tmp_path, monkeypatch, done):
    path = tmp_path / "old.json"
    path.write_text("complete")
    predict, found = Predictor.predict, []

    def interrupted(self, row):
        if len(found) == done:
            raise KeyboardInterrupt
        found.append(row)
        return predict(self, row)

    monkeypatch.setattr(Predictor, "predict", interrupted)
    status, _, complaint = run_here(*MEASURED, "--json", str(path))
    assert status == 130
    # click 8.1 ends the line of the terminal's ^C before it.
    assert complaint.lstrip("\n").startswith(f"emul: interrupted after {done} of ")
    if not done:
        assert path.read_text() == "complete"
        return
    document = json.loads(path.read_text())
    assert document["interrupted"] is True
    assert len(document["rows"]) == done


def shell(line, **more):
    """Run a line of sh in which ``emul`` is the command."""
    script = f'emul() {{ "{MAIN[0]}" -m emul "$@"; }}; {line}'
    return subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, timeout=120, check=False, **more
    )


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("emul --help > /dev/full", "standard output: No space left on device"),
        ("emul > /dev/full", "standard output: No space left on device"),
        (f"emul {' '.join(VIRTUAL)} > /dev/full", "standard output: No space left on device"),
        ("emul topology list > /dev/full", "standard output: No space left on device"),
        ("emul stack list >&-", "standard output is closed"),
    ],
)
def test_standard_output_that_takes_nothing_is_one_line_and_status_2(line, complaint):
    done = shell(line)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"emul: {complaint}")


def test_a_reader_that_has_had_enough_is_no_complaint():
    for command in (" ".join(VIRTUAL), "topology list", "perf --help"):
        done = shell(f"emul {command} | head -n 1")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("\n") == 1


def test_closed_inputs_and_errors_are_no_traceback(tmp_path):
    done = shell(f"emul {' '.join(VIRTUAL)} <&- 2>&- --json out.json; echo $?", cwd=tmp_path)
    assert done.stdout.endswith("\n0\n")
    assert len(json.loads((tmp_path / "out.json").read_text())["rows"]) == 4
    assert shell("emul perf -b none 2>&-; echo $?").stdout == "2\n"


def test_json_on_standard_output_comes_behind_the_table(tmp_path):
    """Redirected to a file, /dev/stdout is that file: it keeps what was printed before."""
    shell(f"emul {' '.join(VIRTUAL)} --json /dev/stdout > out.txt", cwd=tmp_path)
    text = (tmp_path / "out.txt").read_text()
    assert text.startswith("# emul ")
    table, brace, rest = text.partition("\n{")
    assert "# Avg bus bandwidth" in table
    assert len(json.loads(brace + rest)["rows"]) == 4
