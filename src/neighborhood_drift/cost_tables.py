"""Which part of a retrieval dominates, at what gallery size that flips, and the same beside the published figures."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .checks import InputError
from .facts import fixed, interval, number
from .retrieval_cost import FLAT, FULL_SORT, IVF_256, IVF_ROOT, PARTIAL_SORT, RANDOM, typical
from .summaries import ABSENT

# Encoders of the published table: its word, ours, the name for readers and the word in the names of facts.
ENCODERS = {
    "resnet18": ("resnet18", "ResNet-18"),
    "mobilenet": ("mobilenet_v2", "MobileNetV2"),
    "clip_vit_b32": ("clip", "CLIP ViT-B/32"),
}
ROWS = {"feature extraction": "feature_extraction_s", FULL_SORT: "brute_search_s", FLAT: "faiss_flat_s"}
ROWS |= {IVF_ROOT: "faiss_ivf_s"}
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


def flips(times: pd.DataFrame, *, resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """The gallery size at which a search takes as long as the extraction of one image, one query at a time.

    Each search's time is a + b n, by least squares through the medians of its sizes in random galleries of the
    encoder's dimension; repeats are resampled for the interval.

    Parameters
    ----------
    times : DataFrame
        Of `retrieval_cost.on_random` and `extraction.measure`.

    Returns
    -------
    DataFrame
        encoder, method, dimension, extraction (milliseconds), largest (size measured), n, low, high (95 % bootstrap
        interval), measured (whether n is not beyond the largest size). No row for a search measured at fewer than two
        sizes; n is nan where the time does not grow.

    Examples
    --------
    >>> search = {"part": "search", "method": "a", "gallery": "random", "n": [10, 20], "dimension": 4, "batch": 1}
    >>> image = {"part": ["extraction"], "method": "e", "gallery": "", "n": 0, "dimension": 4, "batch": 1}
    >>> times = [pd.DataFrame({**search, "seconds": [0.1, 0.2]}), pd.DataFrame({**image, "seconds": [0.4]})]
    >>> flips(pd.concat(times)).round(3)[["encoder", "method", "n", "measured"]].values.tolist()
    [['e', 'a', 40.0, False]]
    """
    one = times[times["batch"] == 1]
    searches = one[(one["part"] == "search") & (one["gallery"] == RANDOM)]
    generator, rows = np.random.default_rng(seed), []
    for (encoder, dimension), images in one[one["part"] == "extraction"].groupby(["method", "dimension"], sort=False):
        for method, found in searches[searches["dimension"] == dimension].groupby("method", sort=False):
            sizes = sorted(found["n"].unique())
            if len(sizes) < 2 or method.startswith("FAISS IVF"):
                continue
            parts = [images["seconds"].to_numpy(), *(found.loc[found["n"] == n, "seconds"].to_numpy() for n in sizes)]
            n = _crossing(sizes, [np.median(part) for part in parts])
            drawn = np.array([np.median(generator.choice(part, (resamples, len(part))), axis=1) for part in parts])
            again = [_crossing(sizes, medians) for medians in drawn.T]
            low, high = np.nanquantile(again, [0.025, 0.975]) if np.isfinite(again).any() else (np.nan, np.nan)
            extraction = MS * float(np.median(parts[0]))
            rows.append((encoder, method, dimension, extraction, sizes[-1], n, low, high, bool(n <= sizes[-1])))
    names = ["encoder", "method", "dimension", "extraction", "largest", "n", "low", "high", "measured"]
    return pd.DataFrame(rows, columns=names)


def _crossing(sizes, medians) -> float:
    slope, start = np.polyfit(sizes, medians[1:], 1)
    return float((medians[0] - start) / slope) if slope > 0 else np.nan


def beside_published(published: pd.DataFrame, times: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The published table, in milliseconds, and ours at the largest random gallery of the same dimension.

    Returns
    -------
    DataFrame
        method, encoder, dimension, published, here, low, high (nan where not measured), n (of ours; 0 for an encoder).
    """
    if set(ROWS.values()) - set(published["method"]):
        raise InputError(
            f"the published table lacks {', '.join(sorted(set(ROWS.values()) - set(published['method'])))}."
        )
    told, found = published.set_index("method"), single(times[times["batch"] == 1], seed)
    rows = []
    for method, row in ROWS.items():
        for column, (encoder, name) in ENCODERS.items():
            dimension = int(told.loc["feature_dimension", column])
            if method == "feature extraction":
                ours = found[(found["part"] == "extraction") & (found["method"] == encoder)]
            else:
                ours = found[(found["gallery"] == RANDOM) & (found["method"] == method)]
                ours = ours[ours["dimension"] == dimension]
            ours = ours.sort_values("n").tail(1)
            values = ours[["milliseconds", "low", "high"]].to_numpy()[0] if len(ours) else (np.nan,) * 3
            n = int(ours["n"].iloc[0]) if len(ours) else 0
            rows.append((method, name, dimension, MS * float(told.loc[row, column]), *values, n))
    return pd.DataFrame(rows, columns=["method", "encoder", "dimension", "published", "here", "low", "high", "n"])


