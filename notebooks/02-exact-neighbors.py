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
# # Exact neighbors: what do they cost, and are they what the arithmetic says?
#
# Drift is measured against the true neighbors, so the true neighbors have to be true. That sounds like a matter of course: compute all
# distances, keep the smallest. Two things stand in the way. The first is cost. The number of distances grows with the square of the
# number of points, and so does the memory of the obvious program. The second is arithmetic. Fast programs do not subtract vectors; they
# expand the squared distance into $\lVert x\rVert^2 + \lVert y\rVert^2 - 2\,x\cdot y$, because a product of two matrices is what processors are best at,
# and they do so with seven digits. Two neighbors whose distances agree in those digits can then change places.
#
# This notebook measures four routes to exact neighbors on growing parts of the sample, and then counts how many neighbor lists
# float32 changes. What it finds decides how every later notebook gets its ground truth.

# %% tags=["parameters"]
vectors = "cifar10-resnet50"  # a bundled name, or the path of an .npy / .npz file
metric = "l2"
points = 2000  # points of the base used; 0 for all
queries = 500  # points of the base that are asked, leave-one-out; 0 for all
seed = 0
threads = 2  # search threads; graphs are built with one
out = ""  # folder of the run: facts, tables, cached indexes; empty to keep nothing
sizes = [125, 250, 500, 1000, 2000]  # numbers of points on which the routes are measured
naive_largest = 500  # the naive loop is measured up to this many points
k = 50  # neighbors found by each route
repeats = 2  # timed runs of each route at each size
ks = [10, 25, 50, 100, 250]  # neighborhood sizes at which float32 is compared with float64

# %%
import faiss

from neighborhood_drift import exact_cost, exact_neighbors, exact_shortcuts, facts, load_sample
from neighborhood_drift.figures import exact as draw
from neighborhood_drift.figures.style import use_style
from neighborhood_drift.tables import Table

use_style()
faiss.omp_set_num_threads(threads)
sample = load_sample(vectors, points=points, queries=queries, seed=seed, metric=metric)
base, rows = sample.base, sample.rows
n, d = base.shape
ks = [size for size in ks if size < n - 1] or [1]
sizes = [size for size in sizes if k < size <= n] or [n]
k = min(k, sizes[0] - 1)
print(f"{sample.name}: {n:,} points in {d:,} dimensions, {len(rows):,} of them asked; metric {metric}")

# %% [markdown]
# ## Four routes
#
# All four answer the same question: for each of $n$ points, which $k$ others are nearest? Each point is asked, and none is its own neighbor.
#
# 1. **The naive loop** takes one point at a time, subtracts it from all others in float64, squares, sums and sorts. It
#    needs $n\,d$ numbers at a time and reads all vectors again for every point.
# 2. **The n x n matrix** holds all squared distances at once, from the expansion in float32. One product of two matrices, then one selection for each row.
#    It is the shortest program, and the one that stops working first: its memory grows with $n^2$.
# 3. **The blocked product** is the route of this study. It computes the same product a tile at a time, keeps for each row those points that
#    float32 *cannot rule out*, and measures these again in float64. Tiles have a fixed size, and so have the lists of points kept at a time, so memory grows with $n$ only.
#    Each thread takes tiles of its own, so that the threads of products and those of selections do not take processors from each other.
# 4. **A library**: the flat index of FAISS [@douze2024], which blocks as well, in float32, and does not measure again.
#
# The third route rests on a bound. An inner product of $d$ terms in float32, summed in whatever order, is off by at most
# $\gamma_d \lVert x\rVert\lVert y\rVert$, where $\gamma_d = d\,u/(1 - d\,u)$ and $u = 2^{-24}$ [@higham2002]. So each expansion gives an interval in which the squared distance
# surely lies. A point whose interval begins beyond the $k$-th smallest interval end cannot be among the $k$ nearest; all
# others are candidates. Subtracting the mean of all points first, which leaves distances as they are, shortens the vectors and with them the intervals.
# The final order is that of float64 differences, and equal distances are ordered by the lower row number.
#
# The figure shows wall time (left) and memory (right). Memory is the peak of what NumPy allocates beyond the vectors themselves, traced while the route runs; FAISS
# allocates outside NumPy, so its own copy of the vectors is added by calculation, and its working blocks are not seen. Look at the slopes: parallel lines on these axes grow alike. Times hang on the machine and on
# what else runs on it.

