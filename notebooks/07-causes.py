# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Causes: why is a neighbor lost, and which ones are?
#
# `04-drift` says how many true neighbors a search does not return, `05-search-effort` how many more it would return for more work. Neither says what became of a single lost neighbor. An HNSW search is
# a walk on a graph, and the graph can be read out of the index; so the walk can be repeated step by step, and each loss traced to the point where the walk left it out. This notebook asks:
#
# 1. What keeps a search from a true neighbor: is there no path to it, or did the search stop before it took the path?
# 2. Which neighbors are lost, and which queries lose them: can it be told in advance?
# 3. Are they the same when the graph is built again? And what must an interval for a mean overlap therefore resample?
# 4. What do deletions do to a graph?

# %% tags=["parameters"]
vectors = "cifar10-resnet50"  # a bundled name, or the path of an .npy / .npz file
metric = "l2"
points = 2000  # points of the base used; 0 for all
queries = 500  # points of the base that are asked, leave-one-out; 0 for all
seed = 0
threads = 2  # search threads; graphs are built with one
out = ""  # folder of the run: facts, tables, cached indexes; empty to keep nothing
k = 50  # neighborhood size
ef = 25  # efSearch, below k as in the earlier studies
M = 32
ef_construction = 200
index_seeds = 3  # graphs an engine, each from its own seed
cause_queries = 500  # at most so many of the queries are asked here, where each is traced; 0 for all
part_points = 600  # points of the base used where many graphs are built
part_k = 10  # neighborhood size there, and efSearch
orders = 4  # insertion orders of the variance budget
level_seeds = 2  # level seeds for each order
repeats = 2  # builds for each seed
build_threads = 4  # threads of those builds
deleted_shares = [0.0, 0.1, 0.25, 0.5]  # of the points, deleted and inserted again
also = ["cifar10-resnet18", "fashion-mnist"]  # further data, where at hand
data_dir = ""  # folder that holds data sets that are not bundled
other_queries = 250  # queries asked of further data; 0 for all

# %% [markdown]
# ## The setting
#
# One setting serves the whole notebook: efSearch below $k$, as in the earlier studies, so that the search whose effort stays at efSearch and those whose effort follows $k$ differ. Queries are points of the base, each left
# out of its own answer. The exact neighbors are those of *every* point, since some traits of a point (how often it is a neighbor) need all lists. The graphs are those of `04-drift`: FAISS's from
# seeds, hnswlib's from seeds and insertion orders, each built by one thread.

# %%
import numpy as np

from neighborhood_drift import cause_facts, causes, deletion, facts, intervals, odds, variance, why
from neighborhood_drift.datasets import absent, load_others, load_sample
from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.figures import causes as draw
from neighborhood_drift.figures.style import use_style
from neighborhood_drift.indexes import build_indexes
from neighborhood_drift.lid import lid
from neighborhood_drift.metrics import overlap
from neighborhood_drift.summaries import label
from neighborhood_drift.tables import Table

use_style()
cache = f"{out}/cache" if out else None
asked = min(filter(None, (queries, cause_queries)), default=0)
sample = load_sample(vectors, points=points, queries=asked, seed=seed, metric=metric)
base, rows = sample.base, sample.rows
k = min(k, len(base) - 2)
exact_all = exact_neighbors(base, k=k, metric=metric)
exact = exact_all.rows(rows)
print(f"{sample.name}: {len(base):,} points in {base.shape[1]:,} dimensions, {len(rows):,} asked for {k} neighbors")

# %%
hnsw = {"M": M, "ef_construction": ef_construction}
specs = [{"name": "faiss-hnsw", "seed": seed + each, **hnsw} for each in range(index_seeds)]
specs += [{"name": "hnswlib", "seed": seed + each, "insertion_seed": each, **hnsw} for each in range(index_seeds)]
graphs = build_indexes(specs, base, metric=metric, cache=cache, workers=threads)
faiss_index, hnswlib_index = graphs[0], graphs[index_seeds]
searches = [faiss_index, faiss_index.unbounded(), hnswlib_index]

