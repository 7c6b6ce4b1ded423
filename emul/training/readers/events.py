"""The events of one rank, as an execution trace has them: computing and communication, in order."""

from __future__ import annotations

from dataclasses import dataclass

from emul.reading.brief import brief

__all__ = ["CommEvent", "ComputeEvent", "ExecutionTrace"]


@dataclass(frozen=True, slots=True)
class ComputeEvent:
    """The rank computes, or does something else that is no communication, for ``seconds``.

    Parameters
    ----------
    seconds
        As measured; 0 where the trace has operations in its place.
    number
        Of this event in the trace, by which others name it.
    name
        As the trace has it, such as the name of a kernel.
    after
        The numbers of the events that must be done before.
    kind
        ``compute``; ``call``, by which the host starts a communication; or of other nodes
        ``metadata``, ``memory load``, ``memory store``, ``storage``, ``batch``, ``checkpoint``.
    operations
        Arithmetic operations; 0 where the trace has none.
    on_cpu
        Whether it was an operator of the host, and not of an accelerator.
    """

    seconds: float
    number: int = 0
    name: str = ""
    after: tuple[int, ...] = ()
    kind: str = "compute"
    operations: int = 0
    on_cpu: bool = False

    __repr__ = brief


@dataclass(frozen=True, slots=True)
class CommEvent:
    """The rank takes part in a collective, or sends or receives a message.

    Parameters
    ----------
    collective
        One of emul's names, or ``barrier``, ``send``, ``recv``.
    nbytes
        As the trace has it; traces of PyTorch have the bytes of this rank's input.
    group
        The name of the process group, or the dimensions of the network that take part; empty: the
        trace does not say it. Which ranks belong to it is not in the trace.
    number, name, after, on_cpu
        As of a ComputeEvent.
    seconds
        As measured, with the time of waiting for other ranks; 0 where nobody did.
    peer
        The other rank of a message; -1 of a collective, and where the trace does not say it.
    """

    collective: str
    nbytes: int
    group: str = ""
    number: int = 0
    name: str = ""
    after: tuple[int, ...] = ()
    seconds: float = 0.0
    peer: int = -1
    on_cpu: bool = False

    __repr__ = brief


@dataclass(frozen=True, slots=True)
class ExecutionTrace:
    """The events of one rank, each behind those that it must follow; else in the order of the file.

    ``version``: of the schema, as the file says it.
    """

    events: tuple[ComputeEvent | CommEvent, ...]
    version: str = ""

    __repr__ = brief

    @property
    def compute_s(self) -> float:
        """The seconds of computing on the accelerator."""
        return sum(
            event.seconds
            for event in self.events
            if isinstance(event, ComputeEvent) and event.kind == "compute" and not event.on_cpu
        )

    @property
    def communications(self) -> tuple[CommEvent, ...]:
        """The events that are communication."""
        return tuple(event for event in self.events if isinstance(event, CommEvent))
