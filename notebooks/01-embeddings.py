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
# # Embeddings: what kind of cloud do the image vectors form, and is it one in which neighbors are hard to find?
#
# Everything that follows in this study happens inside one cloud of points: the vectors that a network gives to images. Whether an approximate index
# finds a point's neighbors depends on the shape of that cloud at least as much as on the index. A cloud in which the nearest neighbor stands out is easy for any
# index; one in which all points are nearly equally far is hard for all of them. Before any index is built, this notebook therefore describes the cloud by
# numbers that are known to go with difficulty [@aumuller2021]: how many directions it fills, how much nearer neighbors are than strangers,
# whether some points are everyone's neighbors, whether points coincide, and what dimension it has around a typical point.

# %% tags=["parameters"]
vectors = "cifar10-resnet50"  # a bundled name, or the path of an .npy / .npz file
metric = "l2"
points = 2000  # points of the base used; 0 for all
queries = 500  # points of the base that are asked, leave-one-out; 0 for all
seed = 0
threads = 2  # search threads; graphs are built with one
out = ""  # folder of the run: facts, tables, cached indexes; empty to keep nothing
ks = [10, 20, 50, 100]  # neighborhood sizes of the dimension estimates; the first is that of the hubs
pairs = 50_000  # random pairs whose distance is measured
shown = 6  # classes in the grid of images, and queries in the grid of neighbors

# %% [markdown]
# The sample is drawn once, by seed, from the vectors named above. Images are shown where the vectors come with them; vectors from a user's own file
# often do not, and the two pictures below then say so in one line. Every number below is computed on the points used, with all of them as
# queries, each left out of its own answer: hubs and dimension are properties of the whole cloud, so thinning the queries would change what is measured.

# %%
import numpy as np
import pandas as pd

from neighborhood_drift import describe, facts, load_sample
from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.figures import embeddings as draw
from neighborhood_drift.figures.style import use_style
from neighborhood_drift.lid import lid, lid_harmonic_mean
from neighborhood_drift.tables import Table

use_style()
sample = load_sample(vectors, points=points, queries=queries, seed=seed, metric=metric)
base = sample.base
ks = [k for k in ks if k < len(base)] or [2]
print(f"{sample.name}: {base.shape[0]:,} points of {base.shape[1]:,} dimensions")
print("with images" if sample.images is not None else "without images: the two grids below stay empty")

# %% [markdown]
# ## The images
#
# The bundled vectors are those of CIFAR-10's test images [@krizhevsky2009], photographs of $32 \times 32$ pixels in ten classes, enlarged to the input size of a
# ResNet-50 [@he2016] that was trained on ImageNet. The network never saw the ten classes as such. What to look for: how much the
# pictures of one class differ in color, background and pose, because an embedding that is good for search has to look through all of that.

# %%
#| label: fig-images
#| fig-cap: "Images behind the vectors, drawn at random; one class a row where classes are known."
#| fig-alt: "Grid of small images, with the name of each class at the left of its row."
draw.image_grid(sample.images, sample.labels, sample.classes, rows=shown, seed=seed)

# %% [markdown]
# ## Lengths and zeros
#
# A ResNet's pooled features are averages of rectified activations, so no coordinate is negative, and a coordinate is exactly zero where its channel stayed
# silent over the whole image. Two things follow. The cloud sits in one corner of the space, away from the origin, so cosine and Euclidean distance
# can order neighbors differently; how differently depends on how much the lengths vary. And a coordinate that is zero for most images
# carries little: the effective number of directions is below the nominal one. The figure shows the spread of both. A narrow left
# panel means that Euclidean and cosine neighbors nearly agree; a right panel far from zero means that the vectors are sparse.

# %%
norms, zeros = describe.norms(base), describe.zero_share(base)

# %%
#| label: fig-lengths
#| fig-cap: "Distribution over the points of the Euclidean length of their vectors (left) and of the share of coordinates that are exactly zero (right)."
#| fig-alt: "Two histograms side by side: vector lengths and shares of zero coordinates."
draw.lengths(norms, zeros)

# %% [markdown]
# ## How many directions the cloud fills
#
# The singular values of the centered vectors say how the variance is spread over orthogonal directions. With $v_i$ the variance along direction $i$, the participation
# ratio $(\sum_i v_i)^2 / \sum_i v_i^2$ counts the directions that take part: it is the nominal dimension $d$ when all variances are equal and 1 when the points lie on a line. It is a
# *linear* and *global* measure: a curved sheet fills many directions although it is thin everywhere. That is why a local measure follows further below, and why the two need not agree.
# Look at how steeply the left curve falls, and at how much variance the right curve has reached at the dashed line.