# %% [markdown]
# ## The search, written out
#
# The traced search takes the graph out of the index, follows its links in Python, and writes down which points it visits (computes the distance of) and expands (reads the links of). It is one procedure
# for all three searches: expand the nearest visited point, until as many visited points as the *effort* are nearer than it. FAISS's default puts efSearch in the place of the effort, the two others
# $\max(\text{efSearch}, k)$; nothing else differs. (In a leave-one-out search the library is asked for $k + 1$.)
#
# A trace explains a library only if it *is* the library's search. So each traced answer is compared with the library's own, and the distances it computed with the number FAISS counts. The libraries sum distances in
# float32, in an order of their own, the trace in float64: where two points' distances agree to float32 rounding just where the search stops, the answer hangs on the last bit. Such queries are called undecided, are found from the distances alone, and are counted.
# Look at the column *same ids*: on all other queries it must be 100 %.

# %% tags=["nbval-ignore-output"]
#| label: tbl-traced
#| tbl-cap: "The traced search against the libraries' own: effort, share of the queries with the same ids (of those that float32 rounding does not decide), undecided queries and the share with the same ids among them; distances a query, traced and as FAISS counts them (hnswlib's Python module does not tell); points of level 0 visited and expanded, a query."
traced = why.traced(searches, base, rows, exact, ef, metric=metric, seed=seed)
Table(cause_facts.check_table(traced.check), digits=1)

# %% [markdown]
# ## What keeps a search from a true neighbor
#
# A true neighbor that is visited is returned, since fewer than $k$ points are nearer; only where another point is just as far, up to rounding, can that one stand in its place (a class of its own: *visited, a tie*). So a lost neighbor was not visited,
# and there are three ways for that, of which one holds for each:
#
# - **cut off**: no path of level-0 links leads to it from the point where this search entered. No effort finds it.
# - **in-neighbors too far**: there is a path, but every point that links to it lies farther from the query than the distance at which the search stopped. The search would have had to go on.
# - **in-neighbors missed**: a point that links to it lies near enough to be expanded, and was itself not visited. The loss is inherited.
#
# How much more effort would have found is measured too: the same library searches with twice the effort. Look left at which color fills the bars. Look right at how far out the best in-neighbor stands, as a rank among all points by distance
# to the query: a curve that is high at the line (1) says that most losses would have needed a little more effort only; what lies far to the right has no link from anywhere near.

# %%
#| label: fig-cause-classes
#| fig-cap: "Left: causes of lost neighbors for each search. Right: rank (by distance to the query, among all points) of the nearest point that links to a lost neighbor, in units of the search's effort, as a cumulative share of the lost neighbors; the axis ends at 4."
#| fig-alt: "Left, stacked bars of three causes for three searches. Right, cumulative curves of the best in-neighbor's rank over effort."
draw.classes(traced.shares, traced.missed)

# %% tags=["nbval-ignore-output"]
#| label: tbl-cause-classes
#| tbl-cap: "Lost neighbors by cause: number, share of all lost with 95 % interval over queries, and the share of them that the library finds at twice the effort (a dash where there are none)."
columns = {"engine": "search", "found_at_twice": "found at twice the effort"}
Table(
    traced.shares.assign(engine=traced.shares["engine"].map(label))
    .rename(columns=columns)
    .iloc[:, [5, 0, 1, 2, 3, 4, 6]]
)

# %% [markdown]
# ## Which neighbors are lost, and by whom
#
# The trace says what happened; which neighbors it happens to is a question of statistics. All pairs of a query and a true neighbor are sorted by a trait and cut into groups of about equally many pairs (equal values stay
# together). Traits of the neighbor: its in-degree at level 0, its rank, its k-occurrence (how many points have it among their $k$ nearest: *hubs* many, *anti-hubs* few), its LID, how frequent its label is in the base and
# whether it is the query's, and when it was inserted. Of the query: its LID. The graph is hnswlib's, where the order of insertion is the order of the base (FAISS inserts in an order of its own).
#
# All panels share one vertical axis: look for lines that leave the floor at one end. A flat line is a trait that does not matter.

