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
# # Retrieval: what does drift look like to someone who searches images, and what is left of it after deletions?
#
# So far the neighbors were numbers. Someone who searches a collection of images sees pictures, adds some, deletes others, and asks again. This notebook keeps vectors in a *collection*: an hnswlib graph with ids of the user's own, which is searched while it changes, and can be saved at any moment. It asks four questions.
#
# 1. What does a search of the collection find of the exact neighbors, and what does it cost?
# 2. If the neighbors vote on a label, does the vote notice what was lost?
# 3. Which queries differ most from the exact search, and what came in place of what was missed?
# 4. Deleted points stay in the graph as tombstones until the collection is compacted. What do they do to the answers, and what does compacting change?

# %% tags=["parameters"]
vectors = "cifar10-resnet50"  # a bundled name, or the path of an .npy / .npz file
metric = "l2"
points = 2000  # points of the base used; 0 for all
queries = 500  # queries from outside the base; 0 for all
seed = 0
threads = 2  # search threads; graphs are built with one
out = ""  # folder of the run: facts, tables, cached indexes; empty to keep nothing
k = 10
efs = [10, 20, 50, 100, 200]  # efforts of the collection's searches
ef = 50  # the effort that is cited
target = "overlap=0.95"  # what an effort is chosen for
tuning_queries = 200  # on which it is chosen
deleted = 0.3  # share of the points that are deleted
M = 32
ef_construction = 200
repeats = 3  # timed passes
shown = 5  # queries shown
explored = 200  # queries of the explorer
also = ["fashion-mnist-train"]  # further data, those that are at hand
data_dir = ""  # folder of data that are not bundled, such as fashion-mnist/

# %% [markdown]
# ## The setting
#
# The data meant here are those of a shop that looks for similar clothes: the 60,000 training images of Fashion-MNIST [@xiao2017] as the collection, its test images as queries, and as a vector the image's own pixels, scaled to [0, 1]. They are not bundled. Where `data_dir` has a folder `fashion-mnist`, they are measured beside the vectors of this run, and where these are the study's own, their pictures are the ones shown; else the vectors of the run stand in for them, with their own queries from outside. Vectors without queries keep some of their points out of the collection to be asked. The lines below say which data this copy
# shows.
#
# No query is in the collection, so nothing has to be left out of an answer. The effort of hnswlib follows $k$: a search asked for $k$ neighbors at ef keeps $\max(\text{ef}, k)$ candidates.

# %%
import pandas as pd

from neighborhood_drift import Collection, facts, parse_target, separate
from neighborhood_drift.figures import explorer as still
from neighborhood_drift.figures import retrieval as draw
from neighborhood_drift.figures.style import use_style
from neighborhood_drift.retrieval import explored as exploring
from neighborhood_drift.retrieval import explorer, measure, searched, told, told_facts
from neighborhood_drift.retrieval.guarantees import guarantees
from neighborhood_drift.tables import Table

use_style()
how = {"points": points, "queries": queries, "seed": seed, "metric": metric}
found = searched.load_all(vectors, also, data_dir=data_dir, **how)
seen = searched.to_show(found, vectors, metric)
k = min([k, *(round((1 - deleted) * len(one.base)) for one in found)])
efs = sorted({*efs, ef})
for one in found:
    print(one.told)
print(f"shown: {seen.name}; k = {k}")

# %%
build = {"metric": metric, "M": M, "ef_construction": ef_construction, "seed": seed}
asked = {"target": target, "tuning_queries": tuning_queries, "share": deleted, "repeats": repeats}
lives = [measure.life(one, k, efs, **asked, **build) for one in found]
life = lives[found.index(seen)]
before = life.of(measure.BEFORE)
own = pd.concat([measure.losses(one, seed=seed) for one in lives], ignore_index=True)
swaps = pd.concat([told.exchange(one, efs, seed=seed) for one in lives], ignore_index=True)
kept = pd.concat([told.promised(one, target, seed=seed) for one in lives], ignore_index=True)
setting = told.setting(lives[-1], metric)
for kind, rows in (("retrieval", own), ("exchange", swaps), ("target", kept)):
    separate.leave(rows, kind, out, setting=setting)
table = own
if searched.is_of_study(vectors, metric):
    besides = [one.name for one in found]
    table = told.together(own, separate.published("retrieval", besides=besides))
    swaps = told.together(swaps, separate.published("exchange", besides=besides))
    kept = told.together(kept, separate.published("target", besides=besides))

# %% [markdown]
# ## What a search finds
#
# Look first at the left panel: the share of the $k$ true neighbors that the collection returns at each ef. At the left end drift is plain, and further right it is gone. Then look right, at what a user would notice if the neighbors voted on a label: accuracy at each ef minus accuracy with the exact neighbors. It is a paired difference, over the same queries, so its interval can exclude 0 where the two accuracies by themselves would not. A vote is lost only if the points that came instead are of other classes than the ones they replace.

