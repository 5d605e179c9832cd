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
# # Drift: how far do approximate neighbors stand from the exact ones as k grows?
#
# An approximate index returns most of a query's true neighbors, but not all of them. Does it lose more as more are asked for?
# Two earlier studies of image embeddings say yes: they report that beyond $k = 50$ to $90$ the approximate neighborhood drifts away
# from the exact one [@cooper2025], in the end abruptly [@cooper2026]. Both used one library, FAISS, at a fixed search effort. This notebook
# repeats the first study's setting ($M = 32$, efConstruction $= 200$, efSearch $= 50$, $k$ to 250), and puts two other searches beside it:
#
# - **FAISS, default.** Effort stays: the search stops once efSearch known points are nearer than the next one it would
#   expand. It returns the nearest $k$ of what it has seen, however large $k$ is.
# - **FAISS, unbounded queue.** The same library and *the same graph*, searched with `bounded_queue=False`. Effort follows $k$: the search stops
#   when $\max(\text{efSearch}, k)$ known points are nearer than the next one.
# - **hnswlib.** Another library's graph. Effort follows $k$ here too: the list of results holds $\max(\text{ef}, k)$.
#
# All three are the search of @malkov2020 (Algorithm 2), which keeps a list of ef results and does not say what to do for $k >$ ef. So "$k$ larger than
# efSearch" names two different things, and the first two searches differ in the number they put in the place of ef, and in nothing else. This is
# measured below before anything is built on it.

# %% tags=["parameters"]
vectors = "cifar10-resnet50"  # a bundled name, or the path of an .npy / .npz file
metric = "l2"
points = 2000  # points of the base used; 0 for all
queries = 500  # points of the base that are asked, leave-one-out; 0 for all
seed = 0
threads = 2  # search threads; graphs are built with one
out = ""  # folder of the run: facts, tables, cached indexes; empty to keep nothing
ks = [10, 25, 50, 75, 100, 150, 200, 250]  # neighborhood sizes
ks_growing = [10, 25, 50, 75, 100, 150, 200, 250]  # those asked of the two searches whose work grows with k; among ks
ks_shown = [50, 100, 250]  # those in the tables; all of them among ks
M = 32
ef_construction = 200
ef = 50  # efSearch, whatever k is
index_seeds = 3  # graphs an engine, each from its own seed
seed_queries = 250  # queries asked of the further graphs; 0 for all
seed_ks = [50, 100, 250]  # neighborhood sizes asked of every graph
resamples = 1000  # bootstrap resamples over queries
also = ["cifar10-resnet18", "fashion-mnist"]  # further data, where at hand
data_dir = ""  # folder that holds data sets that are not bundled
other_queries = 250  # queries asked of each further data set; 0 for all

# %% [markdown]
# ## The setting
#
# Every query is a point of the base and is never its own neighbor (leave-one-out): the search asks for one neighbor more and
# the query is dropped *by its id*. Whether a search found the query itself is counted, since a point that cannot be found
# is lost for every other query too. The exact neighbors are those of `02-exact-neighbors`: ids and order proven, distances
# in float64.

# %%
import numpy as np
import pandas as pd

from neighborhood_drift import earlier, facts, intervals, law, others, summaries
from neighborhood_drift.datasets import absent, load_dataset, load_others, load_sample
from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.figures import drift as draw
from neighborhood_drift.figures import earlier as draw_earlier
from neighborhood_drift.figures.style import use_style
from neighborhood_drift.indexes import build_indexes
from neighborhood_drift.sweep import sweep
from neighborhood_drift.tables import Table

use_style()
cache = f"{out}/cache" if out else None
sample = load_sample(vectors, points=points, queries=queries, seed=seed, metric=metric)
base, rows = sample.base, sample.rows
cited = ks_shown  # what the paper cites, measured or not: few points have fewer neighbors
ks, ks_growing, ks_shown, seed_ks = (
    [k for k in some if k < len(base) - 1] for some in (ks, ks_growing, ks_shown, seed_ks)
)
exact = exact_neighbors(base, base[rows], k=max(ks), exclude=rows, metric=metric)
print(
    f"{sample.name}: {len(base):,} points in {base.shape[1]:,} dimensions, {len(rows):,} of them asked, k up to {max(ks)}"
)

