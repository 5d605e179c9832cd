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
# # Inside the index: what graph does HNSW search, and where can a neighbor get lost?
#
# HNSW (hierarchical navigable small world [@malkov2020]) is a graph over the points, in levels. Every point stands at level 0
# and has links to some near points there; a few points stand at level 1 as well, fewer at level 2, and so on. A search enters
# at one point of the highest level, walks greedily towards the query, steps down a level, and so reaches level 0 near the query.
# There it keeps a list of the best points seen and expands them one after the other until its stopping rule holds.
#
# A true neighbor can be lost in two ways: *no path leads to it*, or the search *stops before it gets there*. This notebook opens
# the graphs that two libraries build, FAISS [@douze2024] and hnswlib, the library of HNSW's authors, and asks how much of the
# first kind there is. It then asks what search effort buys, and whether an index that was written to disk is still the same one.

# %% tags=["parameters"]
vectors = "cifar10-resnet50"  # a bundled name, or the path of an .npy / .npz file
metric = "l2"
points = 2000  # points of the base used; 0 for all
queries = 500  # points of the base that are asked, leave-one-out; 0 for all
seed = 0
threads = 2  # search threads; graphs are built with one
out = ""  # folder of the run: facts, tables, cached indexes; empty to keep nothing
Ms = [8, 16, 32]  # values of M; the last one is looked into
ef_construction = 200
efs = [15, 40, 100, 200]  # search efforts
k = 10  # neighbors a query where recall is set against time
timed_queries = 250  # of the queries, those that are timed at each setting; 0 for all
part = 500  # points of the base on which construction is varied; 0 for all
efforts = [40, 50, 100, 200]  # values of efConstruction compared on that part, beside 2M - 1 and 2M

# %% [markdown]
# ## Building
#
# Three numbers shape a graph. **M** is the number of links that a new point makes on each level. **efConstruction** is the
# length of the list that the search for these links keeps. The **seed** draws the level of each point. Each graph here is built by one
# thread, because with several threads the order of insertion, and with it the graph, depends on which thread is faster; two
# graphs are built side by side. An index is kept in the folder of the run, under everything it was made from, so that a second
# run fetches it.

# %%
from neighborhood_drift import facts
from neighborhood_drift.construction import LIBRARIES, degree_by_effort, what_changes_links
from neighborhood_drift.datasets import load_sample
from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.figures import hnsw, style
from neighborhood_drift.graph import anatomy, common_links, degree_table, level_table
from neighborhood_drift.indexes import build_indexes
from neighborhood_drift.summaries import label
from neighborhood_drift.tables import Table
from neighborhood_drift.tradeoff import after_reload, build_table, fastest, tradeoff

style.use_style()
sample = load_sample(vectors, points=points, queries=queries, seed=seed, metric=metric)
cache = f"{out}/cache" if out else None
specs = [{"name": name, "M": M, "ef_construction": ef_construction} for M in Ms for name in LIBRARIES]
indexes = build_indexes(specs, sample.base, metric=metric, seed=seed, cache=cache)
for index in indexes:
    index.threads = threads
M = Ms[-1]
graphs = {index.engine: index.graph() for index in indexes if index.params["M"] == M}
print(f"{len(indexes)} indexes over {len(sample.base):,} points in {sample.base.shape[1]:,} dimensions")

# %% [markdown]
# Build time grows with M, and the mean number of links at level 0 stays well below the 2M for which there is room. The times depend on the machine
# and on what runs beside; they compare the rows of this table and nothing else.

# %% tags=["nbval-ignore-output"]
#| label: tbl-hnsw-builds
#| tbl-cap: "The indexes of this notebook. Links: mean out-degree at level 0. Seconds: wall time of the build with one thread, two builds side by side."
builds = build_table(indexes)
Table(builds.assign(engine=builds["engine"].map(label)), digits=1)

# %% [markdown]
# ## Levels
#
# The level of a point is drawn as $\lfloor -\ln(u) / \ln(M) \rfloor$ with $u$ uniform on $(0, 1)$, so that a point stands at level
# $\ell$ or above with probability $M^{-\ell}$: each level holds about $1/M$ of the points below it. Both libraries follow this law,
# though they draw from different generators. FAISS uses one fixed seed unless it is told another; hnswlib takes
# a seed as an argument.
#
# Look at whether the marks fall into the band, which covers two standard deviations of the draw. The highest levels hold a handful of
# points, so that one more or less is a large step on this axis: a last level with more points than expected is up to the chance of its draw.

# %%
#| label: fig-hnsw-levels
#| fig-cap: "Points at each level of the two graphs (marks) against the law of levels (line; band: two standard deviations), on a logarithmic axis."
#| fig-alt: "Number of points against level on a logarithmic axis: the marks of both libraries follow a straight falling line."
levels = level_table(graphs, M)
hnsw.levels(levels)

