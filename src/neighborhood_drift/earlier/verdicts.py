"""A verdict on each published claim, with its evidence: every number comes from a table, theirs or ours."""

from __future__ import annotations

import pandas as pd

from ..checks import one_of
from ..facts import fixed, number
from ..summaries import label
from .published import abrupt_failure, alpha_index, bent_exact, construction, first_pads

HOLDS, PART, MEASURE = "holds", "holds in part", "artefact of the measure"
EFFORT, UNSUPPORTED = "holds where effort stays at efSearch", "not supported"
VERDICTS = (HOLDS, PART, MEASURE, EFFORT, UNSUPPORTED)

FIRST, SECOND = "2025", "2026"  # Cooper; Cooper and Busch
NEAR = 0.98  # mean overlap from which lists are called nearly identical here; the studies gave no number


def _span(values) -> str:
    low, high = fixed(min(values)), fixed(max(values))
    return low if low == high else f"{low} to {high}"


def _at(table, column, k, **where) -> float:
    """Value of ``column`` at the row of ``where`` whose k is nearest to ``k``."""
    for name, value in where.items():
        table = table[table[name] == value]
    return float(table.loc[(table["k"] - k).abs().idxmin(), column])


def _close_below(seed, means, **_):
    at = {k: _at(seed, "mean_overlap", k) for k in (50, 90)}
    falls = bool((seed["mean_overlap"].diff().dropna() < 0).all())
    evidence = f"theirs: {fixed(at[50])} at k = 50, {fixed(at[90])} at k = 90" + (
        "; overlap falls at every step of k, without a threshold" if falls else ""
    )
    return evidence, HOLDS if at[90] >= NEAR else PART if at[50] >= NEAR else UNSUPPORTED


def _declines(seed, means, **_):
    ours = means[(means["study"] == "efSearch") & (means["value"] == 50)].sort_values("k")
    beyond = ours[ours["k"] >= 50]
    smooth = bool((beyond["overlap"].diff().dropna() <= 0).all())
    evidence = (
        f"theirs: {fixed(_at(seed, 'mean_overlap', 90))} at k = 90, {fixed(_at(seed, 'mean_overlap', 250))} at k = 250"
        f"; here, FAISS's default: {fixed(beyond['overlap'].iloc[0])} at k = {beyond['k'].iloc[0]}, "
        f"{fixed(beyond['overlap'].iloc[-1])} at k = {beyond['k'].iloc[-1]}"
    )
    return evidence, HOLDS if smooth else PART


def _periphery(seed, means, **_):
    hits = seed["mean_overlap"] * seed["k"]
    p = (hits.diff() / seed["k"].diff()).iloc[-1]
    evidence = (
        f"theirs: {fixed(_at(seed, 'mean_overlap', 10))} of the first {seed['k'].iloc[0]} entries were returned (the "
        f"query is one), {fixed(p)} of ranks {seed['k'].iloc[-2] + 1} to {seed['k'].iloc[-1]}"
    )
    return evidence, HOLDS if p < _at(seed, "mean_overlap", 10) else UNSUPPORTED


def _distances(seed, means, **_):
    infinite = seed.loc[seed["similarity_k_ann"] > 1e30, "k"]
    ours = means[(means["study"] == "efSearch") & (means["value"] == 50)].sort_values("k")
    ratio = ours["kth_distance_ratio"]
    evidence = (
        f"theirs: squared, and infinite from k = {infinite.min()} on, where two lists or more end in a pad; here the "
        f"k-th distance is {fixed(ratio.iloc[0])} times the true one at k = {ours['k'].iloc[0]}, "
        f"{fixed(ratio.iloc[-1])} times at k = {ours['k'].iloc[-1]}"
    )
    return evidence, HOLDS if ratio.iloc[-1] > ratio.iloc[0] else UNSUPPORTED


def _barycenters(seed, means, **_):
    ours = means[(means["study"] == "efSearch") & (means["value"] == 50)].sort_values("k")["barycenter_shift"]
    theirs = seed["barycenter_shift_mean"]
    evidence = (
        f"theirs: {fixed(theirs.iloc[0])} to {fixed(theirs.iloc[-1])} (a pad reads as the last vector); here, over the "
        f"mean true distance and without pads: {fixed(ours.iloc[0])} to {fixed(ours.iloc[-1])}"
    )
    return evidence, HOLDS if ours.iloc[-1] > ours.iloc[0] else UNSUPPORTED


