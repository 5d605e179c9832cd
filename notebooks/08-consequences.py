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
# # Consequences: what do lost neighbors do to the work built on them?
#
# Nobody asks for neighbors for their own sake. They vote on a label, tell an outlier from its surroundings, carry a cluster, a density estimate, a dimension or
# a map. The notebooks before this one measure how far approximate lists stand from the exact ones; here each such task is run on both, and the question is
# how much of the drift arrives in its result. Does a task that is given nine tenths of the true neighbors lose a tenth, or nothing?
#
# Two things have to be set beside each answer. One is the task's **own noise**: a result that moves by several percent when other points are drawn is not
# known to one percent, whatever the index does. The other is the **null model**: lists that lost neighbors purely at random, at the same recall. Where an index moves a
# task more than that, recall does not say enough about it.

# %% tags=["parameters"]
vectors = "cifar10-resnet50"  # a bundled name, or the path of an .npy / .npz file
metric = "l2"
points = 2000  # points of the base used; 0 for all
queries = 500  # points of the base that are asked, leave-one-out; 0 for all
seed = 0
threads = 2  # search threads; graphs are built with one
out = ""  # folder of the run: facts, tables, cached indexes; empty to keep nothing
k = 30  # length of every list
sample_points = 400  # points of each sample; 0 for all
task_seeds = 5  # samples, each with its own draws and its own indexes; fewer where the base has no more points
recalls = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99]  # of lists that lost neighbors at random
task_engines = [
    "faiss-hnsw",
    "faiss-ivf",
    "faiss-ivf-pq",
]  # searched from their lowest effort upward; build parameters may follow an @
M = 32
ef_construction = 200
pq_bits = 6  # of each part of a quantized vector; the library's 8 need larger samples to train on
compared_at = 0.9  # random losses imitate each engine's lists of the recall nearest to this
map_recalls = [0.5, 0.9, 0.99]  # of the lists that maps are drawn from
map_engines = ["faiss-hnsw"]
map_seeds = 2  # maps from exact lists, each from another seed, beside the first
also = ["cifar10-resnet18", "fashion-mnist"]  # further data, where at hand
data_dir = ""  # folder that holds data sets that are not bundled

# %% [markdown]
# ## Samples, lists and tasks
#
# A task needs the lists of *all* points of a set, so every point is asked, leave-one-out, and `queries` plays no part here. The base is cut into samples in a random order, no two with a point in common, so there are no
# more samples than it holds. Each sample has its own exact lists, its own index of each kind and its own draws (which points are labelled, which neighbors are lost), so that what differs from sample to sample
# is the noise of the whole procedure. Deviations are taken within a sample, from its own exact lists, and their intervals are Student's $t$ over samples.
#
# All lists have one length, $k$. They come from the null model, in two forms (lost neighbors are replaced by the next ones, as in an index that met others; or
# their slots stay empty, as in FAISS's answers at little effort), and from indexes: each is searched at its lowest effort, then at twice that, and so on. What stands on the
# horizontal axis is the recall that was *reached*, the mean overlap over all points. The engines are a graph whose effort stays at efSearch, an inverted file, and an inverted file of quantized
# vectors, whose recall has a ceiling below 1. A search whose effort follows $k$, such as hnswlib's, has no line here: its lowest effort is ef $= k$,
# and the recall that this gives, printed below, is the lowest it can be asked for.

# %%
from neighborhood_drift import consequences, facts
from neighborhood_drift.datasets import absent, load_others, load_sample
from neighborhood_drift.figures import consequences as draw
from neighborhood_drift.figures.style import use_style
from neighborhood_drift.indexes import ENGINES
from neighborhood_drift.tables import Table

use_style()
cache = f"{out}/cache" if out else None
sample = load_sample(vectors, points=points, queries=queries, seed=seed, metric=metric)
setting = {"size": sample_points, "k": k, "count": task_seeds, "metric": metric, "seed": seed}
cases = consequences.samples(sample.base, sample.labels, **setting)
planted = consequences.planted(sample.base, sample.labels, **setting)
planted_points = consequences.sizes(planted)
print(f"{sample.name}: {len(cases)} disjoint samples of {len(cases[0].base):,} points, lists of {cases[0].k}")
print(f"with planted outliers: {len(planted)}, of {planted_points} points")