# %% [markdown]
# ## Three searches on two graphs
#
# One graph is FAISS's, searched by two rules; the other is hnswlib's. Each is built by a single thread from a recorded seed, so
# that it can be built again. A sweep then searches anew for every $k$ (the first $k$ results of a search for more are not a
# search for $k$), and measures every returned point again in float64, so that engines are compared by their neighbors and not by
# their arithmetic.

# %%
hnsw = {"M": M, "ef_construction": ef_construction}
specs = [{"name": "faiss-hnsw", "seed": seed + each, **hnsw} for each in range(index_seeds)]
specs += [{"name": "hnswlib", "seed": seed + each, "insertion_seed": each, **hnsw} for each in range(index_seeds)]
graphs = build_indexes(specs, base, metric=metric, cache=cache, workers=threads)
graphs += [graph.unbounded() for graph in graphs if graph.engine == "faiss-hnsw"]
for graph in graphs:
    graph.threads = threads
first = {graph.engine: graph for graph in graphs if graph.seed == seed}

# %%
asked = {engine: ks if engine == "faiss-hnsw" else ks_growing for engine in first}
table = pd.concat([sweep(first[engine], base, rows, asked[engine], ef, exact, cache=cache) for engine in first])
summary = intervals.summarize(table, seed=seed, resamples=resamples, by=("engine", "k"))

# %% [markdown]
# Are the two FAISS searches one search as long as no more than efSearch points are asked for? Leave-one-out asks for one more than $k$, so the last such $k$
# is efSearch $- 1$. If they are, all queries get the same list from both. A second check goes further: the first efSearch $- 1$ neighbors of a default search for the *largest* $k$ should
# be that list too.

# %%
bounded, unbounded = first["faiss-hnsw"], first["faiss-hnsw-unbounded"]
deepest = bounded.search(base[rows], max(ks), ef=ef, exclude_self=rows)
inside = unbounded.search(base[rows], ef - 1, ef=ef, exclude_self=rows).ids
same = np.mean((bounded.search(base[rows], ef - 1, ef=ef, exclude_self=rows).ids == inside).all(axis=1))
same_cut = np.mean((deepest.first(ef - 1).ids == inside).all(axis=1))
print(
    f"queries with the same list from both at k = {ef - 1}: {facts.percent(same)}, cut from k = {max(ks)}: {facts.percent(same_cut)}"
)

# %% [markdown]
# The further graphs, one for each seed, show what another build would change. A seed of FAISS draws the levels and with them the order of insertion; hnswlib's draws levels
# alone and leaves level 0 as it is (`03-hnsw-index`), so there the order of insertion is drawn too. These graphs are asked fewer queries at fewer $k$; the mean over
# queries of each graph is one observation, and the interval over graphs is Student's $t$.

# %%
few = slice(None, seed_queries or None)
seeds_table = pd.concat([sweep(graph, base, rows[few], seed_ks, ef, exact.rows(few), cache=cache) for graph in graphs])
seeds = summaries.over_seeds(seeds_table, by=("engine", "k"))

# %% [markdown]
# ## Overlap against k
#
# The line of each engine is its mean overlap, the band the 95 % interval over queries, the whiskers the 95 % interval over index seeds. Look at the two
# searches of the one FAISS graph: left of the dotted line ($k <$ efSearch) they are one search; right of it, only the effort separates them.

# %%
#| label: fig-overlap
#| fig-cap: "Mean overlap with the exact neighbors against k, at one requested efSearch. Bands: 95 % intervals over queries; whiskers: over index seeds, on fewer queries. The two FAISS curves search the same graph; left of the dotted line they are the same search."
#| fig-alt: "Line chart of overlap against neighborhood size for FAISS default, FAISS with unbounded queue and hnswlib."
draw.overlap(summary, seeds, ef=ef)

# %% [markdown]
# The same in numbers. Id-overlap and tie-aware recall stand side by side: where they agree, ties play no part. Missing is the share of the $k$
# slots that the search left empty.

