"""Which part of a retrieval dominates, at what gallery size that flips, and the same beside the published figures."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .checks import InputError
from .crossings import flips
from .facts import fixed, interval, number
from .retrieval_cost import (
    ENOUGH,
    FLAT,
    FULL_SORT,
    IVF_256,
    IVF_ROOT,
    NLISTS,
    PARTIAL_SORT,
    RANDOM,
    nearest_published,
    typical,
)
from .separate import DISTANCES
from .summaries import ABSENT

# Encoders of the published table: its word, ours, the name for readers and the word in the names of facts.
ENCODERS = {
    "resnet18": ("resnet18", "ResNet-18"),
    "mobilenet": ("mobilenet_v2", "MobileNetV2"),
    "clip_vit_b32": ("clip", "CLIP ViT-B/32"),
}
ROWS = {"feature extraction": "feature_extraction_s", FULL_SORT: "brute_search_s", FLAT: "faiss_flat_s"}
ROWS |= {IVF_ROOT: "faiss_ivf_s"}
BRUTE_FACTS = {"sort": FULL_SORT, "partial": PARTIAL_SORT, "flat": FLAT}
IVF_FACTS = {"ivf_root": IVF_ROOT, "ivf_256": IVF_256}
WITHIN = "within the sizes measured"
MS = 1000.0


def chosen(own: pd.DataFrame, kept: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The times to compare, all of one run, and that run in words: this run's if it has timed encoders, else the kept.

    Parameters
    ----------
    own, kept : DataFrame
        Rows of `retrieval_cost` and `extraction`; ``kept`` is of `separate.published`.
    """
    if len(own) and (own["part"] == "extraction").any():
        return own, "this run"
    return (kept, str(kept["run"].iloc[0])) if len(kept) else (own, "this run")