# %%
singular = describe.singular_values(base)
participation = describe.participation_ratio(singular)
share = np.cumsum(singular**2) / np.sum(singular**2)
components_90 = int(np.searchsorted(share, 0.9)) + 1

# %%
#| label: fig-spectrum
#| fig-cap: "Singular values of the centered vectors, relative to the largest, against their rank (left); share of the variance that the first components hold, the participation ratio dashed (right)."
#| fig-alt: "Left: a falling curve on two logarithmic axes. Right: a curve rising to one, with a dashed vertical line at the participation ratio."
draw.spectrum(singular, participation)

# %% [markdown]
# ## Near and far
#
# In high dimension distances concentrate: the nearest neighbor and a random point come to be almost equally far, and a search that follows small differences
# loses its way. The relative contrast (He, Kumar and Chang 2012), the mean distance of random pairs over the mean distance to the nearest neighbor, puts a
# number on it: near 1, every point is about as near as the nearest one, and a search has little to go by; a well separated nearest neighbor gives 2 or more. In the figure, look at how far the hill of the neighbors stands to the
# left of the hill of random pairs, and how much the hill of the farther neighbors already runs into it: where these two overlap, the true neighbors of one query lie
# farther away than the strangers of another, and no fixed radius fits all queries.

# %%
nb = exact_neighbors(base, k=max(ks), metric=metric)
nearest = nb.distances[:, 0]
strangers = describe.pair_distances(base, pairs, seed=seed, metric=metric)
contrast = describe.relative_contrast(strangers, nearest)

# %%
#| label: fig-distances
#| fig-cap: "Distribution of the distance from each point to its nearest neighbor and to the farthest of its neighbors used here, and of the distance of random pairs."
#| fig-alt: "Three overlapping histograms: nearest neighbors at small distances, farther neighbors between, random pairs at large distances."
draw.distances(strangers, nearest, nb.distances[:, -1], nb.k, metric=metric)

# %% [markdown]
# A number does not say whether near means *alike*. The next grid does, where there are images: a few queries, each followed by its exact nearest neighbors in this sample. Neighbors that are other photographs of
# the same kind of thing are what makes such vectors worth searching; neighbors that share only a background color would make the study an exercise.

# %%
#| label: fig-neighbors
#| fig-cap: "Queries (framed), each with its exact nearest neighbors in the sample, nearest first."
#| fig-alt: "Grid of small images; each row starts with a framed query image, followed by its nearest neighbors."
draw.neighbor_grid(sample.images, sample.rows[:shown], nb.ids[sample.rows[:shown]])

# %% [markdown]
# ## Hubs
#
# Every point *has* $k$ neighbors, but how often it *is* a neighbor of others, its $k$-occurrence, is not the same for all: the mean is $k$, and in high dimension the distribution grows a long right tail
# [@radovanovic2010]. Points in the tail are hubs. Those at the other end, which are nobody's neighbor, matter more to a graph index: it can find a point only by an edge that leads to it, and
# points that nobody is near are the ones that edges tend to miss. The skewness of the $k$-occurrence is the usual number: 0 for a symmetric distribution, above 1 for a cloud with marked hubs. Look at
# how far the points reach to the right of the dashed mean.

# %%
occurrence = describe.k_occurrence(nb, len(base), k=min(ks))
skew = describe.hubness(occurrence)

# %%
#| label: fig-hubs
#| fig-cap: "Share of points that are among the nearest neighbors of at least so many others, on two logarithmic axes; the mean is dashed. Points that are nobody's neighbor are not drawn."
#| fig-alt: "Falling scatter of points on logarithmic axes that reaches far to the right of a dashed vertical line at the mean."
draw.occurrence(occurrence, min(ks))

# %% [markdown]
# ## Duplicates
#
# Two points with the same vector cannot be told apart by any distance: which of them an index returns is chance, and counting ids would blame it for that. Exact duplicates are points whose vector equals an
# earlier one number by number. Near duplicates are counted by a rule that needs no scale: a nearest neighbor nearer than a quarter of the median nearest distance. If the table shows more than a few, the later notebooks'
# tie-aware recall is to be preferred to overlap by id.