# %%
#| label: tbl-overlap
#| tbl-cap: "Overlap at three neighborhood sizes: mean with 95 % interval over queries, the mean over index seeds with its own interval, tie-aware recall, and the share of missing slots. Seeds are asked fewer queries, so the two means may differ by more than either interval."
Table(summaries.beside(summary, seeds, "overlap", ks_shown, also=("tie_aware_recall", "missing_share")), digits=4)

# %% [markdown]
# A mean hides its queries. The next figure shows the share of queries at or below each overlap at the largest $k$: a curve that rises far left of 100 %
# belongs to an engine that fails some queries badly while serving most of them well.

# %%
#| label: fig-queries
#| fig-cap: "Cumulative share of queries against their overlap, at the largest k, for each engine."
#| fig-alt: "Cumulative distribution of the overlap of single queries for three engines."
draw.spread(table, max(ks))

# %% [markdown]
# ## Geometry: distances, barycenter, dimension
#
# A lost neighbor is replaced by a farther one, or by none. Four measures say how much that moves the neighborhood. The first two panels divide distances by the
# exact ones, so 1 means no drift; the last two are differences from exact, so 0 means none.

# %%
#| label: fig-geometry
#| fig-cap: "Drift of geometry against k: mean distance and k-th distance over exact, barycenter shift over the mean true distance, and LID minus exact LID. Bands: 95 % over queries; whiskers: over index seeds."
#| fig-alt: "Four panels of drift measures against neighborhood size for three engines."
draw.geometry(summary, seeds)

# %% [markdown]
# The same four in numbers at the largest $k$ that is shown, and the barycenter shift before it is divided by the mean distance (in the unit of the vectors).

# %%
#| label: tbl-geometry
#| tbl-cap: "Geometry at the largest neighborhood size shown: mean with 95 % interval over queries, and over index seeds (fewer queries)."
geometry = ("mean_distance_ratio", "kth_distance_ratio", "barycenter_shift", "barycenter_shift_raw", "lid_difference")
Table(summaries.beside(summary, seeds, geometry, ks_shown[-1:]), digits=4)

# %% [markdown]
# LID itself depends on $k$, for exact neighbors too, since a larger neighborhood is less local. So the question is how far a curve runs from the exact one (black).

# %%
#| label: fig-lid
#| fig-cap: "Mean LID of the exact and of the returned neighbors against k. Bands: 95 % intervals over queries."
#| fig-alt: "Line chart of local intrinsic dimensionality against neighborhood size, exact in black and three engines."
draw.lid(summary)

# %% [markdown]
# ## What each search does for its overlap
#
# An overlap has a price. The left panel counts distance computations for each query, where the library counts them; the right one shows slots left empty. The default
# search does the same work whatever $k$ is. The unbounded one works more as $k$ grows: that is what its overlap costs.

# %%
#| label: fig-work
#| fig-cap: "Distance computations for each query (hnswlib's Python module does not report them) and share of missing slots against k."
#| fig-alt: "Two panels: distance computations and missing slots against neighborhood size."
work = summaries.means(table, ("distance_computations", "missing_share"), by=("engine", "k"))
draw.effort(work)

# %% [markdown]
# ## Onset: from which k on is a neighborhood no longer nearly exact?
#
# The onset is the smallest $k$ at which mean overlap is below a level, among those measured; its interval comes from the same resamples as the bands.
# "Never" means up to the largest $k$. An onset at the smallest $k$ says that the index misses that level from the start, and an onset is not an end: a curve may come back above its
# level, as the figure shows where effort follows $k$.

# %%
#| label: tbl-onset
#| tbl-cap: "Smallest k at which mean overlap is below 0.99, 0.95 and 0.90, with 95 % interval over queries, among the k measured (markers of the overlap figure); never: not up to the largest k."
onsets = summaries.onsets(table, (0.99, 0.95, 0.90), seed=seed, resamples=resamples)
Table(onsets.assign(engine=onsets["engine"].map(summaries.label)))

# %% [markdown]
# ## Why: one set of visited points serves every k
#
# FAISS's default search decides when to stop by efSearch alone. Its queue holds $\max(\text{efSearch}, k)$ points, but a point that falls out of a shorter queue has at least efSearch nearer
# ones in it and would never have been expanded. So the search visits the same points whatever $k$ is, and returns the nearest $k$ of them. A true neighbor is then returned at $k$ exactly if it was visited. Write $p(r)$ for the share of queries whose $r$-th true neighbor is visited. Then
#
# $$\text{overlap}(k) = \frac{1}{k} \sum_{r=1}^{k} p(r),$$
#
# and **one** search at the largest $k$ gives the whole curve. The figure puts that curve (black) over the overlap of a search made anew for each $k$ (markers).

