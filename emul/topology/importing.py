"""Topologies that others wrote, as topology files: GraphML, GML, InfraGraph, ASTRA-sim, NCCL."""

from __future__ import annotations

from pathlib import Path

from emul.errors import TopologyError
from emul.reading.bounded_text import read_bytes
from emul.topology.formats.astra_sim import astra_sim_document
from emul.topology.formats.infragraph import infragraph_document
from emul.topology.formats.nccl_dump import nccl_document
from emul.topology.formats.wan_graphs import Lacking, wan_document
from emul.topology.toml.reader import parse_document
from emul.topology.toml.writing import comment, document_lines

__all__ = ["ENDINGS", "Lacking", "imported_text"]

ENDINGS = (".graphml", ".gml", ".json", ".yml", ".yaml", ".xml")
MOST_BYTES = 8 << 20


def imported_text(path: Path, lacking: Lacking, *, nodes: int = 1) -> str:
    """Return the topology file that says the same as the file at ``path``.

    Its ending tells the format. ``nodes``: machines like the one in a dump of NCCL. Each number has
    its source; assumed ones are marked. The text has been read back. Raises TopologyError.
    """
    form = path.suffix.lower()
    if form not in ENDINGS:
        raise TopologyError(f"{path}: needed a file that ends in one of {', '.join(ENDINGS)}")
    content = read_bytes(path, "a topology", MOST_BYTES)
    if form in (".graphml", ".gml"):
        document, notes = wan_document(content, path.name, form[1:], lacking)
    elif form == ".xml":
        document, notes = nccl_document(content, path.name, nodes)
    elif form == ".json":
        text, given = content.decode("utf-8", "replace"), lacking
        document, notes = infragraph_document(
            text, path.name, given.rate_gbit_per_s, given.latency_us
        )
    else:
        text = content.decode("utf-8", "replace")
        document, notes = astra_sim_document(text, path.name)
    head = [f"From {path.name}, by emul topology import.", *notes]
    lines = [*map(comment, head), *document_lines(document)]
    text = "\n".join(lines).rstrip() + "\n"
    parse_document(text, name=path.stem, where=f"the topology of {path}")
    return text
