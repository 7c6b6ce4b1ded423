"""Workloads in text as AICB writes and SimAI reads them (github.com/aliyun/aicb and SimAI).

The first line names the loop and the sizes of groups, the second the number of layers; each further
line is one layer of twelve columns: name, dependency, then of the forward pass, the gradient of
the input and that of the weights each a time, a collective and its bytes; last the time of the
update. Times are nanoseconds: SimAI counts ticks of its CLOCK_PERIOD, 1 ns
(astra-sim/system/Common.hh), and AICB multiplies measured microseconds by 1000 (utils/utils.py).

The suffix of a collective names its group; without one it is the tensor-parallel group, or of the
weights' gradient the data-parallel one (Workload.cc, initialize_workload).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from emul.errors import TrainingError
from emul.reading import values
from emul.reading.bounded_text import read_lines
from emul.reading.place import Place
from emul.reading.values import MOST_BYTES, Range
from emul.training.readers.workload import Communication, WorkLayer, Workload

__all__ = ["read_workload"]

LONGEST_LINE = 64 << 10
MOST_LAYERS = 1_000_000
NS_PER_S = 1e9

NANOSECONDS = Range(0, 4e15, "ns")
"""To 46 days, the most seconds of one act."""

MOST_RANKS = 1 << 30

KINDS = (
    "HYBRID_TRANSFORMER_FWD_IN_BCKWD",
    "HYBRID_TRANSFORMER",
    "HYBRID_DLRM",
    "HYBRID_DLRM_ENHANCED",
    "HYBRID_DATA_MODEL",
    "HYBRID_MODEL_DATA",
    "HYBRID_CUSTOMIZED",
    "DISTRIBUTED_INFERENCE",
    "DATA",
    "MODEL",
    "MICRO",
)
"""Loops of SimAI's decode_parallelsim."""

CUSTOMIZED = "HYBRID_CUSTOMIZED"
"""Its layers have a column more, the kind of parallelism."""

COLUMNS = 12
NONE = "NONE"
COLLECTIVES = {
    "ALLREDUCE": "all_reduce",
    "ALLGATHER": "all_gather",
    "REDUCESCATTER": "reduce_scatter",
    "ALLTOALL": "all_to_all",
    "BROADCAST": "broadcast",
}
GROUPS = {
    "TP": "tensor",
    "DP": "data",
    "EP": "expert",
    "DP_EP": "expert_data",
    "PP": "pipeline",
}
SIZES = {
    "model_parallel_NPU_group": ("tensor", "ranks", 1, MOST_RANKS),
    "ep": ("expert", "ranks", 1, MOST_RANKS),
    "expert_parallel_npu_group": ("expert", "ranks", 1, MOST_RANKS),
    "pp": ("pipeline", "ranks", 1, MOST_RANKS),
    "vpp": ("virtual_stages", "parts", 0, MOST_RANKS),
    "ga": ("micro_batches", "micro-batches", 0, MOST_RANKS),
    "all_gpus": ("ranks", "ranks", 0, MOST_RANKS),
    "pp_comm": ("pipeline_bytes", "bytes", 0, MOST_BYTES),
}
"""Of each key of the first line, the field of a Workload, its unit, least and most."""
LISTS = {"checkpoints": "checkpoints", "checkpoint_initiates": "recomputing"}
NEEDED = f"{', '.join(COLLECTIVES)} or {NONE}, with _{', _'.join(GROUPS)} or no group behind it"


def read_workload(path: str | Path) -> Workload:
    """Return the workload in the text file at ``path``.

    Raises TrainingError, with line and column, for a file that is none: another first line, a
    number that is none, a collective or group that is not known, fewer or more layers than said.
    """
    place = Path(path)
    lines = _numbered(place)
    at, header = next(lines, (Place(place, 1, error_class=TrainingError), []))
    if not header or header[0] not in KINDS:
        came = header[0] if header else ""
        raise at.refusal(came, f"a workload of AICB, which begins with one of {', '.join(KINDS)}")
    said = _header(at, header)
    number = _number_of_layers(place, lines)
    layers: list[WorkLayer] = []
    for at, words in lines:
        if len(layers) == number:
            raise at.complaint(f"more than the {number} layers that line 2 says")
        layers.append(_layer(at, words, COLUMNS + (header[0] == CUSTOMIZED)))
    if len(layers) != number:
        raise Place(place, 2, error_class=TrainingError).refusal(
            str(number), f"the number of the layers that follow, which are {len(layers)}"
        )
    return Workload(header[0], tuple(layers), **said)


def _numbered(path: Path) -> Iterator[tuple[Place, list[str]]]:
    """Yield the words of each line that has some, with its place."""
    lines = read_lines(path, "a workload of AICB", LONGEST_LINE, TrainingError)
    for number, line in enumerate(lines, start=1):
        words = line.decode("utf-8", "replace").split()
        if words:
            yield Place(path, number, error_class=TrainingError), words


def _header(at: Place, words: Sequence[str]) -> dict[str, Any]:
    """Return the fields of a Workload that the first line says."""
    said: dict[str, Any] = {}
    notes = []
    rest = list(words[:0:-1])
    while rest:
        key = rest.pop().rstrip(":")
        if key in LISTS:
            length = _whole(at.of(key), rest, "layers", 0, MOST_LAYERS)
            said[LISTS[key]] = tuple(
                _whole(at.of(key), rest, "layers", 0, MOST_LAYERS) for _ in range(length)
            )
        elif key in SIZES:
            name, unit, least, most = SIZES[key]
            said[name] = _whole(at.of(key), rest, unit, least, most)
        else:
            notes.append(f"{at}: {key!r} of the first line is not read")
    return {**said, "notes": tuple(notes)}


def _whole(at: Place, rest: list[str], what: str, least: int, most: int) -> int:
    """Return the whole number that the next word is."""
    return values.count(rest.pop() if rest else "", at, what, least, most)


def _number_of_layers(path: Path, lines: Iterator[tuple[Place, list[str]]]) -> int:
    at, words = next(lines, (Place(path, 2, error_class=TrainingError), [""]))
    if len(words) != 1:
        raise at.refusal(" ".join(words), "the number of layers alone")
    return values.count(words[0], at, "layers", 0, MOST_LAYERS)


def _layer(at: Place, words: Sequence[str], columns: int) -> WorkLayer:
    if len(words) != columns:
        raise at.complaint(f"{len(words)} columns: needed {columns}, as in: name, dependency, time")
    return WorkLayer(
        words[0],
        _seconds(at, words, 2),
        _communication(at, words, 3, "tensor"),
        _seconds(at, words, 5),
        _communication(at, words, 6, "tensor"),
        _seconds(at, words, 8),
        _communication(at, words, 9, "data"),
        _seconds(at, words, 11),
    )


def _seconds(at: Place, words: Sequence[str], column: int) -> float:
    place = at.at(column + 1)
    found = values.amount(words[column], NANOSECONDS, place, f"a time, {NANOSECONDS}")
    return found / NS_PER_S


def _communication(
    at: Place, words: Sequence[str], column: int, usual: str
) -> tuple[Communication, ...]:
    """Return the collective at ``column`` and its bytes behind it; none where it is NONE."""
    name, place = words[column], at.at(column + 1)
    nbytes = values.whole_size(words[column + 1], at.at(column + 2))
    if name == NONE:
        return ()
    collective, _, suffix = name.partition("_")
    if collective not in COLLECTIVES or ((suffix or name[-1] == "_") and suffix not in GROUPS):
        raise place.refusal(name, NEEDED)
    return (Communication(COLLECTIVES[collective], nbytes, GROUPS.get(suffix, usual)),)