# %% tags=["nbval-ignore-output"]
#| label: fig-exact-cost
#| fig-cap: "Cost of exact neighbors on growing samples, for four routes. Left: wall time of the fastest run, with a band to the slowest. Right: peak memory beyond the vectors, traced where NumPy allocates it; that of FAISS is partly calculated. Both axes are logarithmic, so a slope is an exponent."
#| fig-alt: "Two line charts against the number of points, both axes logarithmic: time on the left and memory on the right, one line for each of the naive loop, the n x n matrix, the blocked product and the flat FAISS index."
costs = exact_cost.costs(base, sizes, k=k, metric=metric, naive_largest=naive_largest, repeats=repeats)
draw.cost(costs)

# %% [markdown]
# The exponents below are fitted to these points: the cost is taken as $c\,n^b$, and $b$ is the slope of a straight line through the logarithms, with
# Student's 95 % interval. The column *sizes* counts the numbers of points that a fit rests on; they are fewest for the naive loop. In the limit all four take time proportional to $n^2 d$, and the memory of the matrix grows with $n^2$, that of the others with $n$. On
# samples as small as the smallest here, costs that do not grow weigh more: starting threads, a block of products, rows of $k$ results. An exponent
# below its limit says that a route is still paying those, and a line that is higher on the left of the figure can be lower on its right.

# %% tags=["nbval-ignore-output"]
#| label: tbl-exact-exponents
#| tbl-cap: "Time and memory at the largest size on which each route was run, the number of sizes that its fit rests on, and the exponents b of c n^b, for time with its 95 % interval."
fits = exact_cost.exponents(costs)
Table(fits, digits={"mib": 1, "time_exponent": 2, "time_low": 2, "time_high": 2, "memory_exponent": 2})

# %% [markdown]
# A faster machine moves the lines on the left down. Nothing but more memory moves the line of the matrix on the right, and it needs four times
# as much for twice the points. The next cell says how many points fill the memory of this machine with one float32
# matrix, with no room for anything else, and what the whole search costs the blocked route at the sample's full size. The cost is set against the bare
# product, the least that any route by the expansion must do; of the product of a matrix with its own transpose NumPy computes one half and mirrors it. Both are run in turns, and the fastest run of each counts.

# %% tags=["nbval-ignore-output"]
limit = int(float(f"{exact_cost.largest_matrix():.2g}"))  # two digits: the system's memory is not all for us
full = exact_cost.search_cost(base, k=k, metric=metric)
memory_gib = facts.fixed(exact_cost.machine_memory() / exact_cost.MIB / 1024, 1)
print(f"an n x n float32 matrix fills this machine's memory of {memory_gib} GiB at n = {limit:,}")
print(f"blocked product, all {n:,} points: {full['seconds']:.2f} s and {full['mib']:,.0f} MiB")
print(f"{full['ratio']:.1f} times the time of the bare float32 product of the vectors with themselves")

# %% [markdown]
# ## Two shortcuts
#
# When each point asks for its own neighbors, two things are known twice. A product of points $i$ and $j$ is also one of $j$ and $i$, so half of
# the products do: a tile of them serves its rows, and turned, its columns. And the float64 distance from $i$ to $j$ is the one
# from $j$ to $i$ to the last bit, because both sum the same squares in the same order; where each is in the list of the other, it is measured once.
#
# A third thing need not be known. Whoever asks for ids alone needs no distance where the *order* is proven without it. Sort the candidates by
# their intervals: two intervals that do not touch have an order that no later arithmetic can change, and only within a run of
# intervals that do touch float64 has to decide. How many do touch hangs on their length. The bound grows with the number of terms in a sum, so the sum
# is taken in chunks of the dimensions that are added up afterwards: a product of two coordinates passes through as many roundings as a chunk is long and
# the chunks are many, not through one for each dimension. Nothing of this changes a result; tests compare ids and distances to the last bit.
#
# The table counts what remains. *Products* are float32 inner products, as a share of all pairs of points; *distances* are float64 distances measured, for
# each place of the lists. On few points tiles are few, and the share of products stays above one half. Times are set against the product
# of two arrays. NumPy computes one half of the product of an array with itself, as the shortcut does, so its row says what is left to save.

# %% tags=["nbval-ignore-output"]
#| label: tbl-exact-shortcuts
#| tbl-cap: "What shortcuts leave of exact leave-one-out search: float32 products as a share of all pairs, float64 distances measured for each place of the lists, wall time of the fastest run, and its ratio to the bare product of two arrays. The first two rows are bare products, without any neighbors."
saved = exact_shortcuts.shortcuts(base, k=k, metric=metric, repeats=repeats)
Table(saved, digits={"products": 2, "distances": 2, "seconds": 3, "ratio": 2})

