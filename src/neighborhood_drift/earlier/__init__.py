"""The two earlier studies: their published numbers, their arithmetic, and a verdict on each claim."""

from .published import abrupt_failure, alpha_index, bent_exact, construction, fact_values, first_pads, pads, published
from .reproduce import GAP, RIGHT, lid_gap, seed_study, successor_study
from .verdicts import VERDICTS, verdicts

__all__ = [
    "GAP",
    "RIGHT",
    "VERDICTS",
    "abrupt_failure",
    "alpha_index",
    "bent_exact",
    "construction",
    "fact_values",
    "first_pads",
    "lid_gap",
    "pads",
    "published",
    "seed_study",
    "successor_study",
    "verdicts",
]
