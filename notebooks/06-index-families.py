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
# # Index families: is it HNSW, or is it approximation?
#
# `04-drift` and `05-search-effort` show what HNSW does to neighborhoods. Is that a property of HNSW, or of any index that loses as many neighbors? To tell, this notebook brings indexes of
# other kinds to *the same recall*, and asks what else is different about the lists they return:
#
# - **graphs**: HNSW in FAISS [@douze2024], hnswlib and USearch; NSG [@fu2019] and PyNNDescent [@dong2011] where they are named, as they take longest to build or to start;
# - **cells and trees**: inverted files (IVF), Annoy's random projection trees, and ScaNN [@guo2020], which look at some regions of the space and not at others; ScaNN ranks the points of its cells by codes and measures
#   the best of them again in float32;
# - **compressed vectors**: product quantization [@jegou2011] without re-ranking and eight-bit scalars, which compute distances that are not quite right;
# - and **chance**: exact lists that lost as many neighbors at random, which is what recall alone would do.
#
# An index that moves neighborhoods as chance does is described by its recall. One that moves them more, or otherwise, is not, and what it does beyond is the subject here.

# %% tags=["parameters"]
vectors = "cifar10-resnet50"  # a bundled name, or the path of an .npy / .npz file
metric = "l2"
points = 2000  # points of the base used; 0 for all
queries = 500  # points of the base that are asked, leave-one-out; 0 for all
seed = 0
threads = 2  # search threads, and indexes built at a time; each is built with one
out = ""  # folder of the run: facts, tables, cached indexes; empty to keep nothing
engines = [
    "faiss-hnsw", "faiss-ivf-pq@subquantizers=512,bits=5", "hnswlib", "faiss-hnsw-unbounded", "faiss-hnsw-sq8", "usearch",
    "faiss-ivf", "faiss-ivf@nlist=256", "annoy", "scann", "faiss-sq8", "faiss-flat",
]  # fmt: skip  # names, with build parameters after an @
compared_queries = 300  # of the points asked, those that all engines get; 0 for all
k = 100  # neighborhood size
targets = [0.90, 0.95, 0.99]  # recalls at which engines are compared
shown = 0.95  # the one of them in the figures
tuning_queries = 150  # of the queries, those on which the effort for a recall is found; 0 for all
draws = 2  # random lists a query in each null model
graph_draws = 39  # random k-NN graphs beside that of each engine
k_graph = 10  # neighbors of a point in the k-NN graph
followed = ["faiss-hnsw", "hnswlib", "faiss-ivf", "faiss-ivf-pq@subquantizers=512,bits=5"]  # in the k-NN graph
seed_engines = ["faiss-hnsw", "faiss-ivf"]  # engines built from several seeds
index_seeds = 3
also = ["cifar10-resnet18", "fashion-mnist"]  # further data, where at hand
also_engines = ["faiss-hnsw", "faiss-ivf"]  # engines asked there
also_queries = 200  # points asked there
data_dir = ""  # folder that holds data sets that are not bundled
resamples = 1000  # bootstrap resamples over queries

# %% [markdown]
# ## The setting
#
# Every query is a point of the base and is left out of its own list. Exact neighbors are known to twice the neighborhood size, since chance needs the next ones to fill the places of those it takes.
# Returned points are measured again in float64, whatever distance an index gave them, so that compressed vectors are judged by their choice of neighbors and not by their arithmetic.

# %%
import numpy as np
import pandas as pd

from neighborhood_drift import excess, facts, families, family_costs, family_facts, family_tables, knn_graph, losses
from neighborhood_drift.datasets import load_others, load_sample
from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.figures import families as draw
from neighborhood_drift.figures.style import use_style
from neighborhood_drift.kinds import label
from neighborhood_drift.metrics import overlap
from neighborhood_drift.tables import Table