# %%
p = law.visit_probability(exact, deepest)
visits = pd.DataFrame({"rank": range(1, len(p) + 1), "p": p, "overlap": law.overlap_from_visits(p)})
searched = summary.query("engine == 'faiss-hnsw' and metric == 'overlap'")

# %%
#| label: fig-identity
#| fig-cap: "The chance p(r) that the r-th true neighbor is visited, its running mean, and the overlap measured by a search for each k (FAISS, default)."
#| fig-alt: "Visit probability against rank, its running mean as a line, and measured overlaps as markers on that line."
draw.identity(visits, searched)

# %%
identity_error = (searched.set_index("k")["mean"] - visits.set_index("rank")["overlap"]).abs().max()
print(f"largest difference between the two over all k: below 0.001 is {bool(identity_error < 1e-3)}")

# %% [markdown]
# ## Queries from outside
#
# All queries so far are points of the index, as in the earlier studies. The bundled sample also holds images that are not in the index. Asked of the same graphs, do
# they show the same? If the data come without such queries, the table has no rows.

# %%
outside = load_dataset(vectors).queries
strangers = []
if outside is not None:
    truth = exact_neighbors(base, outside, k=max(ks_shown), metric=metric)
    found = [sweep(first[engine], base, None, ks_shown, ef, truth, queries=outside, cache=cache) for engine in first]
    strangers = intervals.summarize(pd.concat(found), seed=seed, resamples=resamples, by=("engine", "k"))

# %%
#| label: tbl-outside
#| tbl-cap: "Overlap for queries that are not points of the index, on the same graphs: mean with 95 % interval over queries."
Table(summaries.plain(strangers, "overlap"), digits=4)

# %% [markdown]
# ## On other data
#
# Does the result belong to these vectors? The measurement is repeated on further data sets, those at hand: one graph of each library, the same parameters, fewer queries. `cifar10-resnet18`
# is bundled, the same images through a smaller network, so only the encoder differs. `fashion-mnist` is pixels without any encoder, from files that `--data-dir` names. In each panel look at the
# three curves right of the dotted line: if effort decides, the default search falls there on any data and the other two do not, whatever the height at which they start.

# %%
further = load_others(
    also, data_dir=data_dir, points=points, queries=other_queries, seed=seed, metric=metric, besides=sample
)
one_each = [spec for spec in specs if spec["seed"] == seed]
options = {"metric": metric, "threads": threads, "seed": seed, "resamples": resamples, "cache": cache}
curves = others.overlap_curves(further, ks_growing, ef, one_each, **options)
print(f"not at hand: {', '.join(absent(also, data_dir)) or 'none'}")

# %%
#| label: fig-others
#| fig-cap: "Mean overlap against k on this data set and on each further one that was at hand (dimension in parentheses), the same three searches at one requested efSearch (dotted line). Bands: 95 % intervals over queries."
#| fig-alt: "Line charts of overlap against neighborhood size, a panel for each data set, three searches in each."
draw.overlap_on(pd.concat([others.described(summary, sample), curves]), ef=ef)

# %%
#| label: tbl-others
#| tbl-cap: "Overlap on each data set, mean with 95 % interval over queries, and whether it rises or falls from k = efSearch to the largest k measured (disjoint intervals)."
Table(others.beside(pd.concat([others.described(summary, sample), curves]), ks_shown, ef))

# %% [markdown]
# ## The first study, reproduced
#
# The first study [@cooper2025] searched with FAISS's default rule, counted each query as its own first neighbor, gave squared distances, and estimated LID from those, the query's own distance
# included. Below, its columns are computed *as they were then* from our neighbors, beside its published numbers (another data set) and beside the corrected values. What to
# look for: whether the shape of each published curve comes back, and which part of it remains once the measure is corrected.