def compared(table: pd.DataFrame) -> pd.DataFrame:
    """`beside_published` for readers."""
    here = [
        f"{number(row.here)} ({number(row.low)} to {number(row.high)})" if np.isfinite(row.here) else ABSENT
        for row in table.itertuples()
    ]
    shown = table[["method", "encoder", "dimension"]].assign(published=table["published"].map(number), here=here)
    return shown.assign(n=[number(n) if n else "–" for n in table["n"]]).rename(columns={"n": "gallery here"})


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
        extraction_<encoder>_ms, extraction_<encoder>_flip_<method> with intervals, extraction_<encoder>_dominates (the
        larger part at the largest gallery, by brute force), extraction_gallery; ivf_<cells>_recall1 (nprobe = 1),
        ivf_<cells>_nprobe95, ivf_<cells>_recall95, ivf_<cells>_share95; gallery, gallery_n; batch, and
        batch_gain_<method> (how many times less a query takes in the largest batch than alone).
    """
    return encoder_facts(times, flips(times, seed=seed), seed) | ivf_facts(recalls) | batch_facts(on_gallery)


def encoder_facts(times: pd.DataFrame, crossing: pd.DataFrame, seed: int = 0) -> dict[str, str]:
    """The facts of `cost_facts` that are about encoders; "not available" where none was timed."""
    found, values = single(times[times["batch"] == 1], seed), {}
    largest = found.loc[found["gallery"] == RANDOM, "n"].max()
    timed = (found["part"] == "extraction").any()
    values["extraction_gallery"] = number(int(largest)) if timed and np.isfinite(largest) else ABSENT
    for encoder, _ in ENCODERS.values():
        own = found[(found["part"] == "extraction") & (found["method"] == encoder)]
        at = next(own.itertuples(), None)
        word = f"extraction_{encoder}"
        values[f"{word}_ms"] = ABSENT if at is None else fixed(at.milliseconds, 1)
        values[f"{word}_ms_interval"] = ABSENT if at is None else interval(at.low, at.high, 1)
        values[f"{word}_weights"] = ABSENT if at is None else at.gallery
        for short, method in (("sort", FULL_SORT), ("flat", FLAT)):
            row = next(crossing[(crossing["encoder"] == encoder) & (crossing["method"] == method)].itertuples(), None)
            known = row is not None and np.isfinite(row.n)
            values[f"{word}_flip_{short}"] = _rounded(row.n) if known else ABSENT
            values[f"{word}_flip_{short}_interval"] = (
                f"{_rounded(row.low)} to {_rounded(row.high)}" if known else ABSENT
            )
            values[f"{word}_dominates_{short}"] = (
                ABSENT if not known else ("the encoder" if row.n > row.largest else "the search")
            )
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


def ivf_facts(recalls: pd.DataFrame) -> dict[str, str]:
    """Recall of one cell, and the least nprobe measured whose recall is at least 0.95, for both numbers of cells."""
    values = {
        "gallery": str(recalls["gallery"].iloc[0]) if len(recalls) else ABSENT,
        "gallery_n": number(int(recalls["n"].iloc[0])) if len(recalls) else ABSENT,
    }
    for word, (_, own) in zip(("ivf_root", "ivf_256"), recalls.groupby("method", sort=False), strict=True):
        one, enough = next(own.itertuples()), next(own[own["recall"] >= 0.95].itertuples(), None)
        values[f"{word}_recall1"] = fixed(one.recall, 3)
        values[f"{word}_recall1_interval"] = interval(one.recall_low, one.recall_high)
        values[f"{word}_nprobe95"] = ABSENT if enough is None else number(int(enough.nprobe))
        values[f"{word}_share95"] = ABSENT if enough is None else f"{100 * enough.share:.0f} %"
        values[f"{word}_recall95"] = ABSENT if enough is None else fixed(enough.recall, 3)
    return values


def batch_facts(on_gallery: pd.DataFrame) -> dict[str, str]:
    """The largest batch, and how many times less a query takes in it than by itself, for each kind of search."""
    largest, found = on_gallery["batch"].max(), single(on_gallery).set_index(["method", "batch"])["milliseconds"]
    names = {"sort": FULL_SORT, "partial": PARTIAL_SORT, "flat": FLAT, "ivf_root": IVF_ROOT, "ivf_256": IVF_256}
    alone = on_gallery["batch"].min()
    gains = {
        f"batch_gain_{word}": fixed(found[method, alone] / found[method, largest], 1) for word, method in names.items()
    }
    return {"batch": number(int(largest)), **gains}


def _rounded(value: float) -> str:
    """A number of points to three significant digits."""
    return number(int(float(f"{value:.3g}"))) if np.isfinite(value) else ABSENT
