"""Plans in the XML of MSCCL, in and out (microsoft/msccl, src/graph/topo.cc)."""

from emul.plans.msccl.reading import read_plan
from emul.plans.msccl.writing import plan_xml

__all__ = ["plan_xml", "read_plan"]
