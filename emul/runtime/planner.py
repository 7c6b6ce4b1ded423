"""From a request to its plan, its program and its predicted time; and the choice of ``auto``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from math import inf
from typing import NoReturn

from emul.errors import ArgumentError, PlanError
from emul.fixed_mapping import FixedMapping
from emul.plans import (
    Multiplicity,
    Places,
    Plan,
    Program,
    SymmetricPlan,
    algorithms_for,
    build_plan,
    collective_named,
    is_plan_file,
    is_user_code,
    load_algorithm,
    packs,
    plan_from,
    read_plan,
    unproven_plan,
    verify,
)
from emul.plans.algorithms.hierarchical import NAME as HIERARCHICAL
from emul.plans.algorithms.packed import NAME as PACKED
from emul.plans.algorithms.packed import is_packed
from emul.runtime.candidates import (
    PART_FOR_COMPARISON,
    Candidate,
    PassedOver,
    check_rounds,
    check_transfers,
    checked_steps,
    in_words,
    is_outage,
    nothing_timed,
    passing_over,
)
from emul.runtime.packed import packed_plan_for
from emul.runtime.prediction import Prediction
from emul.runtime.prepared import Prepared
from emul.runtime.request import AUTO, Algorithm, Request
from emul.stacks import IDEAL, Stack
from emul.stacks.nccl import choose, stack_for
from emul.stacks.nccl_levers import levers_of
from emul.stacks.nccl_tuner import Nodes
from emul.stacks.overheads import with_overheads
from emul.timing import (
    NCCL_SLICING,
    Slicing,
    Timeline,
    busiest_link_ps,
    check_carried,
    generated_total_ps,
    most_in_flight,
    time_excerpt,
    time_plan,
)
from emul.topology import Network, Topology, world_of
from emul.topology.bounded import Bounded
from emul.topology.connection_limit import SiteConnections
from emul.units import PS_PER_S

__all__ = ["MOST_RANKS_IN_FULL", "Planner", "Timing"]

NCCL = "nccl"
SEND_RECV = "send_recv"
"""Its root is how far along each rank sends."""

MOST_RANKS_IN_FULL = 4096
"""Of worlds whose ranks may each be timed: a ring of so many has 33 million transfers."""

KEPT_TRANSFERS = 1 << 18
"""Of the program of a candidate that is kept until its turn comes: 20 MB; larger ones are made
again."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The settings of a World on which modelled times depend, beside its topology.

    ``slicing``: the pieces in which chunks are sent on, None for whole chunks. ``seed``: of all
    random draws. ``start_s``: seconds after midnight of the first day. ``stack``: the library that
    puts messages on the wire, and whose choice ``auto`` is.
    """

    slicing: Slicing | None = NCCL_SLICING
    seed: int = 0
    start_s: float = 0.0
    stack: Stack = IDEAL


class Planner:
    """Prepares requests on a topology; lately used plans and predictions are kept.

    Groups whose ranks live alike share one.
    """

    def __init__(
        self, topology: Topology, timing: Timing | None = None, *, bounded: bool = False
    ) -> None:
        """Take the places of the ranks, and the settings of the World.

        ``bounded``: for a comparison, which is refused, for a named algorithm too, where it is more
        than a part of the work that ``auto`` takes on (emul.runtime.candidates).
        """
        self.topology = topology
        self.timing = timing or Timing()
        self.bounded, self._part = bounded, PART_FOR_COMPARISON if bounded else 1
        self.made = 0
        """The number of requests that were prepared anew."""
        self.changes = topology.changes
        """Whether a prediction depends on its moment."""
        self._plan = lru_cache(maxsize=128)(self._plan_anew)
        self._packed = lru_cache(maxsize=32)(self._packed_anew)
        self._program = lru_cache(maxsize=32)(self._program_anew)
        self._prepared = lru_cache(maxsize=32)(self._prepare_anew)
        self._in_company = lru_cache(maxsize=32)(self._in_company_anew)
        self._collapsed = lru_cache(maxsize=32)(self._collapse_anew)

    @cached_property
    def network(self) -> Network:
        """The topology as flat arrays, made at first use."""
        shares_ports = self.timing.stack.shares_ports
        return replace(Network.of(self.topology), shares_ports=shares_ports)

    def predict(
        self, request: Request, *, collapse: bool, strict_draws: bool = False
    ) -> Prediction:
        """Return the prediction of a request; with ``collapse``, ranks that sit alike timed once.

        Where they are not alike, and for ``auto``, each is timed unless there are too many of them.
        With ``strict_draws``, ranks whose links draw by chance are not alike.
        """
        request = request.of_any_op()
        too_many = self.topology.world_size > MOST_RANKS_IN_FULL
        if collapse and (too_many or request.algorithm != AUTO):
            request.check_algorithm()
            try:
                return self._collapsed(request, strict_draws)
            except ArgumentError:
                if too_many:
                    raise
        return self.prepare(request).prediction

    def prepare(self, request: Request, at_ps: int = 0, company: int = 1) -> Prepared:
        """Return the program of a request, and its prediction for the moment ``at_ps``.

        The moment counts from the birth of a World. ``company``: so many groups that are alike
        operate at once, for which ``auto`` chooses. Raises the faults of the algorithm, and those
        of timing; but not OutageError where an algorithm can be issued, to fail at its moment.
        """
        request.check_algorithm()
        request, algorithm = request.of_any_op(), request.algorithm
        if is_plan_file(algorithm):
            request = request.by(read_plan(algorithm))
        elif is_user_code(algorithm):
            request = request.by(load_algorithm(algorithm))
        elif packs(request.collective, algorithm):
            request = request.by(self._packed(request))
        at_ps = at_ps if self.changes else 0
        if company > 1 and request.algorithm == AUTO and self._chooses(request):
            return self._in_company(request, at_ps, company)
        return self._prepared(request, at_ps)

    def _packed_anew(self, request: Request) -> Plan:
        """Return the plan of ``packed`` for the rates of the topology, not proven yet."""
        name = request.algorithm if is_packed(request.algorithm) else PACKED
        assert isinstance(name, str)
        return packed_plan_for(self.topology, request.shape, request.encoding, request.root, name)

    def _chooses(self, request: Request) -> bool:
        """Whether ``auto`` is the choice of the model, and not a library's own."""
        stack = self.timing.stack
        return stack is IDEAL or (
            stack.tuner != NCCL
            and not stack.sends_whole_messages
            and self._library_algorithm(request) is None
        )

    def _in_company_anew(self, request: Request, at_ps: int, company: int) -> Prepared:
        """Return the quickest algorithm for so many groups at once, and the times of the others.

        Each connection between sites then stands for one of every group.
        """
        passed_over: PassedOver = {}
        times: dict[str, float] = {}
        stack = self._stack(request)
        for each in self._by_promise(request, passed_over):
            if times and each.least_ps >= min(times.values()) * PS_PER_S:
                continue
            with passing_over(each.algorithm, passed_over):
                program = each.program or self._bounded_program(request, each.plan)
                several = replace(program, multiplicity=Multiplicity.alike(len(program), company))
                times[each.algorithm] = self._timeline(several, stack, at_ps).total_s
        if not times:
            return self._prepared(request, at_ps)
        best = self.prepare(request.by(min(times, key=times.__getitem__)), at_ps)
        found = replace(
            best.prediction,
            considered=FixedMapping(times),
            passed_over=FixedMapping(in_words(passed_over)),
            company=company,
        )
        prepared = Prepared(best.plan, best.program, best.stack, lambda: found)
        return prepared.asked(request, company)

    def _plan_anew(
        self,
        collective: str,
        algorithm: Algorithm,
        root: int,
        nodes: tuple[int, ...] | None = None,
    ) -> Plan:
        """Return the proven plan; ``nodes``, their numbers of ranks, take the place of sites."""
        if isinstance(algorithm, str):
            sites = nodes or self.topology.ranks_by_node
            if self.bounded:
                unproven = unproven_plan(collective, algorithm, sites, root=root)
                checked_steps(unproven, self._part)
            return build_plan(collective, algorithm, sites, root=root)
        plan, n = algorithm, self.topology.world_size
        if not isinstance(plan, Plan):
            sites = self.topology.ranks_by_node
            plan = plan_from(plan, collective, n, sites=sites, root=root)
        self._check_fits(plan, collective, root)
        verify(plan)
        return plan

    def _check_fits(self, plan: Plan, collective: str, root: int) -> None:
        """Raise PlanError if ``plan`` is not for this collective, these ranks and this root."""
        n = self.topology.world_size
        promise = collective_named(collective)
        same_root = plan.root == root or not (promise.rooted or collective == SEND_RECV)
        if (plan.collective, plan.world_size) == (collective, n) and same_root:
            return
        needed = [f"a plan for {collective} over {n} ranks, root {root}"]
        if plan.collective != collective:
            needed.append(f"or to ask for {plan.collective}, which it computes")
        if plan.world_size != n:
            needed.append(f"or {world_of(plan.world_size)}")
        raise PlanError(f"{plan}, root {plan.root}: needed {', '.join(needed)}")

    def program(self, request: Request, plan: Plan) -> Program:
        """Return the program of a proven ``plan`` for a request; lately used ones are kept.

        Raises PlanError where a row joins places that are not of the same length then.
        """
        return self._program(request.of_any_op(), plan)

    def _program_anew(self, request: Request, plan: Plan) -> Program:
        return Program.of(plan, request.shape, request.encoding)

    def _prepare_anew(self, request: Request, at_ps: int) -> Prepared:
        self.made += 1
        return self._planned(request, at_ps).asked(request)

    def _planned(self, request: Request, at_ps: int) -> Prepared:
        if self.timing.stack.tuner == NCCL and request.shape.counts is None:
            return self._as_nccl(request, at_ps)
        if request.algorithm == AUTO:
            known = self._library_algorithm(request)
            if known is None:
                return self._quickest(request, at_ps)
            request = request.by(known)
        plan = self._plan(request.collective, request.algorithm, request.root)
        return self._timed(request, plan, at_ps)

    def _as_nccl(self, request: Request, at_ps: int) -> Prepared:
        """Return the call as NCCL would send it, by its own choice of algorithm or by another."""
        stack, name = self.timing.stack, request.collective
        nodes = Nodes.of(self.topology, levers_of(stack.options))
        setting = choose(name, nodes, request.wire_nbytes, request.name_of_algorithm, stack)
        if isinstance(request.algorithm, str):
            request = request.by(setting.plan)
        over = nodes.ranks if setting.over_nodes else None
        if isinstance(request.algorithm, str):
            sites = over or self.topology.ranks_by_node
            check_rounds(unproven_plan(name, setting.plan, sites, root=request.root))
        plan = self._plan(name, request.algorithm, request.root, over)
        return self._timed(
            request, plan, at_ps, stack=stack_for(stack, setting, nodes, request.wire_nbytes)
        )

    def _stack(self, request: Request) -> Stack:
        """Return the stack as it carries this collective out."""
        return self.timing.stack.for_call(request.collective)

    def _library_algorithm(self, request: Request) -> str | None:
        """Return the library's own choice; None where it is not known, or blocks are uneven."""
        if request.shape.counts is not None:
            return None
        stack, n = self.timing.stack, self.topology.world_size
        return stack.algorithm_for(request.collective, n, request.wire_nbytes)

    def _timed(
        self,
        request: Request,
        plan: Plan,
        at_ps: int,
        program: Program | None = None,
        stack: Stack | None = None,
    ) -> Prepared:
        """Return the program of ``plan``, and its prediction.

        Where links change, that is made when asked for. ``stack``: of this call, where it differs
        from the usual one.
        """
        program, stack = program or self._program(request, plan), stack or self._stack(request)
        check_carried(program.nbytes, program.multiplicity)
        if self.bounded:
            check_transfers(program, Slicing.of(stack, self.timing.slicing), self._part)
        prepared = Prepared(
            plan, program, stack, lambda: self._predict(request, plan, program, stack, at_ps)
        )
        return prepared if self.changes else prepared.predicted()

    def _predict(
        self, request: Request, plan: Plan, program: Program, stack: Stack, at_ps: int
    ) -> Prediction:
        """Return the prediction of ``program`` alone, for all ranks at the moment ``at_ps``."""
        timeline = self._timeline(program, stack, at_ps)
        number = self.network.most_connections(program.src, program.dst, program.channel)
        return self._prediction(request, plan, timeline, stack, number)

    def _timeline(self, program: Program, stack: Stack, at_ps: int) -> Timeline:
        timing = self.timing
        return time_plan(
            program,
            self.network,
            Slicing.of(stack, timing.slicing),
            seed=timing.seed,
            start_s=timing.start_s,
            at_ps=at_ps,
            stack=stack,
        )

    def _prediction(
        self,
        request: Request,
        plan: Plan | SymmetricPlan,
        timeline: Timeline,
        stack: Stack,
        connections: int,
    ) -> Prediction:
        """Return the prediction: ``timeline``, beside the least time of any algorithm.

        ``connections``: the most that a rank has beyond its site.
        """
        check_carried(timeline.nbytes, timeline.transfers.multiplicity)
        shape, encoding = request.shape, request.encoding
        bounded = Bounded(
            with_overheads(self.topology, stack.hop_overhead_s),
            request.collective,
            encoding.least_nbytes(shape.width),
            request.root,
            timeline.roundings,
            None if shape.counts is None else encoding.least_nbytes_of_each(shape.table),
            SiteConnections(
                max(1, connections),
                most_in_flight(timeline.transfers),
                stack.fills_windows,
            ),
        )
        return Prediction(
            plan,
            shape,
            request.nbytes,
            timeline,
            bounded.by_links_ps(),
            bounded.by_connections_ps(),
            bounded,
            stack,
        )

    def _collapse_anew(self, request: Request, strict_draws: bool) -> Prediction:
        """Return the prediction by an excerpt; raises ArgumentError where there is none."""
        stack = self.timing.stack
        if stack is not IDEAL:
            raise ArgumentError(
                f"stack {stack.name}: the ranks of a world cannot be timed by a few of them: "
                "needed the stack ideal"
            )
        if request.algorithm == AUTO:
            return self._quickest_excerpt(request, strict_draws=strict_draws)
        name = request.name_of_algorithm or ""
        return self._excerpt(request, name, strict_draws=strict_draws)

    def _excerpt(self, request: Request, algorithm: str, *, strict_draws: bool) -> Prediction:
        """Return the prediction by an excerpt of the plan; raises ArgumentError if it has none."""
        places, timing = Places.of(self.topology.ranks_by_node), self.timing
        too_many = places.world_size > MOST_RANKS_IN_FULL  # to be timed each, exactly
        excerpt = SymmetricPlan.of(request.collective, algorithm, places, lengthened=too_many)
        found = time_excerpt(
            excerpt,
            request.shape,
            request.encoding,
            self.topology,
            timing.slicing,
            seed=timing.seed,
            start_s=timing.start_s,
            strict_draws=strict_draws,
        )
        timeline = found.timeline
        ends = timeline.src, timeline.dst, timeline.transfers.channel
        number = timeline.network.most_connections(*ends)
        prediction = self._prediction(request, excerpt, timeline, timing.stack, number)
        return replace(prediction, assumed=found.assumed)

    def _quickest_excerpt(self, request: Request, *, strict_draws: bool) -> Prediction:
        """Return the quickest of the algorithms that can be timed by an excerpt."""
        shape, found = request.shape, []
        passed_over: PassedOver = {}
        for algorithm in algorithms_for(request.collective, uneven=shape.counts is not None):
            with passing_over(algorithm, passed_over, ArgumentError):
                found.append(self._excerpt(request, algorithm, strict_draws=strict_draws))
        if not found:
            if isinstance(why := passed_over.get(HIERARCHICAL), ArgumentError):
                raise why
            raise nothing_timed(shape, passed_over)
        best = min(found, key=_predicted_ps)
        times = {each.algorithm: each.time_s for each in found}
        return replace(
            best,
            considered=FixedMapping(times),
            passed_over=FixedMapping(in_words(passed_over)),
        )

    def _quickest(self, request: Request, at_ps: int) -> Prepared:
        """Return the algorithm that the model finds quickest, and the times of the others.

        The most promising ones come first, by their busiest links; an algorithm that cannot win any
        more is not timed, and only the quickest so far is proven. Those that cannot be timed are
        passed over (memory, an outage, much work), unless these are all; where an outage kills all,
        the most promising is what there is to issue.
        """
        passed_over: PassedOver = {}
        times: dict[str, float] = {}
        ruled_out: dict[str, float] = {}
        best: Prepared | None = None  # of the others the tables would fill the memory
        candidates = self._by_promise(request, passed_over)
        for each in candidates:
            if best is not None and each.least_ps >= best.prediction.total_ps:
                known = times if each.is_exact else ruled_out
                known[each.algorithm] = each.least_ps / PS_PER_S
                continue
            with passing_over(each.algorithm, passed_over):
                program = each.program
                if each.is_exact:
                    program = self._bounded_program(request, each.plan)
                timed = self._timed(request, each.plan, at_ps, program).predicted()
                if best is None or timed.prediction.total_ps < best.prediction.total_ps:
                    self._plan(request.collective, each.asked, request.root)  # proves it
                    best = timed
                times[each.algorithm] = timed.prediction.time_s
        if best is None:
            return self._refused(request, candidates, passed_over)
        ruled_out |= {name: inf for name, why in passed_over.items() if is_outage(why)}
        found = replace(
            best.prediction,
            considered=FixedMapping(times),
            ruled_out=FixedMapping(ruled_out),
            passed_over=FixedMapping(in_words(passed_over)),
        )
        return Prepared(best.plan, best.program, best.stack, lambda: found)

    def _refused(
        self, request: Request, candidates: list[Candidate], passed_over: PassedOver
    ) -> Prepared:
        """Return the first candidate that an outage kills; raise where there is another reason."""
        error = nothing_timed(request.shape, passed_over)
        for each in candidates:
            if is_outage(passed_over[each.algorithm]):
                plan = self._plan(request.collective, each.asked, request.root)
                program = self._program(request, plan)
                return Prepared(plan, program, self._stack(request), partial(_raise, error))
        raise error

    def _by_promise(self, request: Request, passed_over: PassedOver) -> list[Candidate]:
        """Return all algorithms that can be timed, sorted by the least time that each can take."""
        names = algorithms_for(request.collective, uneven=request.shape.counts is not None)
        found = []
        for algorithm in names:
            with passing_over(algorithm, passed_over):
                found.append(self._candidate(request, algorithm))
        return sorted(found, key=_least_ps)

    def _candidate(self, request: Request, algorithm: str) -> Candidate:
        """Return an algorithm with its least time.

        A regular plan is timed by rule, without its steps. Of any other, the bounds of memory and
        work are checked before its work begins.
        """
        sites, timing = self.topology.ranks_by_node, self.timing
        if algorithm == PACKED:
            plan = self._packed(request)
        else:
            plan = unproven_plan(request.collective, algorithm, sites, root=request.root)
        exact_ps = generated_total_ps(
            plan,
            request.shape,
            request.encoding,
            self.network,
            timing.slicing,
            stack=self._stack(request),
        )
        if exact_ps is not None:
            return Candidate(exact_ps, algorithm, plan, is_exact=True)
        program = self._bounded_program(request, plan)
        transfers = check_transfers(program, timing.slicing, self._part)
        least_ps = max(0, busiest_link_ps(program, self.network) - transfers)  # of rounding
        kept = program if len(program) <= KEPT_TRANSFERS else None
        return Candidate(least_ps, algorithm, plan, kept)

    def _bounded_program(self, request: Request, plan: Plan) -> Program:
        """Return the program of a plan that is not too much work, with its steps made once."""
        steps = checked_steps(plan, self._part)
        return Program.of(plan, request.shape, request.encoding, steps)


def _raise(error: Exception) -> NoReturn:
    raise error.with_traceback(None)


def _predicted_ps(prediction: Prediction) -> int:
    return prediction.total_ps


def _least_ps(candidate: Candidate) -> int:
    return candidate.least_ps
