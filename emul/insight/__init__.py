"""Why is it slow: the share of each effect in the time of a collective or of a program."""

from emul.insight.collective import PLANS, explain
from emul.insight.explanation import ChainPart, EffectShare, Explanation

__all__ = ["PLANS", "ChainPart", "EffectShare", "Explanation", "explain"]
