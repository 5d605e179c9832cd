"""Targets by name, as the command ``tune`` and `choose_ef` take them."""

from __future__ import annotations

from ..checks import InputError
from .targets import BarycenterShift, DistanceRatio, LidBias, MeanOverlap, ShareBelow, Target, TieAwareRecall

TARGETS = {
    "overlap": MeanOverlap,
    "recall": TieAwareRecall,
    "distance-ratio": DistanceRatio,
    "barycenter": BarycenterShift,
    "lid-bias": LidBias,
}


def parse_target(text: str) -> Target:
    """Read a target from text, such as overlap=0.99.

    The others: recall=0.99 (`TieAwareRecall`), below-0.9=0.05 (a share of 0.05 of the queries with an overlap below
    0.9), distance-ratio=1.01, barycenter=0.05 and lid-bias=0.05. Other text, or a number outside what the target
    allows, is an `InputError`.

    >>> parse_target("below-0.9=0.05")
    ShareBelow(overlap=0.9, share=0.05)
    """
    name, _, number = str(text).partition("=")
    start, _, overlap_text = name.strip().partition("below-")
    try:
        value = float(number)
        below = float(overlap_text) if not start and overlap_text else None
    except ValueError:
        value, below = None, None
    if value is not None and below is not None:
        return ShareBelow(below, value)
    if value is None or name.strip() not in TARGETS:
        raise InputError(
            f"the target is {text!r}; known are overlap=0.99, recall=0.99 (equally near points count), below-0.9=0.05 "
            "(the share of queries with overlap below 0.9), distance-ratio=1.01, barycenter=0.05, lid-bias=0.05, with "
            "numbers of your own."
        )
    return TARGETS[name.strip()](value)