use_style()
cache = f"{out}/cache" if out else None
some = min(queries, compared_queries) or max(queries, compared_queries)  # 0 is all
sample = load_sample(vectors, points=points, queries=some, seed=seed, metric=metric)
base, rows = sample.base, sample.rows
k, k_graph = min(k, (len(base) - 1) // 2), min(k_graph, (len(base) - 1) // 2)
exact = exact_neighbors(base, base[rows], k=2 * k, exclude=rows, metric=metric)
tuned = slice(None, None, max(1, len(rows) // (tuning_queries or len(rows))))
print(f"{sample.name}: {len(base):,} points in {base.shape[1]:,} dimensions, {len(rows):,} of them asked, k = {k}")

# %% tags=["nbval-ignore-output"]
made, not_made = families.build_all(engines, base, metric=metric, seed=seed, threads=threads, cache=cache)
print(f"{len(made)} of {len(engines)} indexes built")

# %% [markdown]
# Not every library can be installed everywhere, and not every index can be built over few points or for every metric. What is absent from the tables below is absent for
# the reason given here; an empty table says that nothing is.

# %% tags=["nbval-ignore-output"]
#| label: tbl-families-absent
#| tbl-cap: "Engines without an index in this run, and why."
Table(not_made.assign(engine=not_made["engine"].map(label)))

# %% [markdown]
# ## The effort for a recall
#
# Every engine has its own knob: efSearch, cells opened, trees' nodes inspected. The least value that reaches a recall is found by bisection on some of the queries; all later numbers
# come from all queries. Three kinds of cells need care. *Not reached*: a search among compressed vectors returns what their distances say is near, and no effort repairs that.
# *The lowest*: where effort follows $k$ (`04-drift`), a search for many neighbors cannot be made a poor one, so these engines are compared at the recall they have. *No knob*: an exhaustive
# search, of the vectors or of their codes.

# %%
asked = (base, rows[tuned], exact.rows(tuned), k)
settings, curve = families.find_efforts(made, *asked, targets)

# %%
#| label: tbl-families-efforts
#| tbl-cap: "Effort of each engine for each recall, by its own knob, and in brackets the recall it gave to the queries it was found on."
Table(family_tables.efforts_shown(settings))

# %% [markdown]
# An index can also return fewer than $k$ points: an inverted file whose opened cells hold no more, or a search that stopped too soon. Such slots are missing, in every measure below, and never filled with anything. The table
# lists the engines for which this happened on the way to the recalls above.

# %%
#| label: tbl-families-missing
#| tbl-cap: "Missing slots among all searches made to find the efforts: the largest share, the recall of that search, and the recall from which on none was missing. Engines that filled every slot are left out."
Table(family_tables.missing_shown(curve))

# %% [markdown]
# ## Beside chance
#
# Now the lists themselves. For each query of each engine, two null models lose *exactly as many* of its true neighbors as the engine did, but at random, and let the next true neighbors take
# their places:
#
# - **any rank alike**: which of the $k$ is lost does not depend on how near it is. This is what a recall says if nothing else is known.
# - **by rank**: the neighbor of rank $r$ is lost with the chance that this engine loses it, estimated over all queries, and those beyond rank $k$ come in by theirs. Losses still fall independently of each other,
#   of direction and of what is lost beside them.
#
# The difference of an engine to the first is its *excess*: deformation that its recall does not tell. The difference to the second is what even the ranks of its losses do not tell: that neighbors
# are lost *together*, or by ranks that differ from query to query, since one estimate of the ranks serves all queries. The barycenter tells these two apart: losses that are independent within a query leave nothing in it, whatever
# their ranks (the tests simulate this on bundled vectors), while they can leave something in mean distance and LID. Beyond rank $k$ the second null model is approximate, for what enters there is known from few lists. Intervals are over queries, and
# paired, since each query is compared with itself.

# %%
lists = families.ask(made, families.distinct(settings), base, rows, k)
nulls = {"metric": metric, "draws": draws, "seed": seed}
table = excess.measure(lists, base, rows, exact, **nulls)
shares = table.groupby(["engine", "target"], sort=False)["overlap"].mean()
alike, by_rank = (excess.excesses(table, null, seed=seed, resamples=resamples) for null in excess.NULLS)
both = pd.concat([alike.assign(null="alike"), by_rank.assign(null="by_rank")], ignore_index=True)

# %% [markdown]
# Each engine has one row in the figure, at the recall in brackets. Look first at the filled circles: where they lie off zero, recall does not describe the neighborhoods. Then at the hollow diamonds, which lie near zero where
# the ranks of the losses explain it.

# %%
#| label: fig-families-excess
#| fig-cap: "Deformation of neighborhoods beyond that of random losses, by engine (in brackets its recall): circles, beside losses at any rank alike; diamonds, beside losses with the engine's own ranks. Lines: 95 % intervals over queries, paired. Axes are linear up to the first tick on either side, then logarithmic."
#| fig-alt: "Four panels of dots with intervals, an engine a row, for mean distance, k-th distance, barycenter and LID."
draw.excess(excess.nearest(both, shown), excess.nearest(shares.reset_index(), shown).set_index("engine")["overlap"])

# %% [markdown]
# The same in numbers, at that recall and then at every one. Distances are in percent of the exact ones and the barycenter's shift in percent of the mean distance, both as differences to the null model; a minus sign says that the engine moved
# them less than chance.

# %%
#| label: tbl-families-alike
#| tbl-cap: "Excess beside losses at any rank alike, of each engine at its recall nearest to that of the figure: measured minus null model, with 95 % interval over queries."
Table(family_tables.excess_shown(excess.nearest(alike, shown), shares))

# %%
#| label: tbl-families-alike-all
#| tbl-cap: "Excess beside losses at any rank alike, at every recall: measured minus null model, with 95 % interval over queries."
Table(family_tables.excess_shown(alike, shares))

# %%
#| label: tbl-families-by-rank
#| tbl-cap: "What is left beside losses by rank, of each engine at its recall nearest to that of the figure: measured minus null model, with 95 % interval over queries."
Table(family_tables.excess_shown(excess.nearest(by_rank, shown), shares))

# %%
#| label: tbl-families-by-rank-all
#| tbl-cap: "What is left beside losses by rank, at every recall: measured minus null model, with 95 % interval over queries."
Table(family_tables.excess_shown(by_rank, shares))

# %% [markdown]
# How often does each verdict occur? *More* and *less* are intervals that leave out zero, farther from the exact neighborhood than the null model or nearer to it; *as much* are those that hold zero. An engine counts once for each recall at which its search is another one,
# so the settings of one engine are not independent; exhaustive searches of the vectors, which lose nothing, are left out.

# %%
#| label: tbl-families-verdicts
#| tbl-cap: "Verdicts over engines and recalls, beside each of the two null models; exhaustive searches of the vectors are left out."
counts = {"any rank alike": family_tables.verdict_counts(alike), "by rank": family_tables.verdict_counts(by_rank)}
Table(pd.concat(counts, names=["beside"]).reset_index("beside"))

# %% [markdown]
# ## Which neighbors are lost?
#
# The null model's losses are flat over ranks. Those of an index need not be: a point at rank $k$ is nearly as far as those just outside, and whatever guides the search away from the query costs such points first. The panels show how
# much more or less often than on average a neighbor of each rank is returned. A line that falls from left to right belongs to an engine that keeps the nearest and loses the farthest.

# %%
ranks = excess.nearest(losses.ranks_lost(lists, exact, bins=min(10, k), seed=seed, resamples=resamples), shown)

# %%
#| label: fig-families-ranks
#| fig-cap: "Share of true neighbors returned, by rank, minus the engine's mean over ranks, at the recalls of the first figure. Bands: 95 % intervals over queries. Losses at any rank alike would be flat. Panels share an axis, but that of product quantization has its own."
#| fig-alt: "Panels of lines over rank, one panel each kind of index, most of them falling."
draw.ranks(ranks)

# %% [markdown]
# ## Which queries lose them?
#
# A mean recall can be that of every query or of a few. The table compares the share of all losses that the worst tenth of the queries bears with what independent losses at the same recall would give it. It also asks whether a query that
# loses much does so because it is difficult: the rank correlation of its losses with its exact LID, and with its losses in the other engines. High values in the last column say that the data choose the victims, whatever the index.

# %%
#| label: tbl-families-queries
#| tbl-cap: "Share of the losses borne by the tenth of the queries that loses most, the 95 % range of that share under independent losses, the share of queries that lose nothing, and the rank correlation of a query's losses with its LID and, on average, with its losses in other engines."
who = excess.queries_that_lose(excess.nearest(table, shown), k, seed=seed)
Table(who.assign(engine=who["engine"].map(label)), digits=2)

# %% [markdown]
# ## The graph of neighbors
#
# Many methods use the lists of *all* points at once, as a graph. Hubs, links that are reciprocated, and parts that hang together are properties of that graph and not of single lists. Here every point
# is asked for a few neighbors at one recall, found anew for this $k$. The range behind each number is that of `graph_draws` null models with the same losses for each point, any rank alike. A further graph of the null model
# would fall outside the range of $d$ such graphs with a chance of $2/(d+1)$, or less, in each number; a number outside is to be read with that chance, and with how many numbers the table holds. Engines whose recall is still higher at their lowest effort change less for that reason.

# %%
everyone = np.arange(len(base))
truth = exact_neighbors(base, k=2 * k_graph, metric=metric)
chosen = {name: made[name] for name in followed if name in made}
graph_efforts, _ = families.find_efforts(chosen, base, rows[tuned], truth.rows(rows[tuned]), k_graph, [shown])
graph_lists = {name: found for (name, _), found in families.ask(chosen, graph_efforts, base, everyone, k_graph).items()}
chance = {
    name: knn_graph.random_graphs(truth, found, draws=graph_draws, seed=seed) for name, found in graph_lists.items()
}
graph_table = knn_graph.graph_table(truth.first(k_graph), graph_lists, chance)

# %%
#| label: tbl-families-graph
#| tbl-cap: "The k-NN graph of each engine's lists: mean overlap, skewness of the k-occurrence (hubness), share of points in no list, share of reciprocated links, weakly connected components; in brackets the range over null models of the same losses."
overlaps = {name: float(overlap(truth.first(k_graph), found).mean()) for name, found in graph_lists.items()}
Table(family_tables.graph_shown(graph_table, overlaps))

# %% [markdown]
# ## At equal work
#
# Recall compares what was found; work compares what it took. Where libraries count them, distance computations do not depend on the machine, on compiler flags or on how a library is written. A distance to
# a compressed code counts as one although it costs less than one to a vector, and an inverted file's distances to its cells' centers count too. Cells are read in sequence and links are not, and the base here is small for either: the
# counts say what was computed, and not which index to choose.

# %%
#| label: fig-families-work
#| fig-cap: "Recall against distances computed a query, for the engines that count them; dotted, an exhaustive search."
#| fig-alt: "Rising lines of recall on a logit axis against distances on a logarithmic axis."
draw.work(curve, len(base))

# %% [markdown]
# The table reads the same off at the work of FAISS's HNSW: the distances that it computes for each of the recalls are the budget, and every engine that counts gets as many. Its recall, like that of the figure, is
# that of the queries on which efforts are found.

# %%
work = family_costs.equal_work(made, curve, *asked, targets, like="faiss-hnsw")

# %%
#| label: tbl-families-work
#| tbl-cap: "Recall at equal numbers of distances computed a query, those that FAISS's HNSW computes for each recall, over the queries that efforts are found on; a dash: the lowest effort computes more."
Table(family_tables.work_shown(work))

# %% [markdown]
# ## Time and memory
#
# The usual picture: queries a second against recall, where the queries that efforts are found on are asked in one batch, by `threads` threads where a library has them. **Times of different libraries are not comparable here as algorithms are**: hnswlib and Annoy are compiled
# without processor-specific instructions, the others come as wheels that use them, and Annoy and PyNNDescent are called through Python once a query or once a batch. The figure says what a user of these packages gets on one machine; a line says how
# one library trades recall for time.

# %% tags=["nbval-ignore-output"]
#| label: fig-families-speed
#| fig-cap: "Recall against queries a second on this machine, all searches made on the way to the recalls above, each one batch of queries; exact results stand at the top. Libraries are compiled differently: compare along a line."
#| fig-alt: "Lines of recall on a logit axis against queries a second on a logarithmic axis, an engine a line."
draw.speed(curve)

# %% tags=["nbval-ignore-output"]
#| label: tbl-families-cost
#| tbl-cap: "What each index costs: version of the library, build parameters, seconds of the build by one thread (of the first build, where it was cached), size as the library serializes it, and that over the size of the vectors in float32. Libraries are compiled differently: seconds compare within a library only."
cost = family_costs.costs(made)
cost = cost.rename(columns={"mib": "MiB", "times_vectors": "times the vectors"})
Table(cost.assign(engine=cost["engine"].map(label)), digits={"seconds": 1, "MiB": 1, "times the vectors": 2})

# %% [markdown]
# ## Brute force, three ways
#
# "Exact" is a word for an algorithm, and arithmetic is another matter. For the cosine distance three routes are common: NumPy's product of normalized vectors, FAISS's flat index for it, and FAISS's inner product after its
# own `normalize_L2`. All three are exhaustive. Where their lists differ from the certified ones, two distances agree to float32's rounding, or the points are not the nearest. A vector of zeros
# has no cosine distance; where there is one, the table is empty and the reason stands here.

# %%
agreement, why_not = family_costs.brute_force(base, rows, k, threads=threads)
print(why_not or f"{len(agreement)} routes measured")

# %%
#| label: tbl-families-brute
#| tbl-cap: "Brute force under the cosine distance: share of queries whose list holds another point than the certified one, or the same or other points in another order."
Table(agreement.assign(engine=agreement["engine"].map(label)), digits=4)

# %% [markdown]
# ## Would another build say the same?
#
# Intervals over queries hold for one index. Some engines are built again from other seeds, brought to the same recall, and the excess is measured anew; the interval is Student's $t$ over builds.

# %%
by_seed = []
for each in range(index_seeds):
    again, _ = families.build_all(seed_engines, base, metric=metric, seed=seed + each, threads=threads, cache=cache)
    tuned_again, _ = families.find_efforts(again, *asked, [shown])
    seeded = excess.measure(families.ask(again, tuned_again, base, rows, k), base, rows, exact, **nulls)
    by_seed.append(excess.excesses(seeded, seed=seed, resamples=10).assign(index_seed=seed + each))
over_builds = family_tables.over_builds(pd.concat(by_seed))

# %%
#| label: tbl-families-seeds
#| tbl-cap: "Excess beside losses at any rank alike, over builds from several seeds: mean and 95 % t interval over builds."
Table(over_builds)

# %% [markdown]
# ## On other data
#
# The same question asked of other vectors, for a few engines at one recall. What matters is whether signs and order of the columns repeat; sizes depend on the data. Data that are not at hand leave no row, and neither do the
# vectors of this run; over few points, the neighborhoods are smaller.

# %%
others, size = [], {"points": points, "queries": also_queries}
for other in load_others(also, data_dir=data_dir, **size, seed=seed, metric=metric, besides=sample):
    k_there = min(k, (len(other.base) - 1) // 2)
    there = exact_neighbors(other.base, other.base[other.rows], k=2 * k_there, exclude=other.rows, metric=metric)
    built, _ = families.build_all(also_engines, other.base, metric=metric, seed=seed, threads=threads, cache=cache)
    found, _ = families.find_efforts(built, other.base, other.rows[tuned], there.rows(tuned), k_there, [shown])
    given = families.ask(built, found, other.base, other.rows, k_there)
    others.append((other.name, excess.measure(given, other.base, other.rows, there, **nulls)))
elsewhere = family_tables.elsewhere(others, seed=seed, resamples=resamples)

# %%
#| label: tbl-families-elsewhere
#| tbl-cap: "Excess on other data beside both null models, with 95 % interval over queries."
Table(elsewhere)

# %% [markdown]
# ## The question, counted
#
# Is it HNSW, or approximation? The table sets the verdict on FAISS's HNSW at the recall of the figures beside those of the other engines, each at its recall nearest to it. If it were HNSW, few others would share the verdict of the
# first null model. If the ranks of the losses explain it, the verdict of the second is *as much*.

# %%
#| label: tbl-families-answer
#| tbl-cap: "Verdict on FAISS's HNSW beside each of the two null models, and how many other engines share it; exhaustive searches of the vectors are left out."
Table(family_tables.answer_shown(excess.nearest(alike, shown), excess.nearest(by_rank, shown)))

# %% [markdown]
# ## Facts for the paper

# %% tags=["nbval-ignore-output"]
setting = {
    "n": len(base),
    "queries": len(rows),
    "k": k,
    "draws": graph_draws,
    "engines": len(made),
    "shown": f"{shown:g}",
}
asking = {"threads": threads, "batch": len(rows[tuned]), "lid_exact": facts.fixed(table["lid_exact"].mean(), 1)}
recalls = family_facts.recall_facts(shares, excess.nearest(alike, shown))
built = family_facts.built_fact(len(made), len(made) + len(not_made))
facts.record("families", out=out, **setting, **asking, **recalls, built=built, builds=index_seeds)

# %% tags=["nbval-ignore-output"]
beside = excess.nearest(alike, shown)
facts.record(
    "families", out=out, **family_facts.excess_facts(beside), **family_facts.verdict_facts(alike),
    **family_facts.spread_facts(beside, shares, shown), **family_facts.largest_facts(alike, shares),
)  # fmt: skip

# %% tags=["nbval-ignore-output"]
left = excess.nearest(by_rank, shown)
ranked = {
    **family_facts.excess_facts(left), **family_facts.verdict_facts(by_rank),
    **family_facts.spread_facts(left, shares, shown), **family_facts.largest_facts(by_rank, shares),
    **family_facts.explained_facts(alike, by_rank),
}  # fmt: skip
facts.record("families", out=out, **{f"ranked_{name}": value for name, value in ranked.items()})

# %% tags=["nbval-ignore-output"]
facts.record(
    "families", out=out, **family_facts.rank_facts(ranks), **family_facts.query_facts(who), **family_facts.graph_facts(graph_table),
    **family_facts.work_facts(work), **family_facts.brute_facts(agreement), connected=family_facts.connected_fact(graph_table),
    **family_facts.elsewhere_facts(others, alike, shown, seed=seed, resamples=resamples),
)  # fmt: skip

# %% [markdown]
# ## Answer
#
# @tbl-families-answer counts it for the data of this run. Where most other engines share the verdict on HNSW beside the first null model, it is approximation, and HNSW is one case of it; where few do, it is the graph. How to read the rest is this. Where an engine's circles lie
# off zero, its recall does not describe its neighborhoods, and the signs tell whether distances, barycenter or LID are moved more than random losses would move them. Where its diamonds are back at zero, the reason is *which ranks* it loses. A search that works its way outward from
# the query, through links or from cell to cell, can be expected to miss a far neighbor sooner than a near one, and the panels over rank show which engines do; random losses have no such preference. Losing the far ones leaves the mean distance nearer to the exact one than recall
# suggests and moves the $k$-th distance and LID; @tbl-families-verdicts says in how many settings that is what was measured.
#
# What ranks do not explain comes from neighbors lost together, or by ranks that differ from query to query. In the barycenter it is the former: a loss on one side moves a mean, and scattered losses cancel. So an engine whose barycenter lies off zero beside losses by rank loses
# neighbors together; how far it lies off depends on the kind of index and on its settings, such as the number of cells. No direction is measured here. Where compressed distances confuse the last ranks with those just outside instead of losing them, their line over rank says so. Recall tells none of this.
