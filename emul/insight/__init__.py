"""Why is it slow, and which change would help: shares of effects in a time, and a search."""

from emul.insight.cases import Case, Tuning
from emul.insight.collective import PLANS, explain
from emul.insight.explanation import ChainPart, EffectShare, Explanation
from emul.insight.tuner import tune

__all__ = ["PLANS", "Case", "ChainPart", "EffectShare", "Explanation", "Tuning", "explain", "tune"]
