"""Which effort is enough: the smallest ef whose drift is within a target, with a stated confidence."""

from .choose import choose_ef, default_efs, measure, measure_all
from .decide import Choice, decide, queries_needed
from .parse import parse_target
from .sample import Calibration, calibration_sample
from .targets import (
    BarycenterShift,
    DistanceRatio,
    LidBias,
    MeanOverlap,
    ShareBelow,
    Target,
    TieAwareRecall,
)

__all__ = [
    "BarycenterShift",
    "Calibration",
    "Choice",
    "DistanceRatio",
    "LidBias",
    "MeanOverlap",
    "ShareBelow",
    "Target",
    "TieAwareRecall",
    "calibration_sample",
    "choose_ef",
    "decide",
    "default_efs",
    "measure",
    "measure_all",
    "parse_target",
    "queries_needed",
]