def _lid(seed, means, seed_ours, **_):
    parts = []
    for k in (50, 250):
        row = seed_ours.iloc[(seed_ours["k"] - k).abs().argmin()]
        parts.append(
            f"at k = {int(row['k'])}, as then, {row['gap']:+.3f} of {fixed(row['lid_exact_mean'], 2)} "
            f"({row['self_arithmetic']:+.3f} the query's own distance, {row['neighbors_lost']:+.3f} neighbors lost), "
            f"corrected {row['right_lid_diff_mean']:+.3f} of {fixed(row['right_lid_exact_mean'], 2)}"
        )
    evidence = (
        f"theirs: {seed['lid_diff_mean'].iloc[0]:+.3f} at k = 10, {_at(seed, 'lid_diff_mean', 50):+.3f} at k = 50. "
        "Here " + "; ".join(parts) + ". The query is at distance 0 in HNSW and at rounding noise in the exact search"
    )
    inside = seed_ours[seed_ours["k"].between(50, 250)]
    if not (inside["right_lid_diff_mean"] < 0).all():
        return evidence, MEASURE
    drift = (inside["neighbors_lost"] / inside["gap"]).min()
    return evidence, HOLDS if drift > 0.5 else PART


def _within_capacity(successor, **_):
    within = successor[(successor["study"] == "efSearch") & (successor["k"] < successor["value"])]
    overlaps = within.groupby(["value", "k"])["mean_overlap"].mean()
    lowest = overlaps.idxmin()
    ratio = (within["mean_ann_dist"] / within["mean_exact_dist"]).max()
    evidence = (
        f"theirs at k < efSearch: overlap {_span(overlaps)}, lowest at efSearch = {lowest[0]:.0f}, k = {lowest[1]}; "
        f"mean squared distance at most {fixed(ratio)} times the exact one"
    )
    return evidence, HOLDS if overlaps.min() >= NEAR else PART


def _capacity(means, **_):
    k = means.loc[means["study"] == "rule", "k"].max()
    default = _at(means, "overlap", k, study="efSearch", value=50)
    others = means[(means["study"] == "rule") & (means["k"] == k)].set_index("engine")["overlap"]
    shown = ", ".join(f"{label(name)} {fixed(value)}" for name, value in others.items())
    at_ef = _at(means, "overlap", 50, study="efSearch", value=50)
    evidence = (
        f"here at efSearch = 50: {fixed(at_ef)} at k = 50; at k = {k}: {label('faiss-hnsw')} {fixed(default)}, {shown}"
    )
    return evidence, EFFORT if others.min() >= min(at_ef, NEAR) > default else PART


def _abrupt(successor, means, **_):
    failure, first = abrupt_failure(successor), first_pads(successor)
    first = first[first["study"] == "efSearch"]
    there = means[(means["study"] == "efSearch") & means["k"].between(2 * means["value"], 3.5 * means["value"])]
    ks, efs, queries = (", ".join(f"{v:.0f}" for v in failure[name]) for name in ("k", "value", "one_missing"))
    evidence = (
        f"theirs: k = {ks} at efSearch {efs}; there {queries} of {number(failure['queries'].iloc[0])} queries lacked "
        "exactly one neighbor, taken as a squared distance of 3.4e38 (at the first such k of each run: "
        f"{first['one_missing'].min()} to {first['one_missing'].max()} of 10,000), and overlap is "
        f"{_span(failure['overlap'])}. Here, over the neighbors found, mean distances at k = 2 to 3.5 efSearch are "
        f"{_span(there['mean_distance_ratio'])} times the exact ones"
    )
    return evidence, MEASURE if there["mean_distance_ratio"].max() < 2 else PART


def _exact_curve(successor, **_):
    bent = bent_exact(successor)
    bent = bent[(bent["study"] == "efSearch") & (bent["k"] == bent["k"].max())].set_index("value")
    low, high = bent.index.min(), bent.index.max()
    evidence = (
        f"theirs at k = {bent['k'].iloc[0]}: {fixed(bent.loc[low, 'exact'], 1)} at efSearch = {low:.0f}, "
        f"{fixed(bent.loc[high, 'exact'], 1)} at {high:.0f}, for the same neighbors (all queries: "
        f"{fixed(bent.loc[low, 'reference'], 1)}); queries with two or more pads were left out of both means"
    )
    return evidence, MEASURE if bent["exact"].max() > 1.01 * bent["exact"].min() else HOLDS


def _lid_collapse(successor, successor_ours, means, **_):
    theirs = successor[(successor["study"] == "efSearch") & (successor["value"] == 25)]
    exact, ann = (theirs.loc[theirs["k"] == 500, name].mean() for name in ("mean_lid_exact", "mean_lid_ann"))
    row = successor_ours.sort_values(["ef", "k"]).groupby("ef", as_index=False).last().iloc[0]
    right, level = (
        _at(means, name, row["k"], study="efSearch", value=row["ef"]) for name in ("lid_difference", "lid_exact")
    )
    evidence = (
        f"theirs at efSearch = 25, k = 500: {fixed(ann, 2)} for {fixed(exact, 2)}. Here at efSearch = "
        f"{int(row['ef'])}, k = {int(row['k'])}, as then: {row['mean_lid_diff']:+.2f} of "
        f"{fixed(row['mean_lid_exact'], 2)}, with pads in {number(int(row['padded']))} of "
        f"{number(int(row['queries']))} lists; without pads and squares: {right:+.2f} of {fixed(level, 2)}"
    )
    # Relative to their levels, since squared distances halve both the estimate and its difference.
    return evidence, MEASURE if abs(row["mean_lid_diff"]) / row["mean_lid_exact"] > 2 * abs(right) / level else PART


