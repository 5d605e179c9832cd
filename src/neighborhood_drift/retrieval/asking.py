"""A search as the command `index search` tells it: documents for programs, tables for readers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from tabulate import tabulate

from ..marks import INSTEAD, MEANING, MISSED
from .store import Hits, Id, Store, overlap_of_hits


def without_itself(hits: Hits, ids: list[Id], k: int) -> Hits:
    """Leave each query, a point of the store, out of its own answer; the last neighbor goes where it was not found.

    Parameters
    ----------
    hits : Hits
        Of a search for k + 1.
    ids : list
        The q queries' ids.
    k : int

    Examples
    --------
    >>> hits = Hits((("a", "b"), ("a", "b")), (np.array([0.0, 1.0]),) * 2, k=2, ef=9, seconds=0.0)
    >>> without_itself(hits, ["a", "c"], 1).ids
    (('b',), ('a',))
    """
    kept = [
        [place for place, one in enumerate(found) if one != own][:k] for found, own in zip(hits.ids, ids, strict=True)
    ]
    return Hits(
        tuple(tuple(found[place] for place in places) for found, places in zip(hits.ids, kept, strict=True)),
        tuple(far[places] for far, places in zip(hits.distances, kept, strict=True)),
        k, hits.ef, hits.seconds, hits.exact,
    )  # fmt: skip


def answers(store: Store, names: list[str], hits: Hits, exact: Hits | None) -> list[dict]:
    """What each query got, with label and image of its neighbors; beside the exact ones if they are given.

    Parameters
    ----------
    store : Store
    names : list of str
        Of the q queries.
    hits, exact : Hits

    Returns
    -------
    list of dict
        ``query``, ``hits`` (rank, id, distance, label, image); and with ``exact``: ``exact`` like ``hits``, ``overlap``
        (None where there is no true neighbor), ``missed`` and ``instead``, ids of the exact list alone and of the other
        alone.
    """
    told, overlaps = [], None if exact is None else overlap_of_hits(exact, hits).tolist()
    for row, name in enumerate(names):
        one = {"query": name, "hits": _shown(store, hits, row)}
        if exact is not None:
            true, got = exact.ids[row], hits.ids[row]
            in_true, in_got = set(true), set(got)
            one |= {
                "exact": _shown(store, exact, row),
                "overlap": None if np.isnan(overlaps[row]) else overlaps[row],
                "missed": [point for point in true if point not in in_got],
                "instead": [point for point in got if point not in in_true],
            }
        told.append(one)
    return told


def as_table(answer: dict) -> str:
    """One answer as a table: the neighbors, or both lists side by side with what differs marked.

    >>> hit = {"rank": 1, "id": 7, "distance": 0.5, "label": None, "image": None}
    >>> print(as_table({"query": "a", "hits": [hit]}))
      rank  id      distance
    ------  ----  ----------
         1  7         0.5000
    """
    frame = _beside(answer) if "exact" in answer else _columns(answer["hits"], "id", "distance", "label", "image")
    return terminal(frame.dropna(axis="columns", how="all"))


def terminal(frame: pd.DataFrame) -> str:
    """A table for a terminal: numbers to the right with four decimals, text as it is."""
    shown, align = frame.copy(), []
    for column in frame:
        numeric = pd.api.types.is_numeric_dtype(frame[column])
        if pd.api.types.is_float_dtype(frame[column]):
            shown[column] = ["" if pd.isna(value) else f"{value:.4f}" for value in frame[column]]
        else:
            shown[column] = ["" if pd.isna(value) else str(value) for value in frame[column]]
        align.append("right" if numeric else "left")
    names = [str(name).replace("_", " ") for name in shown]
    return tabulate(shown.to_numpy().tolist(), names, tablefmt="simple", disable_numparse=True, colalign=align)


def in_words(answer: dict, ef: int | None) -> str:
    """One sentence on how the two lists of an answer agree."""
    true, missed = len(answer["exact"]), len(answer["missed"])
    effort = "" if ef is None else f" at ef = {ef}"
    share = "" if answer["overlap"] is None else f", overlap {answer['overlap']:.3f}"
    meaning = ", ".join(f"{sign} {what}" for sign, what in MEANING.items())
    signs = f" ({meaning})" if answer["missed"] or answer["instead"] else ""
    return f"{true - missed} of the {true} exact neighbors were found{effort}{share}{signs}."


def _shown(store: Store, hits: Hits, row: int) -> list[dict]:
    found = list(hits.ids[row])
    about = store.metadata(found) if found else []
    return [
        {"rank": rank, "id": one, "distance": float(far), "label": seen.get("label"), "image": seen.get("image")}
        for rank, (one, far, seen) in enumerate(zip(found, hits.distances[row], about, strict=True), start=1)
    ]


def _columns(hits: list[dict], *names: str) -> pd.DataFrame:
    frame = pd.DataFrame(hits, columns=["rank", *names])
    for name in {"id", "label", "image"} & set(names):
        frame[name] = [None if value is None else str(value) for value in frame[name]]
    return frame


def _beside(answer: dict) -> pd.DataFrame:
    sides = []
    for name, only, sign in (("exact", "missed", MISSED), ("hits", "instead", INSTEAD)):
        frame = _columns(answer[name], "id", "label", "distance").set_index("rank")
        differs = set(answer[only])
        frame[only] = [sign if hit["id"] in differs else "" for hit in answer[name]]
        side = "exact" if name == "exact" else "found"
        sides.append(frame.rename(columns={"id": side, "label": f"{side}_label", "distance": f"{side}_distance"}))
    return pd.concat(sides, axis="columns").reset_index()