# %%
#| label: fig-retrieval-effort
#| fig-cap: "Against ef, while the collection holds all points: overlap of its answers with the exact neighbors (left), and accuracy of the neighbors' vote minus that of the exact neighbors' (right). Bands: 95 % intervals over queries."
#| fig-alt: "Two panels against ef on a logarithmic axis, a curve with its band for each data set: overlap on the left, change of the vote's accuracy on the right, with a line at zero."
draw.effort(table)

# %%
#| label: tbl-retrieval-effort
#| tbl-cap: "The same in numbers, with 95 % intervals over queries: overlap, accuracy of the vote, and this accuracy minus that of the exact neighbors' vote on the same queries: below 0 where the vote has lost."
Table(told.efforts(table))

# %% [markdown]
# A number for ef is a guess about data that nobody has searched yet. The collection also takes a target in place of it, and chooses the least ef of a fixed list that is certified on a sample of its own points, each left out of its own answer. But a point of the collection has links in the graph, made while it was built, and a new query has none. So three kinds of query are asked at the effort chosen:
# points of the collection; queries from outside; and, once the collection has been compacted, deleted points, which were drawn at random, so that they are of the same kind as the points that are left and yet not in the graph. If these get as much as the points of the collection, it is the kind of the queries that matters; if they get as little as those from outside, it is that the graph does not hold them.
# The last row chooses the effort on other deleted points instead.

# %%
#| label: tbl-retrieval-target
#| tbl-cap: "The ef chosen for the target, by the sample on which it was chosen, while all points are there and after compacting; and at this ef the overlap of points of the collection (each left out of its own answer), of deleted points (which are not in the graph, and on which nothing was chosen), and of the queries, which are not points of the collection. With 95 % intervals over those asked."
Table(told.promises(kept))

# %% [markdown]
# ## Neighbors to look at
#
# The pictures are those of the data that the lines above call shown. Each row is a query and its exact neighbors, nearest first; the queries are drawn at random. This is what there is to lose. If a row looks mixed, the vectors themselves put unlike images close together, and no index can mend that: it is the limit of the exact search, not drift.

# %%
#| label: fig-retrieval-nearest
#| fig-cap: "Queries drawn at random (framed, with their class), and their exact nearest neighbors from left to right."
#| fig-alt: "Rows of small pictures; the first of each row is framed."
draw.nearest(seen, before.exact, searched.some(seen, shown, seed=seed))

# %% [markdown]
# Now the queries for which the approximate list at the least ef differs most from the exact one; they are chosen for that, and are no fair sample. The upper row of each pair is the exact list, the lower one what was found. In the upper row a minus marks what was missed, in the lower row a plus marks what came instead. Ask of each pair whether you would have noticed.

# %%
#| label: fig-retrieval-drift
#| fig-cap: "What drift looks like: the queries that lost most at the least ef. Upper rows: exact neighbors, those that the search missed marked by a minus. Lower rows: what it found, those that came instead marked by a plus."
#| fig-alt: "Pairs of rows of small pictures; marks tell which pictures are in one row of a pair alone."
worst = measure.exchanged(before, efs[0], seen)["query"]
draw.differences(seen, before.exact, before.by_ef[efs[0]], worst[:shown])

# %% [markdown]
# The table says the same of all queries. Look at the ratio: what came instead cannot be nearer than the farthest true neighbor, so it is at least 1, but for rounding, and the distance by which it is above is what drift adds. Then compare the last two columns. If the points that came instead are of the query's class as often as the ones they replaced, the vote has no reason to change.

# %%
#| label: tbl-retrieval-exchange
#| tbl-cap: "Queries whose lists differ from the exact ones: their share, the share of all queries that misses the nearest neighbor, true neighbors lost by those that differ (mean and most), mean distance of those that came instead over that of the missed ones, and the share of the missed and of those that came instead that have the query's class. 95 % intervals: the first three over all queries, the others over those that differ."
Table(told.exchanges(swaps))

# %% [markdown]
# ## After deletions
#
# Deleting a point marks it. It is never returned again, but its links stay, and a search goes through it as before: hnswlib lets tombstones be expanded and leaves them out of the result. Compacting builds the graph anew from the points that are left. Both have the same exact neighbors, so their difference is paired.
#
# One might expect that tombstones spoil the answers. Look at the left panel, where ef is the same, and at the sign of the paired difference in the table. Then look right, at what a search costs: the list of ef candidates has to be filled with points that are still there, so a search among tombstones goes on for longer. At equal cost the new graph is to be compared with an earlier point of the other curve. The figure has the vectors of this run, the table all data at hand.
#
# The cost is counted and not timed, because times in states that lie minutes apart differ for reasons of the machine. The Python module of hnswlib tells no counts; so the graph is read out of the collection, tombstones included, and searched again by the study's own search, which visits what hnswlib visits.

# %%
#| label: fig-retrieval-deletions
#| fig-cap: "Overlap with the exact neighbors among the points that are there, against ef (left) and against the distances computed a query (right): before deletions, with deleted points as tombstones, and after compacting. Bands: 95 % intervals over queries."
#| fig-alt: "Two panels of overlap, against ef and against distances computed, with a curve and its band for each of three states: all points, deleted lazily, compacted."
draw.deletions(own[own["data"] == found[0].name])

