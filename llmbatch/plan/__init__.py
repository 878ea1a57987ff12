"""Which cases a run has, in their fixed order. Knows no cassette, no model's answers and no network."""

from llmbatch.plan.build import build_plan
from llmbatch.plan.cases import Case, Plan, PlannedTask
from llmbatch.plan.variant import Variant

__all__ = ["Case", "Plan", "PlannedTask", "Variant", "build_plan"]