# %%
found = hnswlib_index.search(base[rows], k, ef=ef, exclude_self=rows)
pairs = why.trait_pairs(found, exact_all, rows, hnswlib_index.graph().in_degree(), sample.labels)
rates = causes.rates(pairs, why.told(pairs), seed=seed)
drift_and_lid = intervals.rank_correlation(1 - overlap(exact, found), lid(exact), seed=seed)

# %%
#| label: fig-cause-rates
#| fig-cap: "Share of true neighbors lost (hnswlib), in ten groups of pairs by each trait; the ends of each horizontal axis show the trait's least and largest value. Bands: 95 % intervals over queries."
#| fig-alt: "Small panels, one a trait, with the share of lost neighbors from the lowest to the highest group."
draw.rates(rates)

# %% tags=["nbval-ignore-output"]
#| label: tbl-cause-rates
#| tbl-cap: "Share of true neighbors lost in the group with the lowest and in that with the highest values of each trait, with 95 % intervals over queries (percent), and the share of all pairs that each group holds: a tenth, but for equal values, which stay together."
Table(cause_facts.ends(rates))

# %% [markdown]
# Traits go together: an anti-hub has few links to it, a query of high LID has neighbors of high LID. A logistic model takes all of them at once and is judged on queries that it has not seen: the
# area under its ROC curve (AUC) is the chance that it ranks a lost neighbor above a kept one, 0.5 by guessing. Look left whether *all together* stands clear of the best single trait; look right for the traits that keep a
# coefficient when the others are held fixed. It is an association: none of the traits was set by us, and the trace, not the model, says what the search did.

# %%
model = odds.fit(pairs, why.told(pairs), logs=why.LOGS, seed=seed)
print(f"queries to fit on: {model.train_queries:,}, held out: {model.test_queries:,}")
print(f"pairs left out because a trait of theirs is not known: {facts.percent(model.left_out)}")

# %%
#| label: fig-cause-odds
#| fig-cap: "Left: chance (AUC) to rank a lost neighbor above a kept one, for each trait alone and for all together, on held-out queries, with 95 % intervals over those. Right: coefficients of the model, log odds of being lost for one standard deviation; positive: lost more often. Counts and ranks enter as logarithms."
#| fig-alt: "Left, points with intervals for each trait and for all. Right, bars of coefficients to both sides of zero."
draw.odds(odds.with_all(model))

# %% tags=["nbval-ignore-output"]
print(f"lost neighbors in the fit: {model.train_lost:,}, among the held out: {model.test_lost:,}")
print("rank correlation of a query's drift (1 - overlap) with its LID:", facts.fixed(drift_and_lid[0], 2))
print("95 % interval over queries:", facts.interval(*drift_and_lid[1:], 2))

# %% [markdown]
# ## Do the same queries always suffer?
#
# If loss were the graph's accident, another graph would fail other queries. The intraclass correlation of single queries' overlap over repeated graphs (ICC(1,1), @shrout1979) is 0 in that case and 1 if each query
# has its own overlap whatever the graph. What is repeated: FAISS's graph from other seeds (levels and order of insertion), searched by both of its searches; hnswlib's from other seeds and orders; and, on a part of the points with a smaller $k$, one graph of each insertion order of the budget below
# (graphs of one order are more alike, and are no independent repetitions).

# %%
part = base[: min(part_points, len(base))]
part_rows = np.arange(len(part))[: asked or None]
part_exact = exact_neighbors(part, part[part_rows], k=min(part_k, len(part) - 2), exclude=part_rows, metric=metric)
how = {"k": part_exact.k, "ef": part_k, "exclude_self": part_rows}
again = variance.repeated_builds(
    lambda index: overlap(part_exact, index.search(part[part_rows], **how)),
    part, orders=orders, seeds=level_seeds, builds=repeats, threads=build_threads, metric=metric, seed=seed, **hnsw,
)  # fmt: skip
budget = variance.budget(again)