# %% [markdown]
# ## Degrees
#
# In HNSW a link has a direction. A new point links to its selected neighbors, and each of these links back; but when a point's
# slots are full (2M of them at level 0), the list is cut, and some of the links back are lost. The out-degree is therefore limited, while the
# in-degree is not: a point that is near to many others, a *hub* [@radovanovic2010], collects links from all of them.
#
# The selection rule makes lists short. A candidate is taken only if it is closer to the new point than to every candidate
# taken before it; a group of points that lie close together gets one link instead of many. In data of low intrinsic dimension
# few candidates pass, and lists end far below their limit.
#
# In the figure, compare the right ends of the curves. On the left they break off at 2M, on the right they run on: these are the hubs. The left end on the right
# side tells how many points have hardly any links leading to them.

# %%
#| label: fig-hnsw-degrees
#| fig-cap: "Share of points with at least a given number of links at level 0, for links that leave a point (left) and links that lead to it (right). The out-degree ends at 2M, the in-degree does not."
#| fig-alt: "Two panels with falling curves, one a library: out-degrees end at twice M, in-degrees have a long tail."
hnsw.degrees(degree_table(graphs))

# %% [markdown]
# ## Points that no search can reach
#
# Every search starts at the entry point. Follow all links of the highest level from there, then, from all points reached, those of the
# next level, down to level 0: what is not reached then can be returned by no search, whatever the query and however great the
# effort. The column *unreachable* counts these points, *unlinked* those with no link leading to them at level 0; an
# unlinked point may still be reached from above. The bound is one-sided: a single search enters level 0 at one point, and may
# miss some of the points counted as reachable here.

# %%
#| label: tbl-hnsw-anatomy
#| tbl-cap: "Level 0 of the graphs at the largest M: mean number of links, skewness of the in-degree, and the number of points that no link at level 0, or no path from the entry point, leads to."
inside = anatomy(graphs)
shown = inside[["engine", "links", "in_skew", "unlinked", "unreachable"]]
Table(shown.assign(engine=shown["engine"].map(label)), digits=1)

# %% [markdown]
# ## Why two libraries' "M = 32" are different graphs
#
# The name of the parameter is the same, and so is the room at level 0: 2M slots a point. Four things differ.
#
# - **The first links of a point.** hnswlib cuts the list of candidates to at most M links on every level. FAISS cuts it to the slots there are,
#   which at level 0 are 2M.
# - **When the list is cut at all.** Both libraries leave a short list as it is. For hnswlib short means fewer than M
#   candidates. For FAISS it means fewer than there are slots: with an efConstruction below 2M a new point keeps *all* candidates found, and only
#   lists that overflow later, by links back, are cut. The graph then has more links than one of a larger efConstruction. A study that varies efConstruction across this
#   threshold varies the number of links with it, and in the other direction than expected.
# - **The order of insertion.** hnswlib inserts points in the order given. FAISS first draws all levels, inserts the points of the
#   highest level first, and shuffles each level.
# - **What the seed does.** In FAISS the seed decides levels, and with them the order of insertion, and so every list of links. In hnswlib
#   it decides the levels only; the order stays, and level 0 hardly depends on it.

# %%
some = sample.base[: part or None]
by_effort = degree_by_effort(some, [*efforts, 2 * M - 1, 2 * M], M=M, metric=metric, seed=seed)
changes = what_changes_links(some, M=M, ef_construction=ef_construction, metric=metric, seed=seed)
print(f"{len(by_effort)} graphs of {len(some):,} points, M = {M}")

# %% [markdown]
# The figure shows the threshold: look at the step of the FAISS curve at the dashed line, and at the direction in which the other one goes.

# %%
#| label: fig-hnsw-construction
#| fig-cap: "Mean number of links at level 0 against efConstruction, on a part of the points. Left of the dashed line FAISS keeps all candidates of a new point, and builds the denser graph."
#| fig-alt: "Mean links against efConstruction: the FAISS curve is high left of twice M and drops there; the hnswlib curve has no such step."
hnsw.construction(by_effort, M)

# %% [markdown]
# The next table changes one thing at a time and counts the links that both graphs have, over the links that either has. *Nothing*: the same
# build once more, which tells whether a build repeats. If the row *seed* is near 1 for a library, then an interval over its seeds says
# nothing about how much graphs vary; insertion order has to be varied for that.

# %%
#| label: tbl-hnsw-changes
#| tbl-cap: "Share of level-0 links in common (Jaccard index) between two graphs over the same points of which one thing differs."
Table(changes.assign(engine=changes["engine"].str.replace("faiss-hnsw", label("faiss-hnsw"))), digits=2)

# %% [markdown]
# ## Recall and time
#
# What does search effort buy? Each index is searched for the nearest neighbors at several values of ef. All of them are larger than $k$, where
# both libraries search with an effort of ef; what happens beyond is the subject of `04-drift`. Recall is the share of
# the true neighbors returned (its interval: 95 %, bootstrap over queries), and stands on a logit axis, on which the
# step from 99 to 99.9 % is as wide as the step from 90 to 99 %. A setting is on its library's Pareto front if no other one of that library is at least
# as good in both time and recall and better in one [after @aumuller2020].
#
# Look at which M each front uses at which recall: a larger M costs time at each step and pays only where high recall is wanted.
# The times depend on the machine and on how each library was compiled; where several programs share its cores, the order of close settings may change.

