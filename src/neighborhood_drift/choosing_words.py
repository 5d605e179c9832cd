"""The choice of an effort in words, for a page that stands alone: what its terms mean, and the rule."""

from __future__ import annotations

from .choosing_tables import calibration_cost
from .summaries import label

KEPT = {
    "mean": "With the confidence stated, the mean over all such queries is then within the target",
    "share": "With the confidence stated, the share of all such queries that falls short is then within the target",
    "expected": "In expectation over samples, the mean over all such queries is then within the target; no confidence "
    "is stated",
}
FOLLOWING = ("faiss-hnsw-unbounded", "hnswlib")  # searched with the larger of ef and k


def terms(engines) -> list[str]:
    """What overlap, loss, ef and the names of the searches mean, in one paragraph each.

    >>> terms(["faiss-ivf"])[0]
    "Overlap: the share of a query's k exact nearest neighbors that a search returns; loss: the share it lacks."
    """
    meant = "Overlap: the share of a query's k exact nearest neighbors that a search returns; loss: the share it lacks."
    effort = "ef: the effort of a search, in a graph how many candidates it keeps (efSearch)."
    if "faiss-hnsw" in engines:
        effort += f" {label('faiss-hnsw')}: it stays at ef whatever k is."
    following = [label(engine) for engine in engines if engine in FOLLOWING]
    if following:
        effort += f" {' and '.join(following)}: it is the larger of ef and k."
    return [meant, effort]


def rule_in_words(choice, points: int, name: str) -> list[str]:
    """The rule, and what it gave for one choice, in short paragraphs.

    Parameters
    ----------
    choice : Choice
        Of `choose_ef`; its target decides what is promised.
    points : int
        Points of the base.
    name : str
        Of the data.
    """
    cost = calibration_cost(choice, points)
    spent = cost["exact_seconds"] + cost["search_seconds"]
    return [
        "1. Draw queries like those you will ask, some hundreds, and find their exact neighbors.",
        "2. Search them at a list of ef fixed beforehand. From the largest ef down, keep on while an upper bound for "
        "the mean loss is within your target; stop at the first ef that fails.",
        f"3. Take the last ef that passed. {KEPT[choice.target.guarantee]}. It holds for this index and one target at "
        "a time; another index, k or kind of query needs another sample.",
        f"For {name}: {choice.sentence} It took {spent:.0f} s.",
    ]
