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
# # Scale and cost: what do more points, more dimensions and another metric change, and what does a query cost in all?
#
# Everything before this was measured at one size. Whoever chooses an effort on ten thousand points and then serves a million wants to know whether the choice still
# holds, and what it costs. This notebook varies what scale means, one thing at a time, and asks three questions:
#
# 1. How do drift at a fixed effort, the effort for a fixed drift, and the time to build and to search grow with the number of points, the dimension and the metric?
# 2. Can the growth seen on few points be trusted for more? Each line is fitted on the smaller sizes and tested on the largest.
# 3. What share of the cost of finding an image by its content is search at all? A published comparison [@bhatta2025] is measured again, part by part.

# %% tags=["parameters"]
vectors = "cifar10-resnet50"  # a bundled name, or the path of an .npy / .npz file
metric = "l2"
points = 2000  # points of the base used; 0 for all
queries = 500  # points of the base that are asked, leave-one-out; 0 for all
seed = 0
threads = 2  # search threads; graphs are built with one
out = ""  # folder of the run: facts, tables, cached indexes; empty to keep nothing
scale_queries = 100  # at most so many are asked of each graph; 0 for all
smallest = 250  # sizes are all points, half of them and so on, none below this
draws = 3  # parts of each size, each with its own queries and graph
ks = [10, 100]
ef = 50  # the fixed effort
targets = [0.95]  # overlaps whose effort is sought
M = 32
ef_construction = 200
dimensions = [8, 32, 128]  # principal axes kept
part_points = 500  # points where the dimension and the metric vary
also = ["cifar10-resnet18"]  # further data, those that are at hand
data_dir = ""  # folder of data that are not bundled, such as fashion-mnist/
gallery = ""  # vectors, by name or path, that the retrieval searches; empty for those of this notebook
k_retrieved = 10
nprobes = [1, 2, 4, 8, 16, 32]
batches = [1, 16, 128]
random_sizes = [2000, 5000, 10000]  # galleries of random vectors for what does not depend on the content
random_cells = False  # also cells (IVF) of the largest random gallery; their training takes a minute
repeats = 20  # timed searches, and images encoded
encoders = ["resnet18", "mobilenet_v2", "clip"]
encode = False  # time the encoders, which needs the extras encode and clip; else a separate run has
encoded_batches = [1]
weights_dir = ""  # folder with their weights; random ones where none are there
planned = [1000000, 10000000, 100000000, 1000000000]  # points for which exact search over many machines is planned
planned_queries = 500  # queries of a sample, beside all points

# %% [markdown]
# ## The setting
#
# A size is a part of the data drawn at random, and each size is drawn several times, with its own queries and its own graph: what varies over the draws is the interval shown (Student's t, on the scale on which lines are fitted). The largest size is the
# whole base; its draws differ in queries and graph alone, so its intervals know nothing of another base. Graphs are FAISS's, each built by a single thread from a recorded seed. Queries are points of the part, each left out of its own answer.
#
# Two efforts are followed: overlap *at a fixed efSearch*, by FAISS's default, whose effort stays at efSearch, and by the unbounded queue, whose effort follows $k$; and the *least efSearch for a fixed overlap* by the default. The time of a build is wall time
# of this machine, and whatever else it does lengthens it. The time of a search is processor time of one thread, the median of several passes over up to a hundred queries after one that is not timed; numbers of distances are touched by nothing of that.

# %%
import pandas as pd

from neighborhood_drift import cost_tables, earlier, extraction, facts, retrieval_cost, scale, scale_facts, separate
from neighborhood_drift.datasets import absent, load_others, load_sample
from neighborhood_drift.figures import scale as draw
from neighborhood_drift.figures.style import use_style
from neighborhood_drift.tables import Table

use_style()
cache = f"{out}/cache" if out else None
asked = min(filter(None, (queries, scale_queries)), default=0)
sample = load_sample(vectors, points=points, queries=asked, seed=seed, metric=metric)
others = load_others(also, data_dir=data_dir, points=points, queries=asked, seed=seed, metric=metric, besides=sample)
ks = [k for k in ks if k < len(sample.base) - 1] or [len(sample.base) - 2]
k, target = max(ks), max(targets)
found = load_sample(gallery or vectors, points=0 if gallery else points, queries=asked, seed=seed)
widths = extraction.widths(encoders)
sizes = {one.name: scale.halved(len(one.base), smallest) for one in (sample, *others)}
print(f"{sample.name}: {len(sample.base):,} points in {sample.base.shape[1]:,} dimensions, k up to {k}")
print(f"not at hand: {', '.join(absent(also, data_dir)) or 'none'}")