# %%
in_l2 = metric == "l2"  # the study compared Euclidean distances, whatever metric is chosen above
l2_exact = exact if in_l2 else exact_neighbors(base, base[rows], k=max(ks), exclude=rows)
l2_index = first["faiss-hnsw"] if in_l2 else build_indexes(specs[:1], base, cache=cache)[0]
drifted = table.query("engine == 'faiss-hnsw' and k in @ks_growing") if in_l2 else None
study = earlier.seed_study(base, l2_index, l2_exact, ks=ks_growing, ef=ef, rows=rows, drifted=drifted)
published = earlier.published("seed")

# %%
#| label: fig-seed-study
#| fig-cap: "The first study's measures against k: as published (STL-10), as computed then on this sample, and corrected."
#| fig-alt: "Panels comparing published curves, our reproduction of their arithmetic, and corrected measures."
draw_earlier.seed_study(study, published)

# %% [markdown]
# The difference between the LID of exact and of approximate lists can be taken apart step by step: the arithmetic of the query's own distance (a matter of how a library computes it), neighbors that were truly
# lost, queries that did not find themselves, and pads. Only the second is drift.

# %% tags=["nbval-ignore-output"]
#| label: tbl-lid-gap
#| tbl-cap: "The LID difference between approximate and exact lists as it was computed then, and the parts that sum to it."
Table(study.loc[study["k"].isin(ks_shown), ["k", "gap", *earlier.GAP, "padded"]], digits=3)

# %% [markdown]
# ## Facts for the paper

# %%
setting = {"M": M, "ef_construction": ef_construction, "ef": ef, "index_seeds": index_seeds, "resamples": resamples}
asked_of = {"n": len(base), "q": len(rows), "k_min": min(ks), "k_max": max(ks), "seed_queries": len(rows[few])}
facts.record("drift", out=out, **setting, **asked_of)

# %%
facts.record("drift", out=out, **summaries.by_engine(summary, "overlap", cited), **summaries.onset_facts(onsets))

# %%
geometry_facts = {}
for name, decimals in (
    ("mean_distance_ratio", 4),
    ("barycenter_shift", 3),
    ("lid_difference", 2),
    ("missing_share", 4),
):
    geometry_facts |= summaries.by_engine(summary, name, cited[-1:], decimals=decimals)
facts.record("drift", out=out, **geometry_facts)

# %%
visited = {"identity_error": facts.number(identity_error, 2), "p_last": facts.percent(p[-1])}
visited |= {"same_lists": facts.percent(same), "same_lists_cut": facts.percent(same_cut)}
visited |= {"empty_slots": facts.count((deepest.k - deepest.found).sum()), "slots": deepest.ids.size}
facts.record("drift", out=out, **summaries.work_facts(work, cited), **visited)

# %%
directions = summaries.direction_facts(summary, ef)
facts.record("drift", out=out, **directions, **summaries.seed_facts(seeds, "overlap", ks_shown[-1]))

# %%
outside_facts = summaries.by_engine(strangers, "overlap", cited)
facts.record("outside", out=out, queries=len(strangers) and len(outside), **outside_facts)

# %%
facts.record("others", out=out, **others.other_facts(curves, [*others.CITED, *also], cited, ef))

# %% tags=["nbval-ignore-output"]
facts.record("drift", out=out, **summaries.lid_gap_facts(study, cited))

# %% [markdown]
# ## Answer
#
# The tables and facts above answer for the data this copy was run on. What held on every run made for the paper: FAISS's two searches are one search while no more than efSearch points are asked for. Beyond, where effort stays
# at efSearch, overlap falls as $k$ grows, smoothly and without a failure at any particular $k$. On the same graph, where effort follows $k$, overlap recovers and rises, and the
# distance computations rise with it; hnswlib does the same on its own graph. So the drift that the earlier studies measured is that of a fixed effort shared among
# more and more neighbors, and $p(r)$ describes it completely: one search at the largest $k$ gives the overlap at every smaller one. On the further data of the paper, another
# encoder's vectors and plain pixels, the three directions are the same; how high a curve starts and how deep it falls is not. Distances, barycenter and LID follow the
# overlap, distances far less than it. Of the LID difference as it was computed then, the part that is neighbors lost is small at small $k$ and grows with $k$; the rest is the way it was computed.