# %% tags=["nbval-ignore-output"]
few = sample.rows[: timed_queries or None]
exact = exact_neighbors(sample.base, sample.base[few], k=k, exclude=few, metric=metric)
settings = tradeoff(indexes, sample.base, few, k, efs, exact)
print(
    f"{len(settings)} settings, {len(few):,} queries, {threads} search threads; on the two fronts: {settings['front'].sum()}"
)

# %% tags=["nbval-ignore-output"]
#| label: fig-hnsw-tradeoff
#| fig-cap: "Recall (logit scale) against time a query (logarithmic), for both libraries, each M and each ef; along a line ef grows to the right. Rings: the Pareto front of each library. Bars: 95 % intervals over queries. Up and left is better. hnswlib is compiled here without processor-specific instructions and FAISS is not: compare along a library, not between the two."
#| fig-alt: "Recall against time a query: curves rise from lower left to upper right; rings mark the settings that nothing of the same library beats in both."
hnsw.tradeoff(settings, k, len(few))

# %% [markdown]
# ## Written, read, and still the same
#
# An index is built once and searched from a file. hnswlib's file holds the graph and the vectors but not the search effort: after
# `load_index` an index searches with ef = 10, whatever was set before, and nothing says so. FAISS keeps its efSearch in
# the file. But `SearchParametersHNSW()` without arguments replaces it by 16. The adapters of this study take no part in this: the effort
# is written beside the file, and is given anew with each search. The table compares the two routes.

# %%
#| label: tbl-hnsw-reload
#| tbl-cap: "The same index before it is written and after it is read: the search effort, and the share of queries with the same neighbors."
reloaded = after_reload(indexes[-2:], sample.base[few], k, max(efs))
Table(reloaded.assign(engine=reloaded["engine"].map(label)), digits=2)

# %% [markdown]
# ## What goes into the paper
#
# First what belongs to the graphs, then what was timed.

# %%
faiss_row, hnswlib_row = (inside.set_index("engine").loc[name] for name in LIBRARIES)
links = by_effort.set_index(["engine", "ef_construction"])["links"]
alike = changes.set_index(["engine", "changed"])["jaccard"]
facts.record(
    "hnsw",
    out=out,
    points=len(sample.base),
    part=len(some),
    M=M,
    ef_construction=ef_construction,
    faiss_links=facts.fixed(faiss_row["links"], 1),
    hnswlib_links=facts.fixed(hnswlib_row["links"], 1),
    faiss_unreachable=int(faiss_row["unreachable"]),
    hnswlib_unreachable=int(hnswlib_row["unreachable"]),
    libraries_share=facts.fixed(common_links(*graphs.values())["jaccard"], 2),
    faiss_seeds_share=facts.fixed(alike["faiss-hnsw", "seed"], 2),
    hnswlib_seeds_share=facts.fixed(alike["hnswlib", "seed"], 2),
    hnswlib_orders_share=facts.fixed(alike["hnswlib", "insertion order"], 2),
)

# %%
facts.record(
    "hnsw",
    out=out,
    effort_below=2 * M - 1,
    effort_at=2 * M,
    faiss_links_below=facts.fixed(links["faiss-hnsw", 2 * M - 1], 1),
    faiss_links_at=facts.fixed(links["faiss-hnsw", 2 * M], 1),
    hnswlib_ef_after_load=int(
        reloaded.set_index(["engine", "route"]).loc[("hnswlib", "the library alone"), "ef after"]
    ),
)

# %% tags=["nbval-ignore-output"]
goal = 0.99
best = {name: fastest(settings, name, goal) for name in LIBRARIES}
found = {
    f"{name.split('-')[0]}_microseconds": "not reached" if row is None else facts.number(row["microseconds"])
    for name, row in best.items()
}
seconds = {f"{index.engine.split('-')[0]}_build_seconds": index.seconds for index in indexes[-2:]}
facts.record("hnsw", out=out, recall_goal=facts.percent(goal, 0), **found, **seconds)

# %% [markdown]
# ## Answer
#
# **The graph.** Both libraries draw levels by the law $M^{-\ell}$, up to the chance of the draw, have room for 2M links at level 0 and fill a part of it. In-degrees have no limit, and the hubs
# take what other points lack. How many points are cut off from the entry point altogether is the column *unreachable* above: it
# bounds the recall of *any* search of that graph, and where it is a tiny part of the points, nearly every missing neighbor is one that the search stopped short of.
# Then drift is a matter of effort, which `04-drift` and `05-search-effort` follow up.
#
# **The name "M = 32"** does not name a graph. The same points and parameters give two graphs with only a part of their links in common, because the libraries cut
# lists differently, insert in another order, and use the seed for different things. Below efConstruction $= 2M$ FAISS keeps all
# candidates of a new point and cuts only lists that overflow later, so that an efConstruction on either side of this threshold changes the number of links too. Results of one
# library, or of one side of the threshold, must not be carried over to another.
#
# **Effort** buys recall at a price that each Pareto front shows; a study that reports recall without time, or at one ef, shows one point of it.
#
# **A written index** is the same graph. Whether it answers as before depends on the search effort being restored, which hnswlib leaves to its user.
