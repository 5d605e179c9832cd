"""The facts of index families that the paper cites; what was not measured is named all the same."""

from __future__ import annotations

import numpy as np
import pandas as pd

from . import facts
from .excess import excesses, nearest
from .family_tables import GRAPH, MEASURED, approximate, between, signed
from .kinds import kind, label, named
from .names import word
from .summaries import ABSENT

# The engines whose numbers the paper cites: named in every run, measured or not.
CITED = ("faiss-hnsw", "hnswlib", "faiss-ivf", "faiss-ivf@nlist=256", "scann", "annoy")
CITED += ("faiss-ivf-pq@subquantizers=512,bits=5",)


def fact_word(name: str) -> str:
    """Word of an engine and its build parameters in the names of facts.

    >>> fact_word("faiss-ivf@nlist=256")
    'ivf_nlist256'
    """
    engine, params = named(name)
    return "_".join([word(engine), *(f"{key}{value}" for key, value in params.items())])


def excess_facts(table: pd.DataFrame, engines=CITED) -> dict[str, str]:
    """Facts of the excess: ``<measure>_<engine>``, with ``_interval``, ``_verdict`` and ``_relative``.

    Parameters
    ----------
    table : DataFrame
        Of `excess.excesses`, one target an engine.
    engines : iterable of str
        Each gives its facts, and so does every engine measured; what was not measured is "not available".
    """
    engines = dict.fromkeys([*engines, *table["engine"]])
    at = {(row.engine, row.metric): row for row in table.itertuples()}
    given = {}
    for engine in engines:
        for metric, (short, _, factor, decimals) in MEASURED.items():
            name, row = f"{short}_{fact_word(engine)}", at.get((engine, metric))
            missing = row is None or row.verdict == "not available"
            given[name] = ABSENT if missing else signed(factor * row.excess, decimals)
            given[f"{name}_interval"] = ABSENT if missing else between(row, factor, decimals)
            given[f"{name}_verdict"] = ABSENT if missing else row.verdict
            given[f"{name}_relative"] = ABSENT if missing else facts.percent(row.relative, 0)
    return given


def recall_facts(shares: pd.Series, table: pd.DataFrame) -> dict[str, str]:
    """Facts of the recall at which each engine is cited: ``recall_<engine>``.

    Parameters
    ----------
    shares : Series
        Mean overlap, by engine and target.
    table : DataFrame
        Of `excess.nearest`: columns engine and target.

    Examples
    --------
    >>> found = recall_facts(pd.Series({("annoy", 0.9): 0.91}), pd.DataFrame({"engine": ["annoy"], "target": [0.9]}))
    >>> found["recall_annoy"], found["recall_scann"]
    ('0.910', 'not available')
    """
    given = {f"recall_{fact_word(engine)}": ABSENT for engine in CITED}
    for row in table[["engine", "target"]].drop_duplicates().itertuples():
        given[f"recall_{fact_word(row.engine)}"] = facts.fixed(shares[row.engine, row.target])
    return given


def verdict_facts(table: pd.DataFrame) -> dict[str, str]:
    """Facts of the verdicts over engines and targets, exhaustive searches left out: ``<measure>_more`` and so on, and
    their numbers ``settings`` (of an engine and a target) and ``engines_compared``."""
    table = approximate(table)
    given = {"settings": facts.count(len(table.drop_duplicates(["engine", "target"])))}
    given["engines_compared"] = facts.count(table["engine"].nunique())
    for metric, (short, _, _, _) in MEASURED.items():
        own = table.loc[table["metric"] == metric, "verdict"]
        for verdict in ("more", "as much", "less"):
            given[f"{short}_{verdict.replace(' ', '_')}"] = facts.count((own == verdict).sum())
    return given


def spread_facts(table: pd.DataFrame, engine: str = "faiss-hnsw") -> dict[str, str]:
    """Facts of the place of one engine among all, one target an engine, a measure at a time.

    ``<measure>_lowest`` and ``_highest`` are the ends, with ``_engine`` whose they are; ``<measure>_place`` counts from
    the largest excess in size, "2 of 9".
    """
    at = approximate(table[table["verdict"] != "not available"])
    given = {}
    for metric, (short, _, factor, decimals) in MEASURED.items():
        own = at[at["metric"] == metric].set_index("engine")["excess"]
        ends = {"lowest": own.idxmin, "highest": own.idxmax} if len(own) else {}
        for end in ("lowest", "highest"):
            at_end = ends[end]() if ends else None
            given[f"{short}_{end}"] = ABSENT if at_end is None else signed(factor * own[at_end], decimals)
            given[f"{short}_{end}_engine"] = ABSENT if at_end is None else label(at_end)
        place = own.abs().rank(ascending=False)
        given[f"{short}_place"] = f"{place[engine]:.0f} of {len(own)}" if engine in own else ABSENT
    return given


