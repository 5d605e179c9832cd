"""What `compare` found, laid out for readers, and as facts for the paper."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from .. import facts
from ..family_facts import fact_word as word
from ..kinds import label
from ..summaries import ABSENT
from .compare import TOLERANCE
from .maps import EXACT
from .measure import EMPTIED, RANDOM
from .structure import groups
from .tasks import TASKS

# Tasks whose deviations the paper gives: one reads first neighbors, one all distances.
CITED = ("dbscan", "dimension")


def cluster_table(cases) -> pd.DataFrame:
    """Describe the clusters that exact lists give, which the approximate ones are compared with.

    Parameters
    ----------
    cases : iterable of Case
        Of `samples`.

    Returns
    -------
    DataFrame
        One row a method, means over samples: method, clusters, share in none, ARI with classes (nan without labels).
    """
    rows = []
    for case in cases:
        for name in ("dbscan", "hdbscan"):
            found = TASKS[name].run(case, case.truth)
            known = np.nan if case.labels is None else adjusted_rand_score(case.labels, found)
            rows.append({"method": TASKS[name].label, **groups(found), "ARI with classes": known})
    means = pd.DataFrame(rows).groupby("method", sort=False).mean().reset_index()
    return means.rename(columns={"noise": "share in none"})


def task_table(noises: pd.DataFrame) -> pd.DataFrame:
    """Lay out the tasks with their exact score and noise; "not available" where labels lack.

    Parameters
    ----------
    noises : DataFrame
        Of `compare.noise`.

    Returns
    -------
    DataFrame
        One row a task, all cells text: task, score, one percent of, exact, noise.
    """
    at = noises.set_index("task").reindex(list(TASKS))
    return pd.DataFrame(
        {
            "task": [task.label for task in TASKS.values()],
            "score": [task.measure for task in TASKS.values()],
            "one percent of": [task.of for task in TASKS.values()],
            "exact": [facts.fixed(value) for value in at["exact"]],
            "noise": [facts.percent(value) for value in at["noise"]],
        }
    )


def needed_table(table: pd.DataFrame, column: str = "lists") -> pd.DataFrame:
    """Lay out `compare.needed`: a task a row, a kind of lists a column, intervals in brackets.

    Parameters
    ----------
    table : DataFrame
        Of `compare.needed`.
    column : str, default "lists"
        Whose values are the columns, each task once in each.
    """
    cells = {(row["task"], row[column]): _cell(row) for row in table.to_dict("records")}
    kinds = sorted(dict.fromkeys(table[column]), key=lambda kind: kind not in (RANDOM, EMPTIED))
    return _by_task({label(kind): {name: cells.get((name, kind)) for name in TASKS} for kind in kinds})


def against_table(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out `compare.against_random`: a task a row, an engine a column, differences in percent with the verdict."""
    kinds = dict.fromkeys(table["lists"])
    at = {(row.task, row.lists): row for row in table.itertuples()}
    return _by_task({label(kind): {name: _difference(at.get((name, kind))) for name in TASKS} for kind in kinds})


def fact_values(need: pd.DataFrame, noises: pd.DataFrame, engines) -> dict:
    """Facts for the paper: the recall that each task needs, its exact score and its noise.

    Parameters
    ----------
    need, noises : DataFrame
        Of `compare.needed` and `compare.noise`.
    engines : iterable of str

    Returns
    -------
    dict
        ``needed_<task>``, ``exact_<task>`` and ``noise_<task>``, under random loss; ``needed_<task>_<engine>``;
        ``most`` and ``most_task``, the highest need under random loss, with its bracket; ``insensitive``, the tasks
        that stay within one percent down to the lowest recall, with theirs; ``pairs`` of tasks that have brackets
        under random loss, and ``apart`` of them whose brackets do not overlap, and both ``..._<engine>``; ``tasks``,
        and ``noisy`` of them with a noise above one percent.
    """
    random = need[need["lists"] == RANDOM].set_index("task")
    by_lists = {(row["task"], row["lists"]): row for row in need.to_dict("records")}
    at = noises.set_index("task").reindex(list(TASKS))
    values = {}
    for name in TASKS:
        for lists, suffix in ((RANDOM, ""), *((engine, f"_{word(engine)}") for engine in engines)):
            row = by_lists.get((name, lists))
            values[f"needed_{name}{suffix}"] = ABSENT if row is None else _cell(row)
        values[f"exact_{name}"] = facts.fixed(at.loc[name, "exact"])
        values[f"noise_{name}"] = facts.percent(at.loc[name, "noise"])
    known = random["needed"].dropna().sort_values()
    values["most"] = _cell(by_lists[known.index[-1], RANDOM]) if len(known) else ABSENT
    values["most_task"] = TASKS[known.index[-1]].label if len(known) else ABSENT
    low = random.index[random["needed"] == random["lowest"]]
    values["insensitive"] = ", ".join(TASKS[name].label + _bracket(random.loc[name]) for name in low) or "none of them"
    for lists, suffix in ((RANDOM, ""), *((engine, f"_{word(engine)}") for engine in engines)):
        pairs, apart = _apart(need[need["lists"] == lists])
        values |= {f"pairs{suffix}": pairs, f"apart{suffix}": apart}
    return values | {"tasks": int(at["exact"].notna().sum()), "noisy": facts.count((at["noise"] > TOLERANCE).sum())}