def single(times: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Median milliseconds of each part, method, gallery, size, dimension and batch, with its 95 % interval."""
    by = ["part", "method", "gallery", "n", "dimension", "batch"]
    rows = [
        (*group, *(MS * value for value in typical(one["seconds"], seed=seed)))
        for group, one in times.groupby(by, sort=False)
    ]
    return pd.DataFrame(rows, columns=[*by, "milliseconds", "low", "high"])


def beside_published(published: pd.DataFrame, times: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The published table, in milliseconds, and ours in random vectors of the same dimension, nearest to its size.

    Returns
    -------
    DataFrame
        method, encoder, dimension, published, here, low, high (nan where not measured), n (of ours; 0 for an encoder),
        training (seconds of making and filling the cells; nan where there are none).
    """
    if set(ROWS.values()) - set(published["method"]):
        raise InputError(
            f"the published table lacks {', '.join(sorted(set(ROWS.values()) - set(published['method'])))}."
        )
    told, found = published.set_index("method"), single(times[times["batch"] == 1], seed)
    training = times[times["part"] == "training"]
    rows = []
    for method, row in ROWS.items():
        for column, (encoder, name) in ENCODERS.items():
            dimension = int(told.loc["feature_dimension", column])
            if method == "feature extraction":
                ours = found[(found["part"] == "extraction") & (found["method"] == encoder)]
            else:
                ours = _in_random(found, method, dimension)
            trained = _in_random(training, method, dimension)["seconds"]
            values = ours[["milliseconds", "low", "high"]].to_numpy()[0] if len(ours) else (np.nan,) * 3
            values = (*values, int(ours["n"].iloc[0]) if len(ours) else 0, trained.iloc[0] if len(trained) else np.nan)
            rows.append((method, name, dimension, MS * float(told.loc[row, column]), *values))
    names = ["method", "encoder", "dimension", "published", "here", "low", "high", "n", "training"]
    return pd.DataFrame(rows, columns=names)


def _in_random(found, method, dimension) -> pd.DataFrame:
    """Rows of a method in the random gallery whose size is nearest to the published one."""
    own = found[(found["gallery"] == RANDOM) & (found["method"] == method) & (found["dimension"] == dimension)]
    return own[own["n"] == nearest_published(own["n"])] if len(own) else own


def compared(table: pd.DataFrame) -> pd.DataFrame:
    """`beside_published` for readers."""
    here = [
        f"{number(row.here)} ({number(row.low)} to {number(row.high)})" if np.isfinite(row.here) else ABSENT
        for row in table.itertuples()
    ]
    shown = table[["method", "encoder", "dimension"]].assign(published=table["published"].map(number), here=here)
    shown = shown.assign(n=[number(n) if n else "–" for n in table["n"]])
    shown = shown.assign(training=[number(seconds) if np.isfinite(seconds) else "–" for seconds in table["training"]])
    return shown.rename(columns={"n": "gallery here", "training": "training here, s"})


def cost_facts(times: pd.DataFrame, recalls: pd.DataFrame, on_gallery: pd.DataFrame, seed: int = 0) -> dict[str, str]:
    """Facts of costs. Those of the encoders have ``extraction`` in their names, so that a separate run can keep them.

    Parameters
    ----------
    times : DataFrame
        Of this run alone: `retrieval_cost.on_random`, and `extraction.measure` where encoders were timed.
    recalls, on_gallery : DataFrame
        Of `retrieval_cost.on_gallery`.
    seed : int

    Returns
    -------
    dict
        Those of `encoder_facts`, `ivf_facts` and `batch_facts`.
    """
    return encoder_facts(times, flips(times, seed=seed), seed) | ivf_facts(recalls) | batch_facts(on_gallery)


def encoder_facts(times: pd.DataFrame, crossing: pd.DataFrame, seed: int = 0) -> dict[str, str]:
    """The facts of `cost_facts` that are about encoders; "not available" where none was timed.

    Parameters
    ----------
    times : DataFrame
        As there.
    crossing : DataFrame
        Of `flips`.
    seed : int

    Returns
    -------
    dict
        extraction_gallery and extraction_largest (the size compared with the published one, and the largest measured
        in 512 dimensions); extraction_search_<dimension>_<method>, milliseconds at the former, with intervals; for each
        encoder extraction_<encoder>_ms, _flip_<method> with intervals and _where (within the sizes measured or beyond),
        and _dominates_<method> (the larger part at extraction_gallery).
    """
    found = single(times[times["batch"] == 1], seed)
    timed = (found["part"] == "extraction").any()
    values = _search_facts(found, timed)
    for encoder, _ in ENCODERS.values():
        own = found[(found["part"] == "extraction") & (found["method"] == encoder)]
        at = next(own.itertuples(), None)
        word = f"extraction_{encoder}"
        values[f"{word}_ms"] = ABSENT if at is None else fixed(at.milliseconds, 1)
        values[f"{word}_ms_interval"] = ABSENT if at is None else interval(at.low, at.high, 1)
        values[f"{word}_weights"] = ABSENT if at is None else at.gallery
        for short, method in BRUTE_FACTS.items():
            row = next(crossing[(crossing["encoder"] == encoder) & (crossing["method"] == method)].itertuples(), None)
            known = row is not None and np.isfinite(row.n)
            values[f"{word}_flip_{short}"] = _rounded(row.n) if known else ABSENT
            values[f"{word}_flip_{short}_interval"] = (
                f"{_rounded(row.low)} to {_rounded(row.high)}" if known else ABSENT
            )
            values[f"{word}_flip_{short}_where"] = (
                ABSENT if not known else WITHIN if row.measured else "beyond the largest measured"
            )
            search = found.iloc[:0] if at is None else _in_random(found, method, at.dimension)
            larger = "the encoder" if len(search) and at.milliseconds > search["milliseconds"].iloc[0] else "the search"
            values[f"{word}_dominates_{short}"] = larger if len(search) else ABSENT
    return values


def _search_facts(found, timed: bool) -> dict[str, str]:
    """What brute force takes beside the encoders, at the size compared with the published one."""
    searched = found[(found["part"] == "search") & (found["gallery"] == RANDOM)]
    known, values = timed and len(searched), {}
    values["extraction_gallery"] = number(int(nearest_published(searched["n"]))) if known else ABSENT
    values["extraction_largest"] = number(int(searched["n"].max())) if known else ABSENT
    for dimension in (512, 1280):
        for short, method in BRUTE_FACTS.items():
            own = _in_random(found, method, dimension) if known else searched.iloc[:0]
            word = f"extraction_search_{dimension}_{short}"
            values[f"{word}_ms"] = fixed(own["milliseconds"].iloc[0], 1) if len(own) else ABSENT
            limits = interval(own["low"].iloc[0], own["high"].iloc[0], 1) if len(own) else ABSENT
            values[f"{word}_ms_interval"] = limits
    return values


def published_facts(published: pd.DataFrame) -> dict[str, str]:
    """What the published table itself says of its claim: for which encoders its brute force takes the longer time.

    >>> rows = {"method": ["feature_extraction_s", "brute_search_s"], "resnet18": [2, 1], "mobilenet": [1, 2]}
    >>> published_facts(pd.DataFrame({**rows, "clip_vit_b32": [2, 1]}))
    {'published_search_larger': 'MobileNetV2'}
    """
    told = published.set_index("method")
    larger = told.loc[ROWS[FULL_SORT]] > told.loc[ROWS["feature extraction"]]
    names = [name for column, (_, name) in ENCODERS.items() if larger[column]]
    return {"published_search_larger": " and ".join(names) or "none of the encoders"}


def ivf_facts(recalls: pd.DataFrame, word: str = "") -> dict[str, str]:
    """Recall of one cell, and the least nprobe measured whose recall is enough, for both numbers of cells.

    Parameters
    ----------
    recalls : DataFrame
        Of `retrieval_cost.on_gallery`; without rows, all facts are "not available".
    word : str
        Stands for "gallery" in the names and in front of the others, such as "large_gallery".
    """
    own = next(recalls.itertuples(), None)
    values = {
        "gallery": ABSENT if own is None else str(own.gallery),
        "gallery_n": ABSENT if own is None else number(int(own.n)),
        "gallery_metric": ABSENT if own is None else DISTANCES[own.metric],
    }
    for name, method in IVF_FACTS.items():
        rows = recalls[recalls["method"] == method]
        one = next(rows.itertuples(), None)
        enough = next(rows[rows["recall"] >= ENOUGH].itertuples(), None)
        values[f"{name}_recall1"] = ABSENT if one is None else fixed(one.recall, 3)
        values[f"{name}_recall1_interval"] = ABSENT if one is None else interval(one.recall_low, one.recall_high)
        values[f"{name}_nlist"] = ABSENT if one is None else number(int(one.nlist))
        values[f"{name}_nprobe95"] = ABSENT if enough is None else number(int(enough.nprobe))
        values[f"{name}_share95"] = ABSENT if enough is None else f"{100 * enough.share:.0f} %"
        values[f"{name}_recall95"] = ABSENT if enough is None else fixed(enough.recall, 3)
    if not word:
        return values | {"enough": f"{ENOUGH:g}", "cells": number(NLISTS[IVF_256])}
    return {f"{word}_{name.removeprefix('gallery').strip('_') or 'name'}": value for name, value in values.items()}


def ivf_table(recalls: pd.DataFrame, kept: pd.DataFrame) -> pd.DataFrame:
    """Recall and price over nprobe for readers, in the gallery of this run and in those of separate runs."""
    others = kept.assign(gallery=kept["gallery"] + " (separate run)") if len(kept) else kept
    both = pd.concat([recalls, others], ignore_index=True) if len(others) else recalls
    overlaps = [f"{fixed(row.recall)} ({interval(row.recall_low, row.recall_high)})" for row in both.itertuples()]
    names = {"n": "vectors", "nlist": "cells", "nprobe": "nprobe", "milliseconds": "ms", "share": "share"}
    shown = both.assign(overlap=overlaps).rename(columns=names | {"build_seconds": "build, s"})
    return shown[["gallery", "vectors", "cells", "nprobe", "overlap", "ms", "share", "build, s"]]


def batch_facts(on_gallery: pd.DataFrame) -> dict[str, str]:
    """The largest batch, and how many times less a query takes in it than by itself, for each kind of search."""
    largest, found = on_gallery["batch"].max(), single(on_gallery).set_index(["method", "batch"])["milliseconds"]
    alone, gains = on_gallery["batch"].min(), {}
    for word, method in (BRUTE_FACTS | IVF_FACTS).items():
        gains[f"batch_gain_{word}"] = fixed(found[method, alone] / found[method, largest], 1)
    return {"batch": number(int(largest)), **gains}


def _rounded(value: float) -> str:
    """A number of points to three significant digits."""
    return number(int(float(f"{value:.3g}"))) if np.isfinite(value) else ABSENT
