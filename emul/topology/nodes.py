"""The nodes of a site: machines, of which equal ones in a row are kept once."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, overload

from emul.errors import TopologyError
from emul.reading.brief import brief

if TYPE_CHECKING:
    from emul.links import Link

__all__ = ["Node", "NodeRuns"]


@dataclass(frozen=True, slots=True)
class Node:
    """A machine: ``ranks`` participants joined by ``link``, one port in and out per rank.

    ``nic_of``: the number of the NIC by which each rank leaves the node; None where each has one of
    its own. Given as a number of NICs, ranks are spread over them in order: rank i of n has NIC
    i * nics // n, as libraries take the nearest where GPUs and NICs hang on the same switches.
    """

    ranks: int
    link: Link
    nic_of: tuple[int, ...] | int | None = None

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse a node without ranks, and NICs that it cannot have."""
        if self.ranks < 1:
            raise TopologyError(f"node with {self.ranks} ranks: needed at least 1")
        given = self.nic_of
        if isinstance(given, int):
            if not 1 <= given <= self.ranks:
                raise TopologyError(
                    f"node of {self.ranks} ranks with {given} NICs: needed from 1 to as many as "
                    "ranks, for a rank sends by one of them"
                )
            given = tuple(rank * given // self.ranks for rank in range(self.ranks))
        if given is not None and len(given) != self.ranks:
            raise TopologyError(
                f"node of {self.ranks} ranks with NICs for {len(given)}: needed one for each"
            )
        alone = given is None or len(set(given)) == self.ranks
        object.__setattr__(self, "nic_of", None if alone else given)

    @property
    def nics(self) -> int:
        """Number of NICs."""
        return self.ranks if self.nic_of is None else len(set(self._nic_numbers))

    @property
    def _nic_numbers(self) -> tuple[int, ...]:
        given = self.nic_of
        return given if isinstance(given, tuple) else tuple(range(self.ranks))

    def of_ranks(self, ranks: Sequence[int]) -> Node:
        """Return the node with some of its ``ranks`` alone, each with the NIC that it has."""
        nic_of = None if self.nic_of is None else tuple(self._nic_numbers[i] for i in ranks)
        return Node(len(ranks), self.link, nic_of)


@dataclass(frozen=True)
class NodeRuns(Sequence[Node]):
    """Nodes in rank order, as ``runs`` of equal ones: (node, how many of it).

    A site of a hundred thousand nodes costs no more to keep, compare and hash than one of two.

    >>> from emul.links import Link
    >>> node = Node(8, Link(rate_bytes_per_s=1e9, latency_s=1e-6))
    >>> nodes = NodeRuns.of([node] * 3)
    >>> len(nodes), nodes.ranks, nodes[2] == node
    (3, 24, True)
    """

    runs: tuple[tuple[Node, int], ...]

    __repr__ = brief

    @classmethod
    def of(cls, nodes: Iterable[Node]) -> NodeRuns:
        """Return ``nodes``, equal ones in a row made one run."""
        if isinstance(nodes, NodeRuns):
            return nodes
        return cls.joined((node, 1) for node in nodes)

    @classmethod
    def joined(cls, runs: Iterable[tuple[Node, int]]) -> NodeRuns:
        """Return the nodes of ``runs``, neighbouring ones of equal nodes made one."""
        found: list[tuple[Node, int]] = []
        for node, number in runs:
            last, so_far = found[-1] if found else (None, 0)
            if last is node or last == node:
                found[-1] = (node, so_far + number)
            else:
                found.append((node, number))
        return cls(tuple(found))

    @cached_property
    def ranks(self) -> int:
        """Number of ranks of all nodes."""
        return sum(node.ranks * number for node, number in self.runs)

    @cached_property
    def nics(self) -> int:
        """Number of NICs of all nodes."""
        return sum(node.nics * number for node, number in self.runs)

    @cached_property
    def _ends(self) -> tuple[int, ...]:
        return tuple(accumulate(number for _, number in self.runs))

    def changed(self, change: Callable[[Node], Node]) -> NodeRuns:
        """Return the nodes after ``change``, which is asked once for each run."""
        return NodeRuns.joined((change(node), number) for node, number in self.runs)

    def __len__(self) -> int:
        """Return the number of nodes."""
        return self._ends[-1] if self.runs else 0

    def __iter__(self) -> Iterator[Node]:
        """Go through all nodes, one by one."""
        for node, number in self.runs:
            for _ in range(number):
                yield node

    @overload
    def __getitem__(self, index: int) -> Node: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Node]: ...
    def __getitem__(self, index: int | slice) -> Node | Sequence[Node]:
        """Return a node by its number, or several."""
        if isinstance(index, slice):
            return tuple(self)[index]
        at = range(len(self))[index]
        return self.runs[bisect(self._ends, at)][0]
