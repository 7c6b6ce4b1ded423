"""Ranks that carry out collectives together: all of a world, or a group of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import numpy.typing as npt

from emul.errors import ArgumentError, shown
from emul.ops import REDUCTIONS, Ops, dtype_named
from emul.ops.buffers import Buffers
from emul.ops.carried import check_takes_wire, wire_of_call
from emul.ops.shapes import NO_ARITHMETIC, NoData, ShapeOnly, given_shape, timed_shape
from emul.plans import Counts, Shape, collective_meant, collective_named
from emul.reading.brief import one_line
from emul.reading.checks import flag, is_array, one_of, rank, whole
from emul.runtime import launch
from emul.runtime.engine import Engine
from emul.runtime.handle import Handle
from emul.runtime.messages import Envelope
from emul.runtime.prediction import Prediction
from emul.runtime.request import AUTO, Algorithm, Request
from emul.runtime.run import Run
from emul.timing import Release
from emul.topology import Topology

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from emul.runtime.keywords import (
        BlocksOnWire,
        OfBlocks,
        ReducingBlocks,
        ReducingOnWire,
        Rooted,
        RootedBlocks,
        RootedReducing,
        Shifted,
    )

__all__ = ["Communicator", "Group"]

DEFAULT_ALGORITHM = AUTO

Array = Any
"""The array of a caller: of NumPy, CuPy, or a library that speaks DLPack; or a shape (NoData)."""

No = Literal[False]
Yes = Literal[True]


SHOWN = 40
"""Ranks of a group that are named."""


class Communicator:
    """The collectives among some ``ranks`` of a world, ``size`` of them.

    Below, n is their number: buffers have a row for each, in rising order of rank, and roots are
    counted among them. ``number``: 0 for the world, then groups in the order of their making.

    A call is issue and wait of all its ranks: each goes on when its own part is done, and so each
    has a clock of its own afterwards. It returns a Run; with ``async_op=True`` a Handle at once,
    see there. A collective starts at a rank when that has issued it and is done with all that it
    issued before on the same communicator; those of different communicators run side by side, and
    share ports and trunks. Where its transport gives a connection up in an outage, a call raises
    OutageError, with its input as it was; others in flight, and later ones, go on.
    """

    ranks: npt.NDArray[np.int32]
    number: int
    communicator: int
    size: int
    company: int = 1
    ordered: None = None
    release: Release = "arrival"

    def __init__(
        self, engine: Engine, topology: Topology, ranks: npt.NDArray[np.int32], number: int
    ) -> None:
        """Take the engine, the places of these ranks, and their number as a communicator."""
        self.engine = engine
        self.planner = engine.planner_of(topology)
        self.ranks = ranks
        self.number = self.communicator = number
        self.size = len(ranks)

    def _call(
        self,
        collective: str,
        x: Array,
        out: Array | None,
        async_op: bool,
        *,
        op: str = "sum",
        counts: Counts | None = None,
        algorithm: Algorithm,
        root: int = 0,
        wire: str | None = None,
        nbytes: float | None = None,
    ) -> Run | Handle:
        """Carry a collective out, or issue it.

        Raises all faults of the arguments before anything is touched; a call that fails, or is
        interrupted, leaves its input as it was.
        """
        engine, n, began_ns = self.engine, self.size, self.engine.begin()
        engine.check_each(collective)
        op, issued = one_of(op, "op", REDUCTIONS), flag(async_op, "async_op")
        root = rank(root, "root", n)
        promise, shape = collective_named(collective), given_shape(x)
        ops: Ops
        buffers: Buffers
        if shape is not None:
            ops, buffers = NO_ARITHMETIC, ShapeOnly(promise, n, shape, out, counts)
        else:
            ops = engine.ops if type(x) is np.ndarray else engine.ops_taking(x)
            revocable = (engine.waits and not issued) or engine.planner.changes
            buffers = Buffers(promise, n, x, out, counts, revocable=revocable, arrays=ops.arrays)
        carried = wire_of_call(wire, collective, buffers.dtype, op)
        if carried is not None:
            check_takes_wire(ops, carried)
        timed = buffers.shape if nbytes is None else timed_shape(buffers, nbytes)
        request = Request(timed, buffers.dtype.itemsize, op, algorithm, root, carried)
        begin = launch.issue if issued else launch.run
        return begin(request, self, ops, buffers, began_ns)

    @overload
    def all_reduce(self, x: Array, *, async_op: No = ..., **how: Unpack[ReducingOnWire]) -> Run: ...

    @overload
    def all_reduce(self, x: Array, *, async_op: Yes, **how: Unpack[ReducingOnWire]) -> Handle: ...

    def all_reduce(
        self,
        x: Array,
        *,
        op: str = "sum",
        algorithm: Algorithm = DEFAULT_ALGORITHM,
        wire: str | None = None,
        out: Array | None = None,
        nbytes: float | None = None,
        async_op: bool = False,
    ) -> Run | Handle:
        """Give every rank the reduction of all buffers: (n, count) -> (n, count).

        ``op``: sum, prod, min, max or avg. ``algorithm``: one of emul.plans.ALGORITHMS, or
        ``auto`` for the one that the model finds quickest at this size; or the path of a plan in
        MSCCL XML, which ends in .xml; or a function that yields the steps of one's own (see
        emul.plans.plan_from); or FILE.py:NAME, one in a file, which is executed; or a Plan. The
        order of reduction is that of the plan. ``wire``: int8, fp8, fp4, bfloat16, float16 or
        float32, the format of floats in every message (see emul.plans.encoding); they are added up
        in float32, and encoding takes no modelled time. ``out``: a buffer to write into, also ``x``
        itself. ``nbytes``: bytes of the input of one rank for which the call is timed, and its
        algorithm chosen; the arithmetic is done on ``x``, which may be much smaller. ``async_op``:
        return a Handle at once. Raises ShapeError, DTypeError, ArgumentError, PlanError or
        CapacityError before anything is touched.

        >>> import numpy as np, emul
        >>> world = emul.World("three-campus")
        >>> run = world.all_reduce(np.ones((24, 6)), nbytes=2e9)  # 24 rows of 2 GB, by the clock
        >>> run.output[0], run.prediction.nbytes
        (array([24., 24., 24., 24., 24., 24.]), 2000000000)
        """
        return self._call(
            "all_reduce", x, out, async_op, op=op, algorithm=algorithm, wire=wire, nbytes=nbytes
        )

    @overload
    def reduce_scatter(
        self, x: Array, *, async_op: No = ..., **how: Unpack[ReducingBlocks]
    ) -> Run: ...

    @overload
    def reduce_scatter(
        self, x: Array, *, async_op: Yes, **how: Unpack[ReducingBlocks]
    ) -> Handle: ...

    def reduce_scatter(
        self,
        x: Array,
        *,
        op: str = "sum",
        counts: Counts | None = None,
        algorithm: Algorithm = DEFAULT_ALGORITHM,
        wire: str | None = None,
        out: Array | None = None,
        nbytes: float | None = None,
        async_op: bool = False,
    ) -> Run | Handle:
        """Give rank r block r of the reduction of all buffers: (n, n*c) -> (n, c).

        With ``counts`` (n,), block r has counts[r] elements: (n, sum) -> (n, max), rows that are
        shorter filled up with zeros. Other arguments and errors as for ``all_reduce``.
        """
        return self._call(
            "reduce_scatter",
            x,
            out,
            async_op,
            op=op,
            counts=counts,
            algorithm=algorithm,
            wire=wire,
            nbytes=nbytes,
        )

    @overload
    def all_gather(self, x: Array, *, async_op: No = ..., **how: Unpack[BlocksOnWire]) -> Run: ...

    @overload
    def all_gather(self, x: Array, *, async_op: Yes, **how: Unpack[BlocksOnWire]) -> Handle: ...

    def all_gather(
        self,
        x: Array,
        *,
        counts: Counts | None = None,
        algorithm: Algorithm = DEFAULT_ALGORITHM,
        wire: str | None = None,
        out: Array | None = None,
        nbytes: float | None = None,
        async_op: bool = False,
    ) -> Run | Handle:
        """Give every rank all buffers in rank order: (n, c) -> (n, n*c).

        With ``counts`` (n,), rank r has the first counts[r] elements of its row: (n, max) ->
        (n, sum). Errors as for ``all_reduce``.
        """
        return self._call(
            "all_gather",
            x,
            out,
            async_op,
            counts=counts,
            algorithm=algorithm,
            wire=wire,
            nbytes=nbytes,
        )

    @overload
    def broadcast(self, x: Array, *, async_op: No = ..., **how: Unpack[Rooted]) -> Run: ...

    @overload
    def broadcast(self, x: Array, *, async_op: Yes, **how: Unpack[Rooted]) -> Handle: ...

    def broadcast(
        self,
        x: Array,
        *,
        root: int = 0,
        algorithm: Algorithm = DEFAULT_ALGORITHM,
        out: Array | None = None,
        nbytes: float | None = None,
        async_op: bool = False,
    ) -> Run | Handle:
        """Give every rank the buffer of rank ``root``: (n, count) -> (n, count).

        Errors as for ``all_reduce``.
        """
        return self._call(
            "broadcast", x, out, async_op, root=root, algorithm=algorithm, nbytes=nbytes
        )

    @overload
    def reduce(self, x: Array, *, async_op: No = ..., **how: Unpack[RootedReducing]) -> Run: ...

    @overload
    def reduce(self, x: Array, *, async_op: Yes, **how: Unpack[RootedReducing]) -> Handle: ...

    def reduce(
        self,
        x: Array,
        *,
        op: str = "sum",
        root: int = 0,
        algorithm: Algorithm = DEFAULT_ALGORITHM,
        out: Array | None = None,
        nbytes: float | None = None,
        async_op: bool = False,
    ) -> Run | Handle:
        """Give rank ``root`` the reduction of all buffers: (n, count) -> (count,).

        Arguments and errors as for ``all_reduce``.
        """
        return self._call(
            "reduce", x, out, async_op, op=op, root=root, algorithm=algorithm, nbytes=nbytes
        )

    @overload
    def all_to_all(self, x: Array, *, async_op: No = ..., **how: Unpack[OfBlocks]) -> Run: ...

    @overload
    def all_to_all(self, x: Array, *, async_op: Yes, **how: Unpack[OfBlocks]) -> Handle: ...

    def all_to_all(
        self,
        x: Array,
        *,
        counts: Counts | None = None,
        algorithm: Algorithm = DEFAULT_ALGORITHM,
        out: Array | None = None,
        nbytes: float | None = None,
        async_op: bool = False,
    ) -> Run | Handle:
        """Give rank d block d of every rank, in rank order: (n, n*c) -> (n, n*c).

        With ``counts`` (n, n), rank s sends counts[s, d] elements to rank d: rows are as long as
        the longest, and the rest of shorter ones is not read, or filled with zeros. Errors as
        for ``all_reduce``.
        """
        return self._call(
            "all_to_all", x, out, async_op, counts=counts, algorithm=algorithm, nbytes=nbytes
        )

    @overload
    def gather(self, x: Array, *, async_op: No = ..., **how: Unpack[RootedBlocks]) -> Run: ...

    @overload
    def gather(self, x: Array, *, async_op: Yes, **how: Unpack[RootedBlocks]) -> Handle: ...

    def gather(
        self,
        x: Array,
        *,
        root: int = 0,
        counts: Counts | None = None,
        algorithm: Algorithm = DEFAULT_ALGORITHM,
        out: Array | None = None,
        nbytes: float | None = None,
        async_op: bool = False,
    ) -> Run | Handle:
        """Give rank ``root`` all buffers in rank order: (n, c) -> (n*c,).

        ``counts`` as in all_gather. Errors as for ``all_reduce``.
        """
        return self._call(
            "gather", x, out, async_op, root=root, counts=counts, algorithm=algorithm, nbytes=nbytes
        )

    @overload
    def scatter(self, x: Array, *, async_op: No = ..., **how: Unpack[RootedBlocks]) -> Run: ...

    @overload
    def scatter(self, x: Array, *, async_op: Yes, **how: Unpack[RootedBlocks]) -> Handle: ...

    def scatter(
        self,
        x: Array,
        *,
        root: int = 0,
        counts: Counts | None = None,
        algorithm: Algorithm = DEFAULT_ALGORITHM,
        out: Array | None = None,
        nbytes: float | None = None,
        async_op: bool = False,
    ) -> Run | Handle:
        """Give rank r block r of the buffer ``x`` of rank ``root``: (n*c,) -> (n, c).

        ``counts`` as in reduce_scatter. Errors as for ``all_reduce``.
        """
        return self._call(
            "scatter",
            x,
            out,
            async_op,
            root=root,
            counts=counts,
            algorithm=algorithm,
            nbytes=nbytes,
        )

    @overload
    def send_recv(self, x: Array, *, async_op: No = ..., **how: Unpack[Shifted]) -> Run: ...

    @overload
    def send_recv(self, x: Array, *, async_op: Yes, **how: Unpack[Shifted]) -> Handle: ...

    def send_recv(
        self,
        x: Array,
        *,
        shift: int = 1,
        algorithm: Algorithm = DEFAULT_ALGORITHM,
        out: Array | None = None,
        nbytes: float | None = None,
        async_op: bool = False,
    ) -> Run | Handle:
        """Let rank r send to rank r + ``shift`` (around the world): (n, count) -> (n, count).

        With a shift of 0, or of the number of ranks, each keeps its own. Errors as for
        ``all_reduce``.
        """
        ahead = self._ahead(shift)
        return self._call(
            "send_recv", x, out, async_op, root=ahead, algorithm=algorithm, nbytes=nbytes
        )

    def _ahead(self, shift: int) -> int:
        """Return how many ranks ahead send_recv sends, from 0 on: the root of its plans."""
        return whole(shift, "shift") % self.size

    @overload
    def send(self, x: Array, src: int, dst: int, *, tag: int = ..., async_op: No = ...) -> Run: ...

    @overload
    def send(self, x: Array, src: int, dst: int, *, tag: int = ..., async_op: Yes) -> Handle: ...

    def send(
        self, x: Array, src: int, dst: int, *, tag: int = 0, async_op: bool = False
    ) -> Run | Handle:
        """Let rank ``src`` send its buffer (count,) to rank ``dst``, as MPI_Send and MPI_Isend.

        The sender is free when its last byte has left it; at once for an eager message of a stack
        that has them. ``x`` is copied at once, or may be a shape. ``tag``: a receive finds the
        sends of the same ranks and tag, in their order. The ``output`` of the run is None. Raises
        ArgumentError for ranks that are not there or the same, and, without ``async_op``, where the
        stack waits for a receiver that has not come; ShapeError, DTypeError.
        """
        return self._message(launch.send, x, src, dst, tag, async_op)

    @overload
    def recv(
        self, src: int, dst: int, *, tag: int = ..., out: Array | None = ..., async_op: No = ...
    ) -> Run: ...

    @overload
    def recv(
        self, src: int, dst: int, *, tag: int = ..., out: Array | None = ..., async_op: Yes
    ) -> Handle: ...

    def recv(
        self,
        src: int,
        dst: int,
        *,
        tag: int = 0,
        out: Array | None = None,
        async_op: bool = False,
    ) -> Run | Handle:
        """Let rank ``dst`` receive a buffer (count,) from rank ``src``, as MPI_Recv and MPI_Irecv.

        The receiver goes on when all has come. ``output`` of the run is what was sent, in ``out``
        if that is given. Raises ArgumentError for ranks that are not there or the same, and,
        without ``async_op``, where nothing was sent yet; ShapeError and DTypeError for an ``out``
        that does not fit.

        >>> import numpy as np, emul
        >>> world = emul.World("three-campus")
        >>> sent = world.send(np.arange(3.0), 0, 8, async_op=True)
        >>> world.recv(0, 8).output
        array([0., 1., 2.])
        """
        return self._message(launch.receive, out, src, dst, tag, async_op)

    def _message(
        self,
        launched: Callable[..., Handle],
        x: Any,
        src: int,
        dst: int,
        tag: int,
        async_op: bool,
    ) -> Run | Handle:
        began_ns, issued = self.engine.begin(), flag(async_op, "async_op")
        self.engine.check_each("a message")
        src, dst = rank(src, "src", self.size), rank(dst, "dst", self.size)
        if src == dst:
            raise ArgumentError(f"dst {dst}: needed another rank than src")
        ends = int(self.ranks[src]), int(self.ranks[dst])
        envelope = Envelope(self.number, *ends, whole(tag, "tag"))
        handle = launched(self.engine, envelope, x, began_ns, waits=not issued)
        return handle if issued else handle.wait()

    @overload
    def barrier(self, *, algorithm: Algorithm = ..., async_op: No = ...) -> Run: ...

    @overload
    def barrier(self, *, algorithm: Algorithm = ..., async_op: Yes) -> Handle: ...

    def barrier(
        self, *, algorithm: Algorithm = DEFAULT_ALGORITHM, async_op: bool = False
    ) -> Run | Handle:
        """Let no rank go on before all have come: an all_reduce of one byte, without data."""
        x = NoData(1, "uint8")
        return self._call("all_reduce", x, None, async_op, op="max", algorithm=algorithm)

    def predict(
        self,
        collective: str,
        count: Counts,
        *,
        dtype: str = "float32",
        algorithm: Algorithm = DEFAULT_ALGORITHM,
        root: int = 0,
        shift: int = 1,
        wire: str | None = None,
        collapse: bool = False,
        strict_draws: bool = False,
    ) -> Prediction:
        """Return the modelled cost of ``collective``, without arrays.

        ``count``: elements of one rank's input, or the counts of a vector form. ``root``: of
        broadcast, reduce, gather and scatter; ``shift``: of send_recv, as there; ``wire``: as in
        ``all_reduce``. With ``collapse``,
        ranks that sit alike are timed once where that changes nothing (emul.plans.SymmetricPlan),
        which lets worlds of hundreds of thousands of ranks be timed; the timeline is then that of
        a few of them. Where links draw by chance (jitter, losses, waves), one connection draws for
        all that it stands for and the prediction says so; with ``strict_draws``, such ranks are not
        alike. Raises ArgumentError for an unknown name, a root that is no rank, a root of
        send_recv or a shift of another collective, or for ranks that are not alike where there are
        too many to be timed each; ShapeError for a count that the collective cannot cut into
        blocks, or that is more than the model carries (see emul.plans.Shape).
        """
        collapse, strict_draws = flag(collapse, "collapse"), flag(strict_draws, "strict_draws")
        request = self.request(
            collective, count, dtype=dtype, algorithm=algorithm, root=root, shift=shift, wire=wire
        )
        return self.planner.predict(request, collapse=collapse, strict_draws=strict_draws)

    def request(
        self,
        collective: str,
        count: Counts,
        *,
        dtype: str = "float32",
        algorithm: Algorithm = DEFAULT_ALGORITHM,
        root: int = 0,
        shift: int = 1,
        wire: str | None = None,
    ) -> Request:
        """Return ``collective`` as a value, which hashes: its shape, and how it is to be done.

        Arguments and errors as for ``predict``.
        """
        promise, elements = collective_meant(collective), dtype_named(dtype)
        collective, root = promise.name, rank(root, "root", self.size)
        if collective == "send_recv":
            if root:
                raise ArgumentError(
                    f"root {root} of send_recv: needed shift={root}, for it has no root"
                )
            root = self._ahead(shift)
        elif whole(shift, "shift") != 1:
            raise ArgumentError(f"shift {shown(shift)} of {collective}: only send_recv has one")
        if isinstance(count, list | tuple) or is_array(count):
            shape = Shape.of_counts(promise, self.size, count)
        else:
            shape = Shape.of(promise, self.size, whole(count, "count"))
        carried = wire_of_call(wire, collective, elements)
        return Request(shape, elements.itemsize, algorithm=algorithm, root=root, wire=carried)


class Group(Communicator):
    """Some ranks of a world, which carry out collectives among themselves.

    Buffers have as many rows, roots are counted among these ranks, and plans see only the places
    where they live. ``run.prediction`` is of the group alone, on links that it has to itself.

    >>> import numpy as np, emul
    >>> world = emul.World("three-campus")
    >>> leaders = world.group([0, 8, 16])
    >>> leaders.all_reduce(np.array([[1.0], [2.0], [3.0]])).output[0]
    array([6.])
    """

    def __init__(self, engine: Engine, ranks: npt.NDArray[np.int32], number: int) -> None:
        """Take some ranks of the engine, rising, and the number of the group in its world."""
        self.place = engine.topology.name
        super().__init__(engine, engine.topology.of_ranks(ranks.tolist()), ranks, number)

    def _repr_html_(self) -> str:
        """Return a small table, for notebooks."""
        from emul.drawing import sheet

        ranks = ", ".join(map(str, self.ranks[:SHOWN].tolist()))
        more = f" and {self.size - SHOWN:,} more" if self.size > SHOWN else ""
        facts = [("topology", self.place), ("number", str(self.number)), ("ranks", ranks + more)]
        return sheet(f"Group of {self.size:,} ranks", facts)

    def __repr__(self) -> str:
        """Name the ranks."""
        ranks = ", ".join(map(str, self.ranks[:SHOWN].tolist()))  # more than fit in a line
        return one_line(f"<Group of {self.size} ranks of {self.place}: [{ranks}]>")