def against_facts(by_number: pd.DataFrame, by_ranks: pd.DataFrame, engines) -> dict[str, str]:
    """Facts for the paper from `compare.against_random`, for both kinds of random losses.

    Returns
    -------
    dict
        ``at_<engine>``, the recall compared at; ``more_<engine>``, ``less_<engine>``, ``same_<engine>``: tasks by
        verdict, and ``..._ranks`` for losses of the same ranks; ``compared``, ``told`` and ``told_ranks``:
        comparisons that have an interval, and those in which the engine was told apart; ``size_<task>_<engine>``, the
        mean size of the deviation of two tasks, and ``..._number`` and ``..._ranks``, those of the random losses.
    """
    values = {}
    for engine in engines:
        for task in CITED:
            name = f"size_{task}_{word(engine)}"
            for table, suffix in ((by_number, "_number"), (by_ranks, "_ranks")):
                own = table[(table["lists"] == engine) & (table["task"] == task)]
                values |= {
                    name: facts.percent(own["engine"].mean()),
                    name + suffix: facts.percent(own["random"].mean()),
                }
    for table, suffix in ((by_number, ""), (by_ranks, "_ranks")):
        for engine in engines:
            own = table[table["lists"] == engine]
            values[f"at_{word(engine)}"] = facts.fixed(own["recall"].mean(), 2)
            for name, verdict in (("more", "more"), ("less", "less"), ("same", "not told apart")):
                values[f"{name}_{word(engine)}{suffix}"] = facts.count((own["verdict"] == verdict).sum())
        values[f"told{suffix}"] = facts.count(table["verdict"].isin(["more", "less"]).sum())
    return values | {"compared": int((by_number["verdict"] != ABSENT).sum())}


def cluster_facts(cases) -> dict[str, str]:
    """Facts for the paper from `cluster_table`: clusters, share in none and ARI with classes, by method."""
    values = {}
    for row in cluster_table(cases).to_dict("records"):
        name = row["method"].lower()
        values |= {
            f"clusters_{name}": facts.fixed(row["clusters"], 1),
            f"alone_{name}": facts.percent(row["share in none"], 0),
        }
        values[f"classes_{name}"] = facts.fixed(row["ARI with classes"], 2)
    return values


def map_table(maps: pd.DataFrame) -> pd.DataFrame:
    """Lay out `maps.layouts`: a map a row, lists by their names for readers."""
    return maps.assign(lists=maps["lists"].map(label))


def map_facts(maps: pd.DataFrame) -> dict[str, str]:
    """Facts for the paper from `maps.layouts`.

    Returns
    -------
    dict
        ``map_trust`` and ``map_trust_low``: trustworthiness of the exact map, and at the lowest recall of random loss;
        ``map_seed_nearest`` and ``map_seed_farthest``: distances of exact maps with other seeds; ``map_low``,
        ``map_high``: distances at the lowest and at the highest recall of random loss; ``maps_nearer`` of ``maps``:
        maps from approximate lists that are nearer to the exact map than every map of another seed; of the engines'
        maps, ``map_engine_top`` and ``map_engine_top_recall``, distance and recall where recall is highest, and
        ``map_engine_nearest`` and ``map_engine_nearest_recall``, those of the map nearest to the exact one.
    """
    exact, rest = maps[maps["lists"] == EXACT], maps[maps["lists"] != EXACT]
    random, seeds = rest[rest["lists"] == RANDOM].sort_values("recall"), exact["procrustes"].iloc[1:]
    shown = {
        "map_trust": exact["trustworthiness"].iloc[0],
        "map_trust_low": random["trustworthiness"].iloc[0],
        "map_seed_nearest": seeds.min(),
        "map_seed_farthest": seeds.max(),
        "map_low": random["procrustes"].iloc[0],
        "map_high": random["procrustes"].iloc[-1],
    }
    engines = rest[rest["lists"] != RANDOM]
    for name, column, order in (("top", "recall", False), ("nearest", "procrustes", True)):
        row = engines.sort_values(column, ascending=order).head(1)
        shown |= {f"map_engine_{name}": row["procrustes"].mean(), f"map_engine_{name}_recall": row["recall"].mean()}
    nearer = (rest["procrustes"] < seeds.min()).sum()
    return {name: facts.fixed(value) for name, value in shown.items()} | {
        "maps_nearer": int(nearer),
        "maps": len(rest),
    }


def _by_task(columns: dict[str, dict]) -> pd.DataFrame:
    rows = [
        {"task": task.label, **{title: cells.get(name) or ABSENT for title, cells in columns.items()}}
        for name, task in TASKS.items()
    ]
    return pd.DataFrame(rows)


def _cell(row: dict) -> str:
    if np.isnan(row["needed"]):
        return ABSENT
    if np.isinf(row["needed"]):
        return "not reached"
    least = "at most " if row["needed"] == row["lowest"] else ""
    return least + facts.fixed(row["needed"]) + _bracket(row)


def _bracket(row) -> str:
    if np.isnan(row["high"]) or row["high"] == row["lowest"]:
        return ""
    high = "beyond" if np.isinf(row["high"]) else facts.fixed(row["high"])
    return f" ({facts.fixed(row['low'])} to {high})"


def _apart(need: pd.DataFrame) -> tuple[int, int]:
    """Pairs of rows that both have a bracket, and how many of them have brackets that do not overlap.

    >>> _apart(pd.DataFrame({"low": [0.5, 0.8, 0.6], "high": [0.7, 0.9, np.nan]}))
    (1, 1)
    """
    known = need[["low", "high"]].dropna().to_numpy()
    pairs = [(one, other) for i, one in enumerate(known) for other in known[:i]]
    return len(pairs), sum(bool(one[1] < other[0] or other[1] < one[0]) for one, other in pairs)


def _difference(row) -> str | None:
    if row is None:
        return None
    told = f"{row.verdict}: " if row.verdict in ("more", "less") else ""
    return f"{told}{facts.fixed(100 * row.difference, 1)} ({facts.interval(100 * row.low, 100 * row.high, 1)})"