# %%
built = {"FAISS, default: seeds": graphs[:index_seeds]}
built["FAISS, unbounded: seeds"] = [graph.unbounded() for graph in graphs[:index_seeds]]
built["hnswlib: seeds and orders"] = graphs[index_seeds:]
overlaps = {
    name: np.column_stack([overlap(exact, one.search(base[rows], k, ef=ef, exclude_self=rows)) for one in some])
    for name, some in built.items()
}
first = again[(again["seed"] == 0) & (again["build"] == 0)]
overlaps["hnswlib, part: orders"] = first.pivot_table("value", "query", "order").to_numpy()
agreement = why.agreement(overlaps, seed=seed)

# %% [markdown]
# Look at where the intervals lie between 0 and 1. Whatever is above 0 is a property of the query (and its neighborhood) that no other graph mends.

# %%
#| label: fig-cause-agreement
#| fig-cap: "Agreement of repeated graphs on which queries lose neighbors: intraclass correlation of a query's overlap, with 95 % intervals over queries. The last row: a part of the points, one graph of each insertion order."
#| fig-alt: "Points with intervals between 0 and 1, one a kind of repetition."
draw.agreement(agreement)

# %% tags=["nbval-ignore-output"]
#| label: tbl-cause-agreement
#| tbl-cap: "Intraclass correlation of single queries' overlap over repeated graphs, with 95 % interval over queries."
Table(agreement, digits=2)

# %% [markdown]
# ## A budget of variance
#
# A mean overlap is a number of one draw of queries and one graph. Which of the two would move it more if it were drawn again? Graphs of a part of the points are built in a nested design: insertion orders, level seeds within each order, and
# builds by several threads within each seed, where the processor decides which point enters first. All graphs are asked the same queries, and what a query has on one graph alone (query x graph) moves that graph's mean too. An analysis of variance with
# queries crossed with the nested graphs keeps the two apart [@searle1992]: *query sample* is what a query has on every graph, *query x graph* what it has on one, and the other three are what a graph does to all queries alike, that is, what would be left with
# queries without number. The first two are divided by the number of queries and shrink with more of them; together they are what a bootstrap over the queries of one graph sees. The others shrink only with more graphs. A component is the difference of two
# mean squares, and one below 0 is set to 0. Look at which of the five is largest, and at how wide the intervals are: few orders tell little about the variance between orders.

# %%
#| label: fig-cause-budget
#| fig-cap: "Standard deviation of mean overlap when one thing is drawn again: what the queries have on every graph, what they have on one graph alone, the insertion order, the level seed, or a build by several threads. Intervals: 95 %, wide where few graphs were drawn."
#| fig-alt: "Five points with intervals: query sample, query x graph, insertion order, level seed, build threads."
draw.budget(budget)

# %% tags=["nbval-ignore-output"]
#| label: tbl-cause-budget
#| tbl-cap: "The budget in numbers: standard deviation of mean overlap with 95 % interval, in percentage points, share of the summed variance, and degrees of freedom. Components estimated below 0 are set to 0."
shown = budget.assign(**{name: 100 * budget[name] for name in ("deviation", "low", "high")})
Table(shown[["source", "deviation", "low", "high", "share", "degrees"]], digits=2)

# %% [markdown]
# What to draw again follows from the shares: the queries, if their two parts make a tenth of the variance or more together, and each property of a graph that makes a tenth by itself.

# %% tags=["nbval-ignore-output"]
resample = cause_facts.variance_facts(budget)
print(f"to resample: {resample['to_resample']}")
print(f"share of the variance that an interval over the queries of one graph covers: {resample['share_queries']}")

# %% [markdown]
# ## Deletions
#
# An index that lives has points deleted and added. hnswlib marks a point as deleted and, if it is asked to (`allow_replace_deleted=True`, not its default), gives its slot to one that comes later, repairing the links around it; FAISS's HNSW cannot remove points at all (`remove_ids` raises). Here a share of the points
# is deleted, and *the same points* are inserted again, so that the data are what they were and every difference belongs to the graph. Beside it stands an index built anew from the same points in the order in which they last came in.
# Look at the gap between the two lines on the left, and at what no search can reach on the right; the table adds the links a point has.

# %%
churn = deletion.compare(
    part, part_rows, part_exact, deleted_shares, rounds=[1], ef=part_k, metric=metric, seed=seed, **hnsw
)  # fmt: skip