# %% [markdown]
# The tasks, each on lists alone. Every one leaves missing slots out.
#
# - **k-NN classification:** the class of most neighbors (of equally strong ones, that with the nearer member), every point left out of its own list. *k-NN confidence* is the expected calibration error
#   [@guo2017] of the share of neighbors that agree.
# - **Label spreading** [@zhou2004] from five labelled points a class over the graph in which two points are linked if either lists the other.
# - **LOF** [@breunig2000] on samples of one class (joined by others where it is small) in which two percent of the points are of other classes: does the factor put those first? The class is another one in each of these samples, and
#   a class has fewer points than a sample may have; their sizes are printed above.
# - **DBSCAN** [@ester1996] and **HDBSCAN** [@campello2013] on the graph of lists, compared with their own clusters on exact lists by the adjusted Rand index (ARI), points in no cluster counted as
#   one group. DBSCAN's radius is the one within which a fifth of the points are core points by exact lists.
# - **k-NN density:** the rank correlation of the distance to the last neighbor with the exact one.
# - **Dimension of the set:** from all distances of the lists (maximum likelihood, pooled), and from the first two (TwoNN).
#
# Noise is the standard deviation of the exact score over samples. For LOF it is that over other classes, other points of them and other planted ones, all at once. Where the score *is* agreement with exact lists, that has no noise of this kind; there it is how far the exact result moves when a tenth of
# the points is taken away and exact lists are made of the rest. HDBSCAN leaves out what no list links to at least four others: such points are in no cluster.

# %%
build = {"params": {"M": M, "ef_construction": ef_construction, "bits": pq_bits}, "threads": threads, "cache": cache}
scores = consequences.measure(cases + planted, recalls, task_engines, compared_at=compared_at, **build)
summary = consequences.summarize(scores)
noises = consequences.noise(scores, consequences.moved(cases + planted))
following = consequences.lowest_recall(cases[0], "hnswlib", **build)
print(f"recall of hnswlib at its lowest effort: at least {following:.2f}")

# %% [markdown]
# An engine that cannot be built here, because its library is absent or the samples are too few points for it, has no line and no column; the reason stands here, and an empty table says that there is none.

# %%
#| label: tbl-consequences-absent
#| tbl-cap: "Engines without an index in this notebook, and why."
Table(consequences.build(cases[0], task_engines, **build)[1])

# %%
#| label: tbl-tasks
#| tbl-cap: "The tasks: what is scored, what one percent is a percent of, the mean score of exact lists, and its noise: the standard deviation over samples, or, for agreement with exact lists, what is lost when a tenth of the points leaves."
Table(consequences.task_table(noises))

# %% [markdown]
# Agreement with a result says something only where the result does. The next table shows what the two cluster methods find in exact lists: how many clusters, how many points in none, and
# whether the clusters are the classes. An ARI near 0 there says that they are not, and that the agreement measured below is about the stability of a
# result and not about its worth.

# %%
#| label: tbl-clusters
#| tbl-cap: "What DBSCAN and HDBSCAN find in exact lists, means over samples: clusters, share of points in none, and adjusted Rand index with the classes."
Table(consequences.cluster_table(cases), digits={"clusters": 1, "share in none": 2, "ARI with classes": 2})

# %% [markdown]
# ## Deviation against recall
#
# Each panel is one task, each line one kind of lists; the stripe is one percent either way. Look first for how long a line stays in the stripe as recall falls from right to left,
# then at whether the lines of the indexes lie on that of random loss. The heights of the panels differ; beyond two percent their axes are logarithmic.

