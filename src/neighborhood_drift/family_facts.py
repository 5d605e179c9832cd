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
# Engines whose recall is this near to the target are compared with each other.
NEAR = 0.01


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


def spread_facts(
    table: pd.DataFrame, shares: pd.Series, target: float, engines=("faiss-hnsw", "faiss-hnsw-sq8")
) -> dict[str, str]:
    """Facts of the places of engines among those whose recall is within `NEAR` of the target, a measure at a time.

    ``reaching`` is how many those are, exhaustive searches left out; ``<measure>_place_<engine>`` counts from the
    largest excess in size, "2 of 6".

    Parameters
    ----------
    table : DataFrame
        Of `excess.excesses`, one target an engine.
    shares : Series
        Mean overlap, by engine and target.
    target : float
    engines : iterable of str
        Whose places are told; "not available" where one does not reach the target.
    """
    recalls = np.array([shares[key] for key in zip(table["engine"], table["target"], strict=True)], dtype=float)
    at = approximate(table[np.abs(recalls - target) <= NEAR])
    given = {"reaching": facts.count(at["engine"].nunique())}
    for metric, (short, _, _, _) in MEASURED.items():
        own = at[(at["metric"] == metric) & (at["verdict"] != "not available")].set_index("engine")["excess"]
        place = own.abs().rank(ascending=False)
        for engine in engines:
            told = f"{place[engine]:.0f} of {len(own)}" if engine in own else ABSENT
            given[f"{short}_place_{fact_word(engine)}"] = told
    return given


def largest_facts(table: pd.DataFrame, shares: pd.Series) -> dict[str, str]:
    """Facts of the excess largest in size over all engines and targets, exhaustive searches left out.

    ``<measure>_largest``, with ``_engine``, ``_recall`` and ``_interval``; and ``mean_distance_off``, the farthest that
    any of the mean distances is from the exact one, in percent of it.

    Parameters
    ----------
    table : DataFrame
        Of `excess.excesses`.
    shares : Series
        Mean overlap, by engine and target.
    """
    at = approximate(table[table["verdict"] != "not available"])
    given = {}
    for metric, (short, _, factor, decimals) in MEASURED.items():
        own, name = at[at["metric"] == metric], f"{short}_largest"
        row = own.loc[own["excess"].abs().idxmax()] if len(own) else None
        given[name] = ABSENT if row is None else signed(factor * row.excess, decimals)
        given[f"{name}_interval"] = ABSENT if row is None else between(row, factor, decimals)
        given[f"{name}_engine"] = ABSENT if row is None else label(row.engine)
        given[f"{name}_recall"] = ABSENT if row is None else facts.fixed(shares[row.engine, row.target])
    off = (at.loc[at["metric"] == "mean_distance_ratio", "mean"] - 1).abs().max()
    return {**given, "mean_distance_off": facts.percent(off, 2)}


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


def connected_fact(table: pd.DataFrame) -> str:
    """Say of how many components the k-NN graphs are.

    >>> connected_fact(pd.DataFrame({"engine": ["exact", "annoy"], "components": [1, 1]}))
    'every one of these graphs is connected'
    >>> connected_fact(pd.DataFrame({"engine": ["exact", "annoy"], "components": [1, 3]}))
    'the graphs have components: exact 1, Annoy 3'
    """
    if (table["components"] == 1).all():
        return "every one of these graphs is connected"
    told = (f"{label(row.engine)} {row.components:.0f}" for row in table.itertuples())
    return f"the graphs have components: {', '.join(told)}"


def built_fact(made: int, named: int) -> str:
    """Say how many of the indexes named could be built.

    >>> built_fact(12, 12), built_fact(11, 12)
    ('All 12 indexes could be built', '11 of 12 indexes could be built')
    """
    return f"{f'All {made}' if made == named else f'{made} of {named}'} indexes could be built"


def brute_facts(table: pd.DataFrame) -> dict[str, str]:
    """Facts of `family_costs.agreement`: ``brute_same``, least share of queries with the certified set over the routes,
    and ``brute_other_order``, largest share with another order.

    >>> brute_facts(pd.DataFrame({"other_points": [0.0, 0.0], "other_order": [0.01, 0.02]}))
    {'brute_same': '100.0 %', 'brute_other_order': '2.0 %'}
    """
    same, order = 1 - table["other_points"].max(), table["other_order"].max()
    return {"brute_same": facts.percent(same), "brute_other_order": facts.percent(order)}


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
