"""Why a collective is slow, and which change would help: many predictions in a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import emul
from bench.conftest import Measured
from bench.measuring import INTERPRETER
from emul import Explanation, Tuning, World

COUNT = 1 << 23
ROUNDS = 3


def test_explain(measured: Measured) -> None:
    """The time of 32 MiB without each subset of the effects that are there: 64 predictions."""

    def check(found: Explanation) -> Mapping[str, Any]:
        assert sum(each.share_ps for each in found.shares) == found.time_ps
        assert found.times == 64
        return {"calls": found.times}

    measured(
        lambda: emul.explain(World("three-campus"), "all_reduce", COUNT),
        check,
        against=INTERPRETER,
        rounds=ROUNDS,
    )


def test_tune(measured: Measured) -> None:
    """The best settings of 32 MiB, and six upgrades of rates, each with its best settings."""

    def check(found: Tuning) -> Mapping[str, Any]:
        assert len(found.of_kind("upgrade")) == 6
        assert all(each.time_s is not None for each in found.cases)
        return {"calls": sum(each.tried for each in found.cases)}

    measured(
        lambda: emul.tune(
            World("three-campus"), "all_reduce", COUNT, upgrades=["rate"], pairs=False
        ),
        check,
        against=INTERPRETER,
        rounds=ROUNDS,
    )