# %%
twins, close = describe.exact_duplicates(base), describe.near_duplicates(nearest)
counts = {"exact duplicates": twins, "near duplicates": close, "in nobody's list": int((occurrence == 0).sum())}
counts["largest k-occurrence"] = int(occurrence.max())

# %%
#| label: tbl-duplicates
#| tbl-cap: "Points that repeat an earlier vector, points with an unusually near neighbor, points in nobody's list of nearest neighbors, and the list memberships of the largest hub."
Table(pd.DataFrame({"what": list(counts), "points": list(counts.values())}))

# %% [markdown]
# ## Dimension, seen from a point
#
# Around a point in an $m$-dimensional sheet the number of neighbors within $r$ grows as $r^m$, whatever the dimension of the space around it. Maximum likelihood turns the distances to $k$ neighbors into an estimate of $m$ at each
# point [@levina2004; @amsaleg2015]; the harmonic mean over points is the estimate for the cloud [@mackay2005]. TwoNN [@facco2017] uses the two nearest neighbors alone, which keeps it local but sensitive to noise and duplicates. Estimates
# fall as $k$ grows where the sheet has edges or the density changes within $k$ neighbors. All of them are biased low when the dimension is high and points are few, so they are to be
# compared between data sets of one size, not read as the truth.

# %%
estimates = [lid(nb.first(k)) for k in ks]
low, high = zip(*[np.nanquantile(values, [0.25, 0.75]) for values in estimates], strict=True)
harmonic = [lid_harmonic_mean(values) for values in estimates]
table = pd.DataFrame({"k": ks, "harmonic": harmonic, "low": low, "high": high})
two_nn = describe.two_nn(nb)

# %%
#| label: fig-dimension
#| fig-cap: "Intrinsic dimension by maximum likelihood against the number of neighbors used (harmonic mean over points; band: the middle half of the points), and by TwoNN."
#| fig-alt: "A line with a band over the number of neighbors used, and a diamond at two neighbors for TwoNN."
draw.dimension(table, two_nn)

# %%
#| label: tbl-dimension
#| tbl-cap: "Intrinsic dimension by maximum likelihood: harmonic mean over points, lower and upper quartile over points."
Table(table.rename(columns={"harmonic": "harmonic mean", "low": "lower quartile", "high": "upper quartile"}), digits=1)

# %% [markdown]
# ## Facts for the paper

# %%
facts.record("embeddings", out=out, data=sample.name, n=len(base), dimension=base.shape[1], norm_mean=norms.mean(), norm_variation=norms.std() / norms.mean(),
             zero_share=facts.percent(zeros.mean()), participation_ratio=participation, components_90=components_90)  # fmt: skip

# %%
facts.record("embeddings", out=out, pair_mean=strangers.mean(), nearest_mean=nearest.mean(), contrast=facts.fixed(contrast, 2), hub_k=min(ks), hubness=facts.fixed(skew, 2),
             largest_hub=int(occurrence.max()), never_neighbor=facts.percent(np.mean(occurrence == 0)), exact_duplicates=twins, near_duplicates=close)  # fmt: skip

# %%
facts.record("embeddings", out=out, lid_k=max(ks), lid=facts.fixed(harmonic[-1], 1), two_nn=facts.fixed(two_nn, 1), checksum=sample.checksum[:16],
             images=facts.count(0 if sample.images is None else len(sample.images)))  # fmt: skip

# %%
print("linear directions:", "few" if participation < base.shape[1] / 4 else "many", "of the nominal ones take part")
print("local dimension:", "below" if harmonic[-1] < participation else "not below", "the participation ratio")
print("hubs:", "marked" if skew > 1 else "not marked", "| contrast:", "low" if contrast < 2 else "high", "| duplicates:", "few" if twins + close < 0.01 * len(base) else "many")  # fmt: skip

# %% [markdown]
# ## Answer
#
# The last lines above say in words, and the facts in numbers, what cloud the later notebooks work in; both are computed from the vectors this copy was run on. Three readings matter for what follows. If the contrast is low and
# the local dimension is above ten or so, approximate search has to work for its recall, and a fixed effort will show its limits as $k$ grows: such a cloud can show drift. If hubs are marked, some points are
# easy for every query and some are on nobody's list, so a mean over queries hides a spread, which is why the later notebooks give intervals and shares beside their means. And if duplicates are few, a lost
# id is a lost neighbor, and the overlap of ids may be read as it stands; if they are many, the tie-aware recall beside it is the fair one.