def _construction(successor, means, **_):
    table = construction(successor).set_index("value")
    ours = means[(means["study"] == "efConstruction")]
    k = ours.loc[(ours["k"] - 100).abs().idxmin(), "k"]
    at = ours[ours["k"] == k].sort_values("value")
    overlap, first = table["overlap_k100"].map(fixed), table["first_pad"].map("{:.0f}".format)
    evidence = (
        f"theirs at k = 100: {overlap[100]} (efConstruction 100) to {overlap[400]} (400), the first pad at k = "
        f"{first[100]} to {first[400]} on average; but {overlap[50]} and {first[50]} at 50: below efConstruction = 2M "
        f"FAISS does not prune a new point's list, and the graph is denser. Here at k = {k}: "
        + ", ".join(f"{fixed(o)} ({v:.0f})" for v, o in zip(at["value"], at["overlap"], strict=True))
    )
    rises = bool((table["overlap_k100"].diff().dropna() > 0).all())
    return evidence, HOLDS if rises else PART


def _alpha(successor, means, **_):
    theirs = successor[(successor["study"] == "alpha") & (successor["value"] > 1)]
    theirs = theirs.groupby(["value", "k"])["mean_overlap"].mean()
    ours = means[(means["study"] == "alpha") & (means["value"] > 1)]["overlap"]
    index = alpha_index(successor).sort_values("equal").iloc[-1]
    evidence = (
        f"theirs at alpha = 2 and 4: {_span(theirs)}, lowest at k = {theirs.idxmin()[1]}, measured on the index of "
        f"efConstruction = {index['value']:.0f} ({index['equal']} of {index['rows']} comparable rows agree in all "
        f"digits), not 200. Here at 200: {_span(ours)}"
    )
    return evidence, HOLDS if min(theirs.min(), ours.min()) >= NEAR else PART


CLAIMS = (
    (FIRST, "Exact and approximate lists are nearly identical below k = 50 to 90", _close_below),
    (FIRST, "Beyond, overlap declines gradually", _declines),
    (FIRST, "The core of a neighborhood is kept, its periphery deformed", _periphery),
    (FIRST, "Neighbor distances increase", _distances),
    (FIRST, "Barycenters shift", _barycenters),
    (FIRST, "LID is constantly underestimated", _lid),
    (SECOND, "Exact and approximate lists are nearly identical while efSearch > k", _within_capacity),
    (SECOND, "HNSW search fails when k exceeds a fixed efSearch", _capacity),
    (SECOND, "The failure is abrupt, at k = 2.0 to 3.5 efSearch, and distances diverge", _abrupt),
    (SECOND, "The exact mean distance, drawn beside each setting, is the reference", _exact_curve),
    (SECOND, "LID collapses beyond capacity", _lid_collapse),
    (SECOND, "Higher efConstruction delays the failure", _construction),
    (SECOND, "efSearch = alpha k with alpha > 1 preserves the geometry", _alpha),
)


def verdicts(seed, successor, *, means, seed_ours, successor_ours) -> pd.DataFrame:
    """Test the earlier studies' claims one by one.

    Parameters
    ----------
    seed, successor : DataFrame
        The published tables, as :func:`published` loads them.
    means : DataFrame
        Our sweeps, the mean over queries of each metric of ``metrics.drift``: columns study ("efSearch",
        "efConstruction", "alpha", all FAISS default, and "rule": other engines at efSearch = 50), value (the setting),
        engine, k, and the metrics.
    seed_ours, successor_ours : DataFrame
        From :func:`seed_study` (efSearch = 50) and :func:`successor_study`.

    Returns
    -------
    DataFrame
        study ("2025": Cooper; "2026": Cooper and Busch), claim, verdict (one of ``VERDICTS``), evidence. Verdicts
        follow from the numbers by stated thresholds, so other vectors may earn others.
    """
    tables = {
        "seed": seed,
        "successor": successor,
        "means": means,
        "seed_ours": seed_ours,
        "successor_ours": successor_ours,
    }
    rows = []
    for study, claim, test in CLAIMS:
        evidence, verdict = test(**tables)
        rows.append(
            {"study": study, "claim": claim, "verdict": one_of(verdict, VERDICTS, "verdict"), "evidence": evidence}
        )
    return pd.DataFrame(rows)