# %%
#| label: fig-cause-deletion
#| fig-cap: "hnswlib after a share of the points was deleted and inserted again, beside an index built anew: overlap (band: 95 % interval of the paired difference over queries) and points that no search can reach."
#| fig-alt: "Two panels against the share of points: overlap, and number of unreachable points, after deletion and rebuilt."
draw.deletion(churn)

# %% tags=["nbval-ignore-output"]
#| label: tbl-cause-deletion
#| tbl-cap: "After deletion and re-insertion, and after a rebuild: unreachable points, mean links a point at level 0, overlap, and the paired difference of overlap with 95 % interval over queries."
Table(cause_facts.deletion_table(churn))

# %% [markdown]
# ## On other data
#
# The same measures on the further data sets that are at hand: `cifar10-resnet18` is bundled, the same images through a smaller network; `fashion-mnist` is pixels, from files that `--data-dir` names. Look at whether one cause
# prevails everywhere, whether loss falls from the lowest to the highest in-degrees, and whether the model's AUC and the correlation with LID keep their sides of 0.5 and 0.

# %%
others = load_others(
    also, data_dir=data_dir, points=points, queries=other_queries, seed=seed, metric=metric, besides=sample
)
elsewhere = why.on_other_data(others, k, ef, metric=metric, seed=seed, cache=cache, **hnsw)
print(f"not at hand: {', '.join(absent(also, data_dir)) or 'none'}")

# %% tags=["nbval-ignore-output"]
#| label: tbl-cause-others
#| tbl-cap: "Other data, hnswlib: share of neighbors lost, causes (shares of the lost), share of the lost that twice the effort finds, share lost in the lowest and the highest group by in-degree, AUC of all traits together and rank correlation of a query's drift with its LID, both with 95 % intervals."
Table(cause_facts.other_table(elsewhere))

# %% [markdown]
# ## Facts for the paper

# %% tags=["nbval-ignore-output"]
facts.record(
    "causes", out=out, n=len(base), queries=len(rows), k=k, ef=ef, lost=facts.percent(pairs["lost"].mean(), 2),
    lid_correlation=facts.fixed(drift_and_lid[0], 2), lid_interval=facts.interval(*drift_and_lid[1:], 2),
    **cause_facts.trace_facts(traced), **cause_facts.trait_facts(rates, model), **cause_facts.agreement_facts(agreement),
)  # fmt: skip

# %% tags=["nbval-ignore-output"]
facts.record(
    "variance", out=out, n=len(part), queries=len(part_rows), k=part_exact.k, graphs=orders * level_seeds * repeats, orders=orders, threads=build_threads,
    ef=part_k, M=hnsw["M"], ef_construction=hnsw["ef_construction"],
    **resample,
)  # fmt: skip

# %% tags=["nbval-ignore-output"]
facts.record("deletion", out=out, **cause_facts.deletion_facts(churn))
facts.record("causes", out=out, **cause_facts.other_facts(elsewhere))

# %% [markdown]
# ## Answer
#
# **What keeps a search from a neighbor** is told by the trace, which is the library's own search on every query that the last bit of float32 does not decide. A neighbor is lost because the search stopped before it expanded a point that links to it, or because
# that point was lost itself, or because no path leads there; the table of causes says how often each, and what twice the effort finds. Where the first prevails, loss is a matter of effort, and where the effort follows $k$, of the few
# neighbors that nothing near the query links to.
#
# **Which ones** can be told in part: the figures show how far in-degree, rank, k-occurrence and LID go with loss, and the model's AUC how well they tell it together. Low in-degree is the trait that the trace makes
# a cause: a point with few in-neighbors has few chances that one of them is expanded. The others are associations.
#
# **Whether the same queries suffer** is the intraclass correlation; where it is above zero, hard queries stay hard on every graph. The budget says what an interval must resample: the queries, whose
# bootstrap on one graph covers the interaction too, and the graphs where what they do to all queries alike is not small beside that. With more queries only the graphs' part remains.
#
# **Deletions** are not undone by inserting the same points again: compare the two lines, and rebuild where the difference matters.