# %%
how = {"seed": seed, "threads": threads, "cache": cache, "M": M, "ef_construction": ef_construction}
draw_as = {"draws": draws, "asked": asked, "seed": seed}
cases = [case for one in (sample, *others) for case in scale.by_size(one, sizes[one.name], metric=metric, **draw_as)]
cases += scale.by_dimension(sample, dimensions, part_points, metric=metric, **draw_as)
cases += scale.by_metric([sample, *others], part_points, **draw_as)
own = scale.measure(cases, ks, ef, targets, **how)
separate.leave(own, "scale", out)
measured_here = own["data"].unique()
table = scale_facts.together(own, separate.published("scale", besides=measured_here))

# %% [markdown]
# ## More points
#
# Look first at the upper left panel. A fixed effort keeps the same number of candidates whatever the number of points, so among more points it can miss more; whether it does, and how fast, is what the slope says. Full lines are the default, dotted ones the unbounded queue.
# Then go down the right column: the effort that keeps the overlap, the distances which that effort computes, and the time they take. Both axes are logarithmic there, so a straight line is a power of $n$. On the left, below the overlap, stand the time of a search at the fixed effort, and the build.
#
# Data that are not at hand here are of a separate run, which their name then tells; its times belong to another moment or machine.

# %%
#| label: fig-scale-size
#| fig-cap: "Against the number of points, at the largest k: overlap at a fixed efSearch by FAISS's default (full) and by the unbounded queue (dotted); the least efSearch that reaches the overlap asked for, by the default; the distances it then computes; the time of a search at the fixed and at that effort (processor time of a query, one thread); and the time of a build by one thread. Bands: 95 % intervals over draws."
#| fig-alt: "Six panels against the number of points on a logarithmic axis, one color a data set."
draw.size(table, k, target)

# %% tags=["nbval-ignore-output"]
#| label: tbl-scale-size
#| tbl-cap: "The same in numbers, with 95 % intervals over draws: overlap at the fixed efSearch by both rules, the least efSearch for the overlap asked for, its distances and its time a query (microseconds of one thread's processor time), and LID of the exact neighbors."
Table(scale_facts.laid_out(table, "size", k, target))

# %% tags=["nbval-ignore-output"]
#| label: tbl-scale-times
#| tbl-cap: "The times of the figure, with 95 % intervals over draws: of a query at the fixed efSearch, in microseconds of one thread's processor time, and of a build by one thread, in seconds."
Table(scale_facts.laid_out(table, "size", k, target, times=True))

# %% [markdown]
# ## Does the growth hold?
#
# A line fitted to what was measured always looks good on what was measured. So the largest size is left out, and predicted: overlap by a line in its logit, everything else by a power law, over $\ln n$, from all draws of the smaller sizes. The prediction
# interval is the usual one of least squares [@draper1998]; it counts the scatter of the draws and trusts the form of the curve. If the curve bends, the measured point falls outside, and no interval of this kind would have warned.
# Look at whether the open point, which the line has not seen, lies in its band. The table repeats the test from ever fewer sizes, which is a prediction over an ever larger factor. Where the sizes are too few, it is empty; and a size at which a draw found no such effort takes no part, since a line through the others would be too low.

# %%
#| label: fig-scale-extrapolation
#| fig-cap: "Lines fitted to all sizes but the largest, with 95 % prediction intervals for the mean of as many draws, and the largest size as it was measured (open)."
#| fig-alt: "Two panels with fitted lines and bands; open points at the right end show the held-out size."
draw.extrapolation(table, k, target)

# %% tags=["nbval-ignore-output"]
#| label: tbl-scale-extrapolation
#| tbl-cap: "Predictions of the largest size: the largest size fitted, how many times larger the predicted one is, the prediction with its 95 % interval, what was measured, and whether it lies in the interval."
tested = [f"effort {target:g}", f"distances {target:g}", "overlap"]
Table(scale_facts.predictions(table[table["k"] == k], tested), digits=0)

