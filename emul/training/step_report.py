"""The time of a training step, the part of it that waits for links, and the causes of that."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

from emul.reading.brief import one_line
from emul.runtime.program_path import ProgramPath
from emul.training.changes import JobChange, changes_of
from emul.training.memory import memory_warning
from emul.training.protocols import AnyJob
from emul.training.specification import method_name
from emul.training.step_timer import Call, StepTimer
from emul.training.words import assumed_of_axes, step_words
from emul.units import PS_PER_S, format_time

__all__ = ["StepReport"]

SECONDS_PER_DAY = 86400.0


@dataclass(frozen=True, eq=False)
class StepReport:
    """A step of a job. Times are means over the steps of a period of the method, in seconds."""

    job: AnyJob
    timer: StepTimer

    @property
    def time_s(self) -> float:
        """The time of a step."""
        return self.timer.time.period_ps / self.job.steps / PS_PER_S

    @property
    def compute_s(self) -> float:
        """The compute of a step, where nothing is waited for."""
        return self.time_s - self.exposed_s

    @property
    def exposed_s(self) -> float:
        """The time of a step that is not compute: communication that nothing hides."""
        inner = self.timer.inner
        own_s = self.timer.time.waiting_ps / self.job.steps / PS_PER_S
        return own_s + (inner.time.waiting_ps / PS_PER_S if inner else 0.0)

    @property
    def utilisation(self) -> float:
        """The part of the time that computes, 0 to 1."""
        return self.compute_s / self.time_s

    @property
    def mfu(self) -> float | None:
        """The part of the peak of the hardware that is reached, communication and all."""
        return None if self.job.mfu is None else self.job.mfu * self.utilisation

    @property
    def tokens_per_day(self) -> float | None:
        """Tokens in a day of steps; None where the tokens of a step are not given."""
        return None if self.job.tokens is None else self.job.tokens * SECONDS_PER_DAY / self.time_s

    @cached_property
    def exposed(self) -> dict[tuple[str, str, str], float]:
        """The exposed seconds by axis, place of the network and term, the most first.

        They are those of the rank that ends last, and sum to ``exposed_s``. An empty axis: compute
        of another rank, for which it waits.
        """
        parts = [(self.timer, self.job.steps)]
        if self.timer.inner is not None:
            parts.append((self.timer.inner, 1))
        spent: dict[tuple[str, str, str], float] = defaultdict(float)
        for timer, steps in parts:
            for key, ps in timer.exposed[0].items():
                spent[key] += ps / steps / PS_PER_S
        return dict(sorted(spent.items(), key=lambda item: -item[1]))

    @property
    def path(self) -> ProgramPath:
        """The critical path through a period."""
        return self.timer.exposed[1]

    @cached_property
    def trunk_bytes(self) -> dict[str, float]:
        """Bytes of a step over each trunk and direction, by the plans of its operations."""
        return {place: n / self.job.steps for place, n in self.timer.trunk_bytes.items()}

    @cached_property
    def one_campus(self) -> StepReport:
        """The same job with all ranks at one site."""
        return StepReport(self.job, self.job.on_one_campus())

    @cached_property
    def changes(self) -> tuple[JobChange, ...]:
        """The same job with one thing changed, run again: the best change first."""
        return tuple(changes_of(self))

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """The collectives that the first rank issues in a period, those of inner steps once."""
        timers = [self.timer, *([self.timer.inner] if self.timer.inner else [])]
        return tuple(call for timer in timers for call in timer.calls)

    @property
    def memory_warning(self) -> str:
        """A sentence where the state of a rank does not fit its hardware; empty where it may."""
        return memory_warning(self.job)

    @property
    def axis_crossings(self) -> dict[str, str]:
        """The widest link that each axis crosses: nothing, node, site or trunk."""
        return dict(self.job.placement.crossings)

    def words(self) -> list[str]:
        """Return sentences: memory, one campus, binding, rate or distance, changes, assumed."""
        return step_words(self)

    @property
    def assumed(self) -> tuple[str, ...]:
        """Sentences about the assumptions that the time rests on."""
        return (*self.timer.ranks.assumed, *assumed_of_axes(self.job))

    def __str__(self) -> str:
        """Return the line of the table, and the sentences under it."""
        return "\n".join([self._line, *self.words()])

    @property
    def _line(self) -> str:
        return (
            f"{method_name(self.job.method)}: {format_time(self.time_s)} a step, "
            f"{format_time(self.exposed_s)} exposed, {100 * self.utilisation:.3g} % utilisation"
        )

    def __repr__(self) -> str:
        """Say the time of a step in one line."""
        return one_line(
            f"<StepReport {format_time(self.time_s)} a step, {format_time(self.exposed_s)} exposed>"
        )