# %%
#| label: tbl-retrieval-deletions
#| tbl-cap: "Overlap before deletions, with tombstones and compacted, the paired difference of the last two, and how many times as many distances a query computes among tombstones as after compacting. All with 95 % intervals over queries; distances are counted on up to 100 of them."
Table(told.deletions(table))

# %% [markdown]
# What building, compacting and searching take on this machine is below. A search at any ef that is shown is faster than the exact one only where the exact column is larger: at few points, it need not be.

# %% tags=["nbval-ignore-output"]
#| label: tbl-retrieval-times
#| tbl-cap: "Processor time on one core: seconds to build the collection and to compact it after the deletions, and milliseconds of a query (the least of several passes over the same queries, asked in one call) at each ef and by the collection's exact search, while all points are there."
Table(told.times(table))

# %% [markdown]
# Where fewer than $k$ points are left, fewer come, and the answer says so. It is never filled with tombstones or with padding that would enter a mean.

# %%
few = Collection(seen.base.shape[1], metric=metric, seed=seed)
few.add(seen.base[:k])
few.delete(range(k // 2))
print(few.search(seen.queries[:3], k).note or "as many as were asked for")

# %% [markdown]
# ## Whoever keeps the vectors
#
# A collection lives in the memory of one process. The same calls search a Qdrant server or a Redis one, so that who outgrows a machine changes where the store is opened and nothing else; but what a store promises is its own. Look at the rows of the effort and of deletions before moving: where every search is exact there is no drift to choose an effort against, and where tombstones are cleared at the server's own time, the table above does not say when its right column begins.

# %%
#| label: tbl-retrieval-guarantees
#| tbl-cap: "What each store promises; each cell that can be tested is tested by the same calls on all of them."
Table(guarantees())

# %% [markdown]
# ## An explorer
#
# Pictures chosen by an author show what the author looked for. So the HTML paper has a page in which readers choose for themselves: a query, how many neighbors, the effort, and the search, and see the exact and the approximate list with what was missed and what came instead. Three quarters of its queries are drawn at random; beside them stand those of all that were examined whose lists differ most, and say so. It is made here, from the graphs of this run, and needs no server.
#
# Three searches can be chosen: FAISS's default, whose effort stays at ef, the same graph with an unbounded queue, and hnswlib, whose efforts follow $k$. Each was asked anew for each $k$. Let $k$ grow beyond ef under each of them, and the question of this study is answered before one's eyes.

# %% tags=["nbval-ignore-output"]
cache = f"{out}/cache" if out else None
lists = exploring.explore(
    seen.base, seen.queries, shown=explored, metric=metric, seed=seed, threads=threads, cache=cache,
    M=M, ef_construction=ef_construction,
)  # fmt: skip
page = explorer.page(lists, seen)
explorer.write(page, out)
facts.record("retrieval", out=out, **exploring.facts_of(page.lists, seed=seed))

# %%
#| label: fig-explorer
#| fig-cap: "What the explorer of the HTML paper shows first: of all queries examined the one whose lists differ most, with its exact neighbors (left; those that the search missed are framed, with a minus) and what the search returned (right; those that came instead are framed, with a plus). Below each picture stands its true rank."
#| fig-alt: "A query above two grids of small pictures; frames and signs mark the pictures that are in one grid alone."
still.still(page.lists, seen)

# %% [markdown]
# ## Facts for the paper

# %%
for one in lives:
    of = one.of(measure.BEFORE)
    most = measure.exchanged(of, efs[0], one.searched)["query"][:shown]
    draw.leave(draw.differences(one.searched, of.exact, of.by_ef[efs[0]], most), one.searched.name, out)

# %% tags=["nbval-ignore-output"]
facts.record(
    "retrieval", out=out, target=parse_target(target).text, shown=seen.name, share=facts.percent(deleted, 0),
    pictures=facts.count(0 if seen.images is None else len(seen.images)), **told_facts.all_facts(lives, ef, seed=seed),
)  # fmt: skip

# %% [markdown]
# ## Answer
#
# Drift, to someone who looks at pictures, is a list in which some pictures are others. In the mean they are nearly as near as the ones they replaced, which hides single queries that lose all; and the table of exchanges says how often they are of the same class; on average over these queries the vote of the neighbors feels less of the loss than the overlap does. Where every true neighbor counts, and not only its like, the overlap is the measure, and a target the way to set the effort.
#
# A target certified on points of the collection is a promise about such points. Where the table of targets shows less for deleted points than for points of the collection, new queries are harder to serve even if they are of the same kind, for nothing in the graph was linked to them. So let the effort be chosen on vectors that are not in the index; the last rows show what that gives.
#
# For deletions drawn at random, on these data and at equal ef, tombstones lose no neighbors that compacting would bring back: a search among them finds as many as in a graph built anew, or a few more. It computes more distances for that, and at equal cost, in the right panel, there is no such advantage to be seen. Compacting gives the cost back. Deletions of one region of the data, other shares, and repeated ones were not tried.