# %% [markdown]
# ## More dimensions, another metric
#
# Dimension is varied on the same points, by keeping only the first principal axes of the vectors: distances shrink a little, and what the last axes told is lost. Look at LID beside the other two panels: the number of coordinates is not the number of directions in which
# the data extend, and it is the second that a search has to cope with. If effort follows LID, the two lines have one shape; if it does not, neither the length of the vectors nor their LID says what effort they need. Other encoders stand at their own dimension, as single points.

# %%
#| label: fig-scale-dimension
#| fig-cap: "Against the number of principal axes kept, at one size: overlap at the fixed efSearch (default), efSearch for the overlap asked for, and LID. Single points: further data sets at their own dimension and the same size. Bands and bars: 95 % intervals over draws."
#| fig-alt: "Three panels against dimension; each has a line for projections and single points for other encoders."
draw.dimension(own, k, target)

# %% tags=["nbval-ignore-output"]
#| label: tbl-scale-dimension
#| tbl-cap: "One size, with the first principal axes kept and with all, with 95 % intervals over draws."
Table(scale_facts.laid_out(own, "dimension", k, target))

# %% [markdown]
# The metric is varied with nothing else: the same parts, the same queries, Euclidean distance and cosine. Where the lengths of the vectors are alike the two have nearly the same neighbors, and the rows of the table should differ by less than their intervals. LID is the exception: $1 - \cos$ grows with the square of the angle, which halves it.

# %% tags=["nbval-ignore-output"]
#| label: tbl-scale-metric
#| tbl-cap: "One size under both metrics, for each data set at hand, with 95 % intervals over draws."
Table(scale_facts.laid_out(own, "metric", k, target))

# %% [markdown]
# ## What a retrieval costs
#
# To find an image by its content, it is turned into a vector and the vector is searched for. A public comparison [@bhatta2025] timed the parts on 100,000 images and concluded that feature extraction dominates, with FAISS making search "surprisingly fast, even over large galleries". Its
# encoders ran on a GPU of 2017 and its searches on CPUs; here everything runs on one core of one CPU, and what is counted is processor time, which is not lengthened by waiting for a core. So the two columns of the table differ by their
# machines, and only the order and the ratios within a column can be compared.
#
# What brute force takes does not depend on what the vectors are, so it is measured on random ones, at the dimensions of the encoders; methods and sizes take turns. Two versions are timed: a sort of all similarities, as published, and one that sorts only the $k$ largest. Every search is the library's own, of queries that are normalised already, for the same $k$.
# Encoders are timed with random weights where none are at hand: the arithmetic, and so the time, is the same. Where this run times no encoders (the paper's environment has no torch), all times of the comparison come from a separate run, never mixed with this one.

# %%
recalls, times = retrieval_cost.on_gallery(
    found, nprobes, k=k_retrieved, asked=len(found.rows), repeats=repeats, batches=batches, seed=seed, cache=cache
)
found_in = {"data": found.name, "sha256": found.checksum, "metric": retrieval_cost.usable_metric(found.base)}
separate.leave(recalls, "ivf", out, setting={**found_in, "points": f"{len(found.base):,}"})
timed = [retrieval_cost.on_random(random_sizes, widths, k=k_retrieved, repeats=repeats, cells=random_cells, seed=seed)]
timed += [
    extraction.measure(
        encoders if encode else [], weights_dir=weights_dir, batches=encoded_batches, repeats=repeats, seed=seed
    )
]
own_times = pd.concat([part for part in timed if len(part)], ignore_index=True)
separate.leave(own_times, "cost", out, setting=extraction.setting())
costs, measured_in = cost_tables.chosen(own_times, separate.published("cost"))
crossing = cost_tables.flips(costs, seed=seed)
beside = cost_tables.beside_published(earlier.published("retrieval"), costs, seed=seed)

# %% [markdown]
# Look at the first row of the table against the others: that is the claim. Then look at brute force and flat search, whose products are the same. Part of what lies between them is the sort; the figure of the crossings below has the partial sort too, and what is left between that and the flat index is another kernel for the products.

# %% tags=["nbval-ignore-output"]
#| label: tbl-cost
#| tbl-cap: "Milliseconds of each part for one image: as published (GPU and CPU of their time, 100,000 images, five neighbors; extraction includes opening the image's file), and here (median processor time of one core, with its 95 % interval, for the k of this notebook; extraction starts from decoded pixels, drawn at random; IVF opens one cell). The last columns: images in the gallery here, and processor time of making and filling IVF's cells."
Table(cost_tables.compared(beside))