# %% [markdown]
# ## What float32 does to the order
#
# The expansion subtracts large numbers to get a small one. Where $\lVert x\rVert^2$ is a thousand times the squared distance, three of seven digits
# are gone. Two signs of this can be counted. A *negative* squared distance cannot be; and the distance of a point to itself should be zero. The root of
# what is left in its place is given as a share of the distance to the true first neighbor: it says how near a neighbor would have to be to drown in the rounding.

# %% tags=["nbval-ignore-output"]
truth = exact_neighbors(base, base[rows], k=max(ks) + 1, exclude=rows, metric=metric)
changes, signs = exact_cost.float32_errors(base, rows, truth.first(max(ks)), ks, metric=metric)
print(f"negative squared distances: {signs['negative']:,} of {len(rows) * n:,}")
print(f"queries whose distance to themselves is not zero: {facts.percent(signs['own_nonzero'])}")
print(f"largest distance to oneself, as a share of the mean first distance: {facts.percent(signs['own_largest'], 2)}")
print(f"largest relative error of the distance to a true neighbor: {facts.number(signs['error'])}")

# %% [markdown]
# What matters for this study is whether lists change. A list can change in two ways: its *order* (some place holds another point, though the
# points may be the same), or its *set* (a true neighbor is lost to another point at the border). Order feels every near tie inside the list, and a longer list has more of
# them; the set feels only the ties at its end. So the line for the order should rise with $k$ and lie above the line for the set.

# %% tags=["nbval-ignore-output"]
#| label: fig-float32-changes
#| fig-cap: "Share of queries whose list of k neighbors is changed by computing distances in float32 through the expansion: in its order, and in its set."
#| fig-alt: "Line chart of the share of queries against the neighborhood size k, one line for lists changed in order and one for lists changed in the set of points."
draw.float32_changes(changes)

# %% tags=["nbval-ignore-output"]
#| label: tbl-float32-changes
#| tbl-cap: "Lists changed by the float32 expansion: shares of queries with another order and another set, and neighbors lost per list on average."
Table(changes, digits=4)

# %% [markdown]
# The exact numbers in these cells hang on the order in which a processor sums a product, and can differ from one machine to the next. That is
# a finding too: without the second measurement in float64, the *ground truth* could differ from machine to machine.
#
# ## Ties
#
# Where two distances are equal to the last bit of float64, no arithmetic can say which point is nearer, and a rule has to: the lower row number. If
# such a tie stands at the border of a list, the rule decides which ids count as true, and an index that returns the other one is charged for a difference that means
# nothing. The table counts such lists. It is the reason why the later notebooks report tie-aware recall beside overlap.

# %%
#| label: tbl-ties
#| tbl-cap: "Queries with equal float64 distances: somewhere within their k neighbors, between the k-th neighbor and the next, and with a neighbor at distance zero."
tied = exact_cost.ties(truth, ks)
Table(tied)

# %% tags=["nbval-ignore-output"]
largest = changes.iloc[-1]
order, border = facts.percent(largest["changed_order"]), facts.percent(largest["changed_set"], 2)
print(f"k = {largest['k']:.0f}: float32 changes the order of {order} of the lists and the set of {border};")
print(f"{tied['across'].max():,} of {len(rows):,} lists hang on the rule for ties")

# %% tags=["nbval-ignore-output"]
routes = fits.set_index("route")
facts.record(
    "exact",
    out=out,
    points=n,
    memory_gib=memory_gib,
    matrix_limit=limit,
    blocked_seconds=full["seconds"],
    blocked_mib=full["mib"],
    product_ratio=full["ratio"],
    **exact_shortcuts.shortcut_facts(saved),
    time_exponent=routes.loc["blocked product", "time_exponent"],
    naive_sizes=int(routes.loc["naive loop", "sizes"]),
    matrix_memory_exponent=routes.loc["n x n matrix", "memory_exponent"],
    negative=signs["negative"],
    own_distance=facts.percent(signs["own_largest"], 2),
    largest_k=int(largest["k"]),
    changed_order=order,
    changed_set=border,
    ties_across=int(tied["across"].max()),
    queries=len(rows),
)

# %% [markdown]
# ## Answer
#
# Exact neighbors cost a product of the vectors with themselves, plus a second look at the few points that the product cannot rule out.
# Asked for all points at once, half of the product does, and ids alone need that second look only where the bound leaves their order open.
# The product can be taken in blocks, so memory need not grow with the square of the number of points; a program that keeps the whole matrix is limited
# by memory long before it is limited by time.
#
# Whether float32 alone would do depends on the question. The sentence above the facts says how many lists it changes on these vectors. For a measure that counts ids and reports
# shares of them in the third decimal, a changed border here and there is small; as a *reference* it is not acceptable, because the changes can differ between processors and cannot
# be told from drift. Everything from here on is therefore compared with neighbors whose ids and order are proven, with distances in float64.
