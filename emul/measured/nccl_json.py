"""The JSON of nccl-tests (-J), which `emul perf --nccl-json` writes as well."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from emul.measured import nccl_names
from emul.measured.forms import COLLECTIVES
from emul.measured.json_text import JsonText
from emul.measured.measurement import Hints, Log, Measurement
from emul.measured.nccl_names import Row

__all__ = ["is_nccl_json", "read_nccl_json"]

PLACES = ("out_of_place", "in_place")
FORM = "nccl-tests JSON"


def is_nccl_json(document: JsonText) -> bool:
    """Say whether ``document`` is one that nccl-tests writes."""
    return isinstance(document.get("config"), dict) and document.get("results") is not None


def read_nccl_json(document: JsonText, path: Path, hints: Hints) -> Log:
    """Return what a document says: its results in place and out of place."""
    results = document.items("results")
    if document.get("out_of_bounds") is None:
        raise document.place(()).complaint("the document has no 'out_of_bounds': needed all of it")
    rows = [row for i in range(len(results)) if (row := _row(document, i)).times_s]
    rows = [row for row in rows if row.size_bytes]
    if not rows:
        raise nccl_names.no_rows(document.place(("results",)))
    hosts = _ranks_of_hosts(document)
    place = document.place(("config",))
    world_size = nccl_names.world_size_of(hosts, _ranks_of_process(document), hints, place)
    collective = _collective(document, rows, hints)
    nccl_names.check_busbw(rows, collective, world_size)
    measurements = [
        Measurement(
            collective, time_s, path.name, row.size_bytes, world_size, _named(row.experiment)[1]
        )
        for row in rows
        for time_s in row.times_s
    ]
    return Log(path, FORM, tuple(measurements), hosts)


def _ranks_of_process(document: JsonText) -> int:
    threads = document.whole("config", "nthreads", least=1)
    return threads * document.whole("config", "ngpus", least=1)


def _ranks_of_hosts(document: JsonText) -> tuple[int, ...]:
    """Return the ranks of each host: ``devices`` has a line for each process, not for each rank."""
    at = ("config", "devices")
    if document.get(*at) is None:
        return ()
    lines = [(*at, i) for i in range(len(document.items(*at)))]
    hosts = [
        (document.whole(*line, "group"), str(document.get(*line, "hostname"))) for line in lines
    ]
    every = [host for host in hosts for _ in range(_ranks_of_process(document))]
    return nccl_names.ranks_of_hosts(every, document.place(at))


def _named(experiment: str) -> tuple[str, str]:
    """Return the collective and the algorithm in the name that emul gives to a result."""
    words = experiment.split()
    if len(words) > 2 and words[0] in COLLECTIVES:
        return words[0], words[-1]
    return "", ""


def _collective(document: JsonText, rows: Sequence[Row], hints: Hints) -> str:
    """Return the collective: of emul's name for a result, or by the name of the program."""
    own = _named(rows[0].experiment)[0]
    program = nccl_names.PROGRAM.search(str(document.get("args", 0)))
    if own:
        return own
    if program:
        return nccl_names.program_named(program[1], document.place(("args", 0)))
    return nccl_names.collective_of(rows, hints, document.place(("results",)))


def _row(document: JsonText, i: int) -> Row:
    """Return a result; a half that was not run is null."""
    at = ("results", i)
    halves = [(*at, half) for half in PLACES if document.get(*at, half) is not None]
    for half in halves:
        if document.get(*half, "cpu_time") is not None:
            raise document.place((*half, "cpu_time")).complaint(
                "the time of launching (-C 1): needed that of the collective"
            )
        if document.get(*half, "nwrong"):
            wrong = document.get(*half, "nwrong")
            raise document.refusal((*half, "nwrong"), wrong, "0, for only what is right counts")
    size_bytes = document.whole(*at, "size")
    return Row(
        place=lambda: document.place(at),
        size_bytes=size_bytes,
        count=document.whole(*at, "count"),
        dtype=str(document.get(*at, "type")),
        redop=str(document.get(*at, "redop")),
        root=str(document.get(*at, "root")).strip(),
        times_s=tuple(document.positive(*half, "time") / 1e6 for half in halves),
        algbw_gb_per_s=document.number(*halves[0], "alg_bw") if halves else 0.0,
        busbw_gb_per_s=document.number(*halves[0], "bus_bw") if halves else 0.0,
        experiment=str(document.get(*at, "experiment_name") or ""),
    )