# %%
#| label: fig-cost-parts
#| fig-cap: "The same: open diamonds as published, on a GPU (features) and CPUs (search); points here, on one core. What can be compared is the order within a column of points."
#| fig-alt: "Three panels, one an encoder; each has four rows with two points on a logarithmic time axis."
draw.parts(beside)

# %% [markdown]
# "Dominates" is a statement about a gallery's size: brute force grows with it and the encoder does not. Look at where a search's line, prolonged, meets the level of the encoder; the cross marks the size at which the two are equal. To its right, search is the larger
# part. A cross beyond the last point is an extrapolation, and its interval says how far different lines through the same points disagree about it.

# %%
#| label: fig-cost-flip
#| fig-cap: "Processor time of one query on one core against the size of the gallery, for brute force and FAISS's flat index at the dimensions of the encoders, and of extracting one image (horizontal). Crosses: the size at which both are equal, with its interval (see the table)."
#| fig-alt: "Two panels with rising lines that cross horizontal ones."
draw.flip(costs)

# %% tags=["nbval-ignore-output"]
#| label: tbl-cost-flip
#| tbl-cap: "The gallery size from which on a search takes longer than extracting one image, and whether it is within the sizes measured. The interval spans the 95 % bootstrap intervals over repeats of several fits: a line through all sizes, one through two neighboring sizes, and beyond the largest also a time in proportion to the gallery."
names = {"n": "equal_at", "extraction": "extraction_ms", "largest": "largest_measured", "measured": "within"}
Table(crossing.assign(measured=crossing["measured"].map({True: "yes", False: "no"})).rename(columns=names), digits=0)

# %% [markdown]
# IVF moves the crossing far away, at a price that the published table does not show: it opens one cell out of many. Look left at what one cell finds, and at how much of the gain in time is left when the overlap is brought back. Look right at what batches do: products of matrices use
# the processor better than products with one vector, so brute force has something to gain from company, and a time measured one query at a time says little about a service that answers many.

# %%
#| label: fig-cost-accuracy
#| fig-cap: "On real vectors. Left: overlap with the exact neighbors against the processor time of a query, over nprobe (first and last value at the points), for two numbers of cells; bars: 95 % intervals over queries. Right: processor time a query against the size of a batch, each IVF at its least nprobe with an overlap of 0.95."
#| fig-alt: "Left, two rising curves. Right, falling curves of five kinds of search."
draw.accuracy(recalls, times)

# %% tags=["nbval-ignore-output"]
#| label: tbl-cost-ivf
#| tbl-cap: "IVF over nprobe, in the gallery of this run and, where there is one, of a separate run: overlap with 95 % interval over queries, median milliseconds of a query, the share of the gallery whose distances are computed, and seconds of training and adding by one thread."
kept_recalls = separate.published("ivf")
Table(cost_tables.ivf_table(recalls, kept_recalls))

# %% [markdown]
# ## Beyond one machine
#
# Exact neighbors need no memory that grows with the data: a block of queries against a block of points is a task of its own, and its result is $k$ ids and distances for each query. A true neighbor is preceded by fewer than $k$ points in the order by distance and id, so by fewer than $k$ points of its own
# block: the block's list holds it, and so does every merge of lists above. The float64 distance of two points depends on nothing but the two. So blocks, merged in any way, give the list of a single search, to the last id and the last bit. The tasks form a graph, which Dask [@rocklin2015] runs on processes of
# one machine or of many; each result is a file before its task counts as done, so a worker that dies costs the blocks that it was computing, and a run that is killed goes on where it was.
#
# This is done here on as many processes as there are threads, and the result is compared with that of `exact_neighbors`. Before it, tasks of several sizes are timed while all processes work. What a task of $q$ queries and $b$ points takes is fitted by $q\,b$ pairs, $q + b$ vectors, $q$ lists and a fixed part, none below zero. Look at
# whether the fitted seconds lie among those measured; only then can they plan anything. What a merge of lists takes, from files to a file, is timed too, and what the checksums take that are formed of the vectors before and after the search.

