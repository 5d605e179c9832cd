"""Which effort is enough: the smallest ef whose drift is within a target, with a stated confidence."""

from .choose import choose_ef, default_efs, measure, measure_all
from .decide import Choice, decide, queries_needed
from .sample import Calibration, calibration_sample
from .targets import BarycenterShift, DistanceRatio, LidBias, MeanOverlap, ShareBelow, Target, parse_target

__all__ = [
    "BarycenterShift",
    "Calibration",
    "Choice",
    "DistanceRatio",
    "LidBias",
    "MeanOverlap",
    "ShareBelow",
    "Target",
    "calibration_sample",
    "choose_ef",
    "decide",
    "default_efs",
    "measure",
    "measure_all",
    "parse_target",
    "queries_needed",
]