# %%
#| label: fig-consequences
#| fig-cap: "Deviation of each task's score from that of exact lists, against the recall of the lists: neighbors lost at random and replaced, or with slots left empty, and indexes at rising effort. Bands: 95 % intervals over samples. Stripe: one percent either way. The axes of deviation differ from panel to panel; they are linear within two percent and logarithmic beyond."
#| fig-alt: "Small panels, one a task, with lines of deviation against recall that come together at zero at recall one."
draw.deviations(summary)

# %% [markdown]
# Up is not always better. A higher calibration error is worse, a higher dimension is only wrong, and a score of the truth can rise with lost neighbors: a list that reaches farther
# out is a smoother one, as a larger $k$ is. With replacement the list of $k$ reaches as far as an exact list of $k$ over recall would. That is why the two null models differ where
# distances matter: an empty slot shortens the list and leaves its reach nearly as it was.
#
# ## The recall that each task needs
#
# From these lines: the recall from which on the mean deviation stays within one percent. In brackets, the same from the ends of the interval: below the lower number the whole
# interval is outside, from the upper one on the whole interval is inside. The upper number is therefore the recall at which a user can be sure, and it is high where few samples leave the deviation uncertain. "At
# most" marks lists that stay within one percent down to the lowest recall measured, "not reached" an engine that is outside even at its highest, "beyond" an interval that is; "not available", tasks
# without labels.

# %% tags=["nbval-ignore-output"]
#| label: tbl-needed
#| tbl-cap: "Recall from which on a task stays within one percent of exact lists, from the mean deviation and, in brackets, from the ends of its 95 % interval over samples."
need = consequences.needed(summary)
Table(consequences.needed_table(need))

# %% [markdown]
# One percent is a convention. Where a task's noise is larger, a user could not see the loss in one sample; where it is smaller, one percent is already a lot. The
# next table asks for the recall from which on the deviation stays within the task's own noise instead; that is less only where the noise exceeds one percent.

# %% tags=["nbval-ignore-output"]
#| label: tbl-within-noise
#| tbl-cap: "Recall from which on a task deviates from exact lists by no more than its own noise, from the mean deviation and, in brackets, from the ends of its interval."
within = consequences.needed(summary, dict(zip(noises["task"], noises["noise"], strict=True)))
Table(consequences.needed_table(within))

# %% [markdown]
# ## Is it recall alone?
#
# Two kinds of lists of one recall may move a task differently, because they miss *different* neighbors. The columns of the table of needed recall differ where that
# happens. To see why, random losses are made to imitate each engine's lists, at the effort whose recall is nearest to a chosen one, in two ways:
#
# - **the same number:** each query loses as many neighbors as the engine lost it, at random among its $k$. What is left of a difference is not the recall, nor how it is spread
#   over queries;
# - **the same number and ranks:** they are drawn by the engine's own chance to lose a neighbor of that rank. What is left now is not the ranks either, but *which* points of a rank are lost: hubs or
#   anti-hubs, neighbors of one another or not.
#
# The tables show the size of the engine's deviation minus that of its imitation. "More" or "less" stands where the 95 % interval excludes 0; a single sample has no interval. Of so many comparisons one in twenty would do so by
# chance, so a single one means little and a pattern a lot. Compare the two tables cell by cell: a difference that stands in the first and goes in the second comes from the ranks.
# An engine that returns points beyond the nearest $2k$, as one with quantized vectors may, is not imitated in full: losses are replaced from among these.

# %% tags=["nbval-ignore-output"]
#| label: tbl-against-random
#| tbl-cap: "Size of the deviation of each engine minus that of random losses of the same number, query by query, in percent of what the task's own percent is of, with 95 % intervals over samples; more or less, where the interval excludes 0."
by_number = consequences.against_random(scores)
Table(consequences.against_table(by_number))

# %% tags=["nbval-ignore-output"]
#| label: tbl-against-ranks
#| tbl-cap: "The same against random losses of the same number and of about the same ranks."
by_ranks = consequences.against_random(scores, consequences.RANKS)
Table(consequences.against_table(by_ranks))

