"""The JSON of nccl-tests (-J), which `emul perf --nccl-json` writes as well."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from emul.measured import nccl_names
from emul.measured.measurement import IN_PLACE, OUT_OF_PLACE, Hints, Log
from emul.measured.nccl_names import Half, NcclRow
from emul.reading.json_text import JsonText

__all__ = ["is_nccl_json", "read_nccl_json"]

PLACES = {"out_of_place": OUT_OF_PLACE, "in_place": IN_PLACE}
FORM = "nccl-tests JSON"
ROUNDING_GB_PER_S = 0.0005
"""Of three digits after the point, which is coarser than any version of the JSON has."""


def is_nccl_json(document: JsonText) -> bool:
    """Say whether ``document`` is one that nccl-tests writes."""
    return isinstance(document.get("config"), dict) and document.get("results") is not None


def read_nccl_json(document: JsonText, path: Path, hints: Hints) -> Log:
    """Return the log of a document: its results in place and out of place."""
    results = document.items("results")
    if document.get("out_of_bounds") is None:
        raise document.place(()).complaint("the document has no 'out_of_bounds': needed all of it")
    if document.get("out_of_bounds", "count"):
        wrong = document.get("out_of_bounds", "count")
        raise document.refusal(
            ("out_of_bounds", "count"), wrong, "0, for only what is right counts"
        )
    rows = [row for i in range(len(results)) if (row := _row(document, i)).halves]
    rows = [row for row in rows if row.size_bytes]
    if not rows:
        raise nccl_names.no_rows(document.place(("results",)))
    hosts = _ranks_of_hosts(document)
    place = document.place(("config",))
    world_size = nccl_names.world_size_of(hosts, _ranks_of_process(document), hints, place)
    collective = _collective(document, rows, world_size, hints)
    nccl_names.check_bandwidths(rows, collective, world_size)
    nccl_names.check_columns(rows, collective, place)
    measurements = nccl_names.measurements_of(rows, collective, world_size, path.name)
    return Log(path, FORM, measurements, hosts)


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


def _collective(document: JsonText, rows: Sequence[NcclRow], world_size: int, hints: Hints) -> str:
    """Return the collective: of emul's name for a result, or by the name of the program."""
    own = nccl_names.algorithm_named(rows[0].experiment)[0]
    program = nccl_names.PROGRAM.search(str(document.get("args", 0)))
    if own:
        return own
    if program:
        return nccl_names.program_named(program[1], document.place(("args", 0)))
    return nccl_names.collective_of(rows, world_size, hints, document.place(("results",)))


def _row(document: JsonText, i: int) -> NcclRow:
    """Return a result; a half that was not run is null."""
    at = ("results", i)
    missing = [name for name in PLACES if name not in (document.get(*at) or {})]
    if missing:
        raise document.refusal((*at, missing[0]), None, "a half, or null where it was not run")
    halves = [name for name in PLACES if document.get(*at, name) is not None]
    return NcclRow(
        here=lambda: document.place(at),
        size_bytes=document.whole(*at, "size"),
        count=document.whole(*at, "count"),
        dtype=str(document.get(*at, "type")),
        redop=str(document.get(*at, "redop")),
        root=str(document.get(*at, "root")).strip(),
        halves=tuple(_half(document, i, name) for name in halves),
        experiment=str(document.get(*at, "experiment_name") or ""),
    )


def _half(document: JsonText, i: int, name: str) -> Half:
    at = ("results", i, name)
    if document.get(*at, "cpu_time") is not None:
        raise document.place((*at, "cpu_time")).complaint(
            "the time of launching (-C 1): needed that of the collective"
        )
    wrong = document.get(*at, "nwrong")
    if wrong and wrong != "N/A":
        raise document.refusal((*at, "nwrong"), wrong, "0, for only what is right counts")
    return Half(
        place=PLACES[name],
        time_s=document.positive(*at, "time") / 1e6,
        algbw_gb_per_s=document.number(*at, "alg_bw"),
        busbw_gb_per_s=document.number(*at, "bus_bw"),
        checked=wrong == 0,
        rounding_gb_per_s=ROUNDING_GB_PER_S,
    )