# %%
from neighborhood_drift import cluster
from neighborhood_drift.cluster import plan, report
from neighborhood_drift.figures import cluster as draw_cluster

k_blocks = max(1, min(k, len(sample.base) // 10 - 1))
with cluster.connected(workers=threads) as client:
    timings = plan.timings(client, sample.base, k_blocks, metric=metric)
    run = report.whole_run(client, sample.base, k_blocks, metric=metric)
rates = plan.rates(timings, sample.base.shape[1], k_blocks)
planned_run = plan.plan(rates, planned, asked=planned_queries)
print(f"ids and distances over blocks are those of exact_neighbors: {run['same']}")

# %% tags=["nbval-ignore-output"]
#| label: tbl-cluster-rates
#| tbl-cap: "Tasks of several sizes: median seconds of one process (lowest to highest of the repeats), and seconds by the fitted costs."
Table(report.rates_table(timings, rates))

# %% [markdown]
# The plan extrapolates these costs to larger blocks, and to sizes that were never run. Its interval says how well the rates are known from timings that scatter (a sum of fitted rates, its error by Student's $t$; on made-up timings such intervals hold the true cost about as often as they should, and a test sees to that). It takes the form of the costs as given, and knows nothing of a slower disk or a
# network that all processes share. Each task reads two blocks of vectors, and writes lists that a merge reads again; the table says how much that comes to, beside the result. Look at the slopes: all pairs grow with the square of the number of points, a
# sample of queries with the number itself. The dotted lines say what a day gives.

# %%
#| label: fig-cluster-plan
#| fig-cap: "Process-hours of exact search against the number of points, extrapolated from measured tasks: the neighbors of all points, leave-one-out, and of a sample of queries. Bands: 95 % intervals from the scatter of the timings, the form of the costs taken as given. Dotted: what so many processes do in a day."
#| fig-alt: "Two straight lines on logarithmic axes; that of all points is twice as steep, and crosses three horizontal lines."
draw_cluster.plan(planned_run)

# %% tags=["nbval-ignore-output"]
#| label: tbl-cluster-plan
#| tbl-cap: "The plan, at the dimension and k of this notebook: points, queries asked, tasks, bytes of the vectors in float32, bytes of vectors read by all tasks and checksums together, bytes of lists written on the way and at the end, bytes of the neighbors found, process-hours with 95 % interval from the scatter of the timings, and processes that finish within a day."
Table(report.plan_table(planned_run))

# %% [markdown]
# Beyond the size at which the line of all points leaves what one can pay for, exact neighbors of *all* points stop being a ground truth that anyone computes. To choose an effort they are not needed: the guarantee of `09-choosing-effort` asks for the exact neighbors of a few hundred queries, and the lower line is their price.

# %% tags=["nbval-ignore-output"]
facts.record("cluster", out=out, **report.cluster_facts(rates, timings, planned_run, run, len(sample.base)))

# %% [markdown]
# ## Facts for the paper

# %% tags=["nbval-ignore-output"]
facts.record(
    "scale", out=out, k=k, ef=ef, target=f"{target:g}", draws=draws, queries=asked or len(sample.base), data=sample.name,
    **scale_facts.scale_facts(own, sample.name, k, target), **scale_facts.dimension_facts(own, k, target),
    part_points=min(part_points, len(sample.base)),
)  # fmt: skip

# %% tags=["nbval-ignore-output"]
facts.record(
    "cost", out=out, measured_in=measured_in, k=k_retrieved,
    **cost_tables.published_facts(earlier.published("retrieval")),
    **cost_tables.cost_facts(own_times, recalls, times, seed=seed),
    **cost_tables.ivf_facts(recalls if gallery else recalls.iloc[:0], "large_gallery"),
)  # fmt: skip

# %% [markdown]
# ## Answer
#
# With more points a fixed effort finds a share of the true neighbors that the first figure shows, and the effort that keeps the share need not grow in step, or at all; what it costs is distances, each of which costs in proportion to the dimension. What dimension and LID do to it is in the third figure, and no substitute for measuring.
# A line fitted on smaller sizes is a guess with an interval, and the test above says what such an interval was worth on these data: calibrate again at the size that is served, rather than extrapolate.
#
# Which part of a retrieval is the largest depends on the gallery. Below the crossing, a faster encoder is what helps; beyond it, an index, and the accuracy given up for its time has to be stated beside the time.