# %% [markdown]
# ## Maps
#
# UMAP [@mcinnes2018] takes neighbor lists and nothing else from its index, and its layout is random. So a map from approximate lists has to be compared not only with the map from exact lists, but that one also with
# the maps that *other seeds* make of the same exact lists. Two measures: trustworthiness [@venna2001], whether points near in the map are near in truth, and the Procrustes distance, how far two maps
# remain apart after the best shift, turn and scale (0: the same map; 1: nothing in common). In the figure, look whether the points at high recall lie nearer to the exact map (lower, right panel) than
# the lines of the other seeds.

# %%
maps, drawn = consequences.layouts(cases[0], map_recalls, map_engines, seeds=map_seeds, **build)

# %%
#| label: fig-map-quality
#| fig-cap: "UMAP from approximate lists, against their recall: trustworthiness (left), and distance from the map of exact lists made with the same seed (right). Lines: maps of exact lists, other seeds."
#| fig-alt: "Two panels of points against recall with horizontal lines for other seeds."
draw.map_quality(maps)

# %%
#| label: fig-maps
#| fig-cap: "One sample laid out by UMAP from exact lists, from exact lists with other seeds of the layout, and from lists that lost neighbors at random, each turned onto the first. Colors: classes, where known."
#| fig-alt: "Maps of points side by side, colored by class."
draw.maps(consequences.turned(drawn), cases[0].labels)

# %% tags=["nbval-ignore-output"]
#| label: tbl-maps
#| tbl-cap: "The maps in numbers: lists, their recall, trustworthiness, and Procrustes distance from the map of exact lists with the first seed."
Table(consequences.map_table(maps))

# %% [markdown]
# ## On other data
#
# The same tasks on random loss over other vectors, where they are at hand. Look along the rows: a recall that a task needs on all data is a rule, one that changes is a property of the data. A set without labels
# has no answer for the tasks that need them, and a set that is not at hand has no column.

# %%
#| label: tbl-consequences-others
#| tbl-cap: "Recall from which on a task stays within one percent of exact lists under random loss, for each data set at hand; brackets as before."
further = load_others(also, data_dir=data_dir, points=points, seed=seed, metric=metric, besides=sample)
by_data = consequences.on_others(sample.name, need, further, recalls, **setting)
Table(consequences.needed_table(by_data, "data"))

# %%
print("not at hand:", ", ".join(absent(also, data_dir)) or "none")

# %% [markdown]
# ## Facts for the paper

# %% tags=["nbval-ignore-output"]
facts.record(
    "consequences", out=out, data=sample.name, n=len(sample.base), samples=len(cases), sample_points=len(cases[0].base), k=cases[0].k,
    planted_samples=len(planted), planted_points=planted_points, following=facts.fixed(following, 2), recall_lowest=facts.fixed(min(recalls), 2), compared_at=facts.fixed(compared_at, 2), pq_bits=pq_bits,
    pq_parts=ENGINES["faiss-ivf-pq"].defaults["subquantizers"], **consequences.fact_values(need, noises, task_engines),
    **consequences.against_facts(by_number, by_ranks, task_engines), **consequences.map_facts(maps), **consequences.cluster_facts(cases),
)  # fmt: skip

# %% [markdown]
# ## Answer
#
# How much recall a task needs depends on the task, and on which neighbors its lists lack. Under random loss the first table of needed recall gives the numbers, with brackets that say how well each is
# known: tasks whose brackets overlap are not ordered by it. Against a task's own noise the second is the one to read: where the noise exceeds one percent, a deviation of one percent cannot be told in one sample, while a larger one may well be. For a map the noise is the
# seed of the layout itself.
#
# But an index does not lose at random. A search whose effort stays at efSearch misses the far end of a list first (`05-search-effort`), which changes the last distance more than
# the first neighbors; so one recall is worth more to some tasks, and less to others, than under random loss. The two tables of imitated lists say, task by task, whether that is so and whether it is all: where a cell is told apart in the
# first and not in the second, the ranks are what sets the engine apart. One number of recall does not say whether a list is good enough. A user who knows the task and the engine can read it here, with the upper
# end of the interval for safety; one who does not should ask for the highest.