def explained_facts(alike: pd.DataFrame, by_rank: pd.DataFrame) -> dict[str, str]:
    """Facts of how much of the excess the ranks of the losses explain: ``<measure>_explained``, ``..._explained_low``.

    The median over engines and targets of 1 - size of what is left / size of the excess, and the least of them; over
    those whose excess is not zero within its interval, exhaustive searches left out.

    >>> one = {"engine": ["annoy"], "target": [0.9], "metric": ["lid_difference"], "verdict": ["more"]}
    >>> found = explained_facts(pd.DataFrame(one | {"excess": [-1.0]}), pd.DataFrame(one | {"excess": [0.1]}))
    >>> found["lid_explained"], found["mean_distance_explained"]
    ('90 %', 'not available')
    """
    keys = ["engine", "target", "metric"]
    both = alike.merge(by_rank, on=keys, suffixes=("", "_left"))
    both = approximate(both[both["verdict"].isin(["more", "less"])])
    both = both.assign(explained=1 - (both["excess_left"] / both["excess"]).abs())
    given = {}
    for metric, (short, _, _, _) in MEASURED.items():
        own = both.loc[both["metric"] == metric, "explained"]
        given[f"{short}_explained"] = facts.percent(own.median(), 0).replace("-", "−")
        given[f"{short}_explained_low"] = facts.percent(own.min(), 0).replace("-", "−")
    return given


def rank_facts(ranks: pd.DataFrame, engines=CITED) -> dict[str, str]:
    """Facts of the losses by rank: ``first_ranks_<engine>`` and ``last_ranks_<engine>``, share returned; ``falling``.

    ``falling`` is the number of engines whose last ranks are returned less often than their mean, the interval below
    0, "9 of 10"; exhaustive searches of the vectors themselves left out.
    """
    engines = dict.fromkeys([*engines, *ranks["engine"]])
    given = {f"{end}_ranks_{fact_word(engine)}": ABSENT for engine in engines for end in ("first", "last")}
    falling = []
    for engine, own in ranks.groupby("engine", sort=False):
        for end, row in (("first", 0), ("last", -1)):
            given[f"{end}_ranks_{fact_word(engine)}"] = facts.percent(own["share"].iloc[row])
        if kind(engine) != "exhaustive":
            falling.append(own["away_high"].iloc[-1] < 0)
    return {**given, "falling": f"{sum(falling)} of {len(falling)}"}


def query_facts(table: pd.DataFrame, engines=CITED) -> dict[str, str]:
    """Facts of `excess.queries_that_lose`: ``worst_tenth_<engine>``, ``..._chance``, ``lid_correlation_<engine>``,
    ``others_<engine>``."""
    at = table.set_index("engine")
    given = {}
    for engine in dict.fromkeys([*engines, *table["engine"]]):
        row = at.loc[engine] if engine in at.index else pd.Series(np.nan, at.columns)
        name = fact_word(engine)
        given[f"worst_tenth_{name}"] = facts.percent(row["worst_tenth"], 0)
        given[f"worst_tenth_{name}_chance"] = facts.percent(row["chance_high"], 0)
        given[f"lid_correlation_{name}"] = facts.fixed(row["lid"], 2)
        given[f"others_{name}"] = facts.fixed(row["others"], 2)
    return given


def graph_facts(table: pd.DataFrame, engines=CITED) -> dict[str, str]:
    """Facts of the k-NN graphs: ``<name>_<engine>`` and, with ``_chance``, the null model's range."""
    at = table.set_index("engine")
    given = {}
    for engine in dict.fromkeys(["exact", *engines, *table["engine"]]):
        for name, (_, decimals) in GRAPH.items():
            there = engine in at.index
            given[f"{name}_{fact_word(engine)}"] = facts.fixed(at.loc[engine, name], decimals) if there else ABSENT
            if engine != "exact":
                ends = [at.loc[engine, f"{name}_{end}"] for end in ("low", "high")] if there else [np.nan, np.nan]
                given[f"{name}_{fact_word(engine)}_chance"] = facts.interval(*ends, decimals) if there else ABSENT
    return given


def work_facts(work: pd.DataFrame) -> dict[str, str]:
    """Facts of `family_costs.equal_work` at its largest budget: ``work_budget``, ``work_recall_<engine>``."""
    budget = work["budget"].max()
    given = {f"work_recall_{fact_word(engine)}": ABSENT for engine in CITED}
    given["work_budget"] = facts.fixed(budget, 0)
    for row in work[work["budget"] == budget].itertuples():
        given[f"work_recall_{fact_word(row.engine)}"] = facts.fixed(row.recall)
    return given


def elsewhere_facts(
    measured, here: pd.DataFrame, target: float, *, seed: int = 0, resamples: int = 1000
) -> dict[str, str]:
    """Facts of other data: ``elsewhere``, their names, and ``elsewhere_same``, how many excesses have their sign here.

    Compared are those whose intervals leave out zero both here and there.

    Parameters
    ----------
    measured : list of (str, DataFrame)
        Name of the data and the table of `excess.measure` there.
    here : DataFrame
        Of `excess.excesses` beside losses of every rank alike, on the main data.
    target : float
        Recall at which the other data were measured; of each engine the row nearest to it is taken here.
    seed, resamples : int
        Of the bootstrap over the queries there.
    """
    keys, told = ["engine", "metric"], ["more", "less"]
    known = nearest(here, target).loc[lambda table: table["verdict"].isin(told), [*keys, "excess"]]
    same = []
    for _, table in measured:
        there = excesses(table, seed=seed, resamples=resamples)
        both = there[there["verdict"].isin(told)].merge(known, on=keys, suffixes=("_there", "_here"))
        same += list(np.sign(both["excess_there"]) == np.sign(both["excess_here"]))
    names = ", ".join(name for name, _ in measured)
    return {"elsewhere": names or "none", "elsewhere_same": f"{sum(same)} of {len(same)}" if same else ABSENT}
