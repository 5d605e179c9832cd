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
# # Choosing the effort: which ef keeps drift below what I can bear, how surely, and at which price?
#
# Overlap rises with effort and falls with $k$, by how much depends on the vectors, and the exact neighbors that would tell are what an approximate index is there to avoid. But they can be found for a *few* queries.
# A few hundred queries with their exact neighbors say how much an index loses at each ef, up to chance; and chance can be allowed for. This notebook asks four questions:
#
# 1. Which ef does such a sample certify, for which $k$ and which target, and what does a search at it cost?
# 2. Does the guarantee hold? The choice is made a great number of times, from samples drawn anew, where the truth is known.
# 3. How far above the least ef that would do does the choice land, and what does the sample cost?
# 4. Do simpler rules do as well: ef in proportion to $k$, or the drift law of `05-search-effort` fitted on a single search?

# %% tags=["parameters"]
vectors = "cifar10-resnet50"  # a bundled name, or the path of an .npy / .npz file
metric = "l2"
points = 2000  # points of the base used; 0 for all
queries = 500  # points of the base that are asked, leave-one-out; 0 for all
seed = 0
threads = 2  # search threads; graphs are built with one
out = ""  # folder of the run: facts, tables, cached indexes; empty to keep nothing
pool_queries = 900  # points asked in all, in place of the parameter above; 0 for all
pilot_queries = 100  # of these, those that only set where the lists of ef begin and end
sample_queries = 400  # those that an effort is chosen on
ks = [10, 50, 100]
k = 100  # where only one is asked
targets = [0.9, 0.95, 0.99]  # mean overlaps
wanted = "overlap=0.99"  # the target of the first choice
share_target = "below-0.9=0.05"  # at most a share of the queries below an overlap
geometric = ["distance-ratio=1.005", "barycenter=0.02", "lid-bias=0.05"]  # targets of shape
confidence = 0.95
resplits = 1000  # samples drawn anew in each test of the guarantee
sizes = [100, 200, 500, 1000]  # of samples
engines = ["faiss-hnsw", "hnswlib", "faiss-ivf"]  # the first two stand for two ways to use effort
alphas = [0.5, 1.0, 2.0, 4.0]  # of ef in proportion to k
probe_ef = 50  # of the search that the law is fitted on
probe_k = 250  # neighbors asked for there
also = ["cifar10-resnet18", "fashion-mnist"]  # further data, where at hand
data_dir = ""  # folder that holds data sets that are not bundled

# %% [markdown]
# ## The setting
#
# One draw of points is asked, leave-one-out, in random order; their exact neighbors are known. They are cut in two parts. A *pilot* of few queries decides where the list of ef that is tried begins and ends. The *pool* is everything else:
# samples are drawn from it, and its mean is the truth that a choice is held against. So no query has a part in choosing the list and in testing on it. The list holds four values of ef for each doubling,
# up to where the pilot's lists are all but exact, and one of twice that.
#
# "ef" stands for whatever an engine calls its effort. FAISS's default keeps its effort at efSearch whatever $k$ is; the same graph with an unbounded queue, and hnswlib, search with
# $\max(\text{ef}, k)$, so that there is a lowest effort, a little above $k$; in an inverted file it is the number of cells opened.

# %%
import numpy as np
import pandas as pd

from neighborhood_drift import InputError, choosing, choosing_words, facts, families, simple_rules, validation
from neighborhood_drift import choosing_facts as cited
from neighborhood_drift import choosing_tables as tables
from neighborhood_drift.calibration import MeanOverlap, calibration_sample, parse_target, queries_needed
from neighborhood_drift.datasets import absent, load_others, load_sample
from neighborhood_drift.figures import choosing as draw_choice
from neighborhood_drift.figures import guarantee as draw
from neighborhood_drift.figures import summary as draw_summary
from neighborhood_drift.figures.style import use_style
from neighborhood_drift.separate import DISTANCES
from neighborhood_drift.summaries import label
from neighborhood_drift.tables import Table

use_style()

# %%
cache = f"{out}/cache" if out else None
sample = load_sample(vectors, points=points, seed=seed, metric=metric)
base = sample.base
ks = sorted({each for each in ks if each < len(base) - 1}) or [len(base) - 2]
k, targets, sizes = min(k, len(base) - 2), sorted(set(targets)), sorted(set(sizes))
drawn = {"size": pool_queries or len(base), "metric": metric, "seed": seed}
deepest = max(*ks, k, probe_k)
asked = calibration_sample(base, min(deepest, len(base) - 2), **drawn)
pilot, pool = choosing.split(asked, pilot_queries)
print(f"{sample.name}: {len(base):,} points in {base.shape[1]:,} dimensions, k up to {max(*ks, k)}")
print(f"{len(pilot.queries)} pilot queries, {len(pool.queries)} in the pool")

# %%
made, missing = families.build_all(engines, base, metric=metric, seed=seed, threads=threads, cache=cache)
if not made:
    raise InputError(f"none of the engines can be built here: {' '.join(missing['reason'])}")
if "faiss-hnsw" in made:
    made["faiss-hnsw-unbounded"] = made["faiss-hnsw"].unbounded()
    made["faiss-hnsw-unbounded"].threads = threads
first = next(iter(made))
shown = [name for name in (first, "faiss-hnsw-unbounded") if name in made]
for row in missing.itertuples():
    print(f"{row.engine}: {row.reason}")
indexes = {(sample.name, name): index for name, index in made.items()}

# %% [markdown]
# ## One choice, as a user makes it
#
# This is what `python -m neighborhood_drift tune` does. The queries of a sample are searched at a list of ef that was fixed beforehand. For each ef there is a mean loss, and an upper bound that the mean over *all* such queries exceeds with a small probability only.
# From the largest ef down, each is tested at the full level, and the first that fails ends it. A wrong choice needs the first ef that is really not good enough to pass, and that has the probability of one test, however many are made
# (a fixed sequence of tests [@bauer1991; @angelopoulos2025]). The order was not chosen from the data, which is what this rests on.
#
# The bound bets against a mean loss that is too high [@waudbysmith2024]: it is narrow where losses hardly vary, as they do near an overlap of one. What is promised is about the mean over queries that are drawn as the sample was, on this one index.

# %%
target = parse_target(wanted)
choice = choosing.choose(made[first], target, k, pool.part(slice(sample_queries)), confidence)
print(f"{choice.queries} queries, {len(choice.efs)} values of ef; {choice.method_text}")

# %% tags=["nbval-ignore-output"]
print(choice.sentence)

# %% [markdown]
# Look at the gap between the two lines: it is what the sample's size costs. The chosen ef is where the bound, not the measured mean, last keeps to the good side of the target. The bar is another thing: how far the measured value itself is uncertain, at this one ef.

# %%
#| label: fig-choosing-one
#| fig-cap: "One choice: the measured value on the sample and its bound against ef, the target, and the smallest ef that is certified to reach it; the bar at it is the 95 % interval over queries of the measured value."
#| fig-alt: "Two curves that fall together as ef grows, a horizontal target line, and a vertical line at the ef chosen."
goal = {"quantity": target.quantity, "ideal": float(target.value(0.0)), "goal": target.goal}
draw_choice.tune(choice.table, ef=choice.ef, interval=choice.interval, effort=made[first].effort or "ef", **goal)

# %% [markdown]
# The sample has to be paid for once: exact neighbors of its queries, each a distance to every point, and a search at every ef tried. The last row counts it in searches at the ef chosen: after so many queries it is as much as was spent on them.

# %% tags=["nbval-ignore-output"]
#| label: tbl-choosing-cost
#| tbl-cap: "What the choice of the figure above cost: seconds, distances computed a query of the sample, and the searches at the chosen ef that compute as many distances."
cost = tables.calibration_cost(choice, len(base))
Table(pd.DataFrame({"cost": [name.replace("_", " ") for name in cost], "value": list(cost.values())}), digits=1)

# %% [markdown]
# ## Which ef, for which k, at which price
#
# A sample has a least size. Even where no query of it has a loss, the bound on the mean is about $\ln(1/\delta)$ over the number of queries, $\delta$ being one minus the confidence, so that a tenth of the loss takes ten times as many queries. The cell below prints how many for each target. With fewer, nothing is certified, whatever the index does, and
# `choose_ef` says so before it searches. In the tables here such a target reads "none".
#
# Now for several $k$ and targets. Each choice is made on the first queries of the pool and checked on the others. In the table the certified ef stands before the least ef, in brackets, that is good enough over the whole pool. Look at how the least ef grows with $k$: in proportion,
# faster, or more slowly? Where effort follows $k$, see from which $k$ on the lowest effort is already good enough, so that nothing is left to choose.
#
# All these choices come from one sample. Each holds by itself with the confidence stated; that *all* hold at once is less sure. Who needs that divides what the confidence leaves, $\delta$, by the number of choices.

# %%
share = parse_target(share_target)
measured = {"overlap": MeanOverlap(targets[0]), "below": share}
searched = {}
for name in shown:
    for each in ks:
        grid = choosing.effort_grid(made[name], each, pilot)
        searched[name, each] = choosing.search_losses(made[name], pool, each, grid, measured, cache=cache)
setting = {"size": sample_queries, "points": len(base), "confidence": confidence, "seed": seed}
chosen = tables.choices(searched, targets, **setting)
for least in targets:
    print(f"mean overlap of {least:g}: at least {queries_needed(MeanOverlap(least), confidence):,} queries")

# %% tags=["nbval-ignore-output"]
#| label: tbl-choosing-k
#| tbl-cap: "Certified ef for each k and mean overlap, and in brackets the least ef, of those tried, that is good enough over the whole pool; none: no ef is certified by a sample of this size. Each choice holds by itself at the confidence stated, not all of them at once."
Table(tables.by_k(chosen), digits=2)

# %% tags=["nbval-ignore-output"]
#| label: tbl-choosing-price
#| tbl-cap: "The certified efforts: the bound (of that one ef by itself: what is guaranteed is the target), the mean overlap of the queries that had no part in the choice, and what a search costs, in distances a query, a neighbor, and as a share of an exact search's."
Table(tables.price(chosen), digits={"ef": 0, "distances a query": 0, "distances a neighbor": 1, "target": 2})

# %% [markdown]
# ## Does the guarantee hold?
#
# A guarantee is a statement about samples: of all samples that could have been drawn, at least the stated share chooses an ef that is good enough. So samples are drawn from the pool with replacement, again and again. The pool is then the population that the guarantee speaks of, and its mean loss at each ef the truth.
# A sample that certifies nothing has promised nothing; it counts as one that kept its promise, and its share is shown. Samples drawn *without* replacement are held against the queries left over, a test with a noise of its own.
#
# A target that lies far from the mean of any ef tried is easy to keep. Therefore each case is tried twice: at the target as asked, and at the **hardest** limit near it, which the loss of one ef exceeds by a hair. There nothing separates a right choice from a wrong one but the bound.
# Why so hard? A target given in round numbers usually falls between the losses of two neighboring values of ef, well away from both, and then even a careless rule picks the same ef for nearly every sample. Coverage near one at such targets says that the list is coarse, and little about the bound.
#
# The cases are several engines here, and the first of them on other data; with a target for the share of queries beside those for the mean. Where effort follows $k$ they are at the smallest $k$, since at larger ones the lowest effort may do for all targets. An open point is lacking
# where no ef has a loss near the limit.

# %%
held_to = {f"overlap \u2265 {least:g}": ("overlap", MeanOverlap(least)) for least in targets[-2:]}
held_to[f"\u2264 {share.share:.0%} below {share.overlap:g}"] = ("below", share)
found = []
for name, index in made.items():
    # where effort follows k, the smallest k is the one that needs a choice
    follows = choosing.lowest_effort(index, k) > k
    for each in sorted({min(ks), k}) if name == first else [min(ks) if follows else k]:
        if (name, each) not in searched:
            grid = choosing.effort_grid(index, each, pilot)
            searched[name, each] = choosing.search_losses(index, pool, each, grid, measured, cache=cache)
        found.append((sample.name, name, each, searched[name, each]))

# %%
others = load_others(also, data_dir=data_dir, points=points, seed=seed, metric=metric, besides=sample)
further = {one.name: one.base for one in others}
further["normal, 24 dims"] = np.random.default_rng(seed).normal(size=(len(base), 24)).astype(np.float32)
elsewhere, probed, pools = [], {}, {sample.name: (pilot, pool)}
for name, other in further.items():
    made_there, _ = families.build_all([first], other, metric=metric, seed=seed, threads=threads, cache=cache)
    index = indexes[name, first] = made_there[first]
    small, large = choosing.split(calibration_sample(other, min(deepest, len(other) - 2), **drawn), pilot_queries)
    pools[name] = small, large
    probed[name] = simple_rules.probe(index, large.part(slice(sample_queries)), probe_ef)
    for each in [each for each in sorted({*ks, k}) if each < len(other) - 1]:
        grid = choosing.effort_grid(index, each, small)
        one = choosing.search_losses(index, large, each, grid, measured, cache=cache)
        elsewhere.append((name, first, each, one))
print(f"not at hand: {', '.join(absent(also, data_dir)) or 'none'}")

# %%
test = {"size": sample_queries, "times": resplits, "confidence": confidence, "seed": seed}
guarantee = validation.validated(found + [case for case in elsewhere if case[2] == k], held_to, **test)

# %% [markdown]
# Look at the open points: they should lie at the dashed line or to the right of it, up to their intervals. Filled ones show what to expect of a target that was not chosen to be hard.

# %%
#| label: fig-choosing-coverage
#| fig-cap: "Share of samples whose chosen ef is really good enough, with 95 % intervals (Clopper-Pearson), for each data set, search and target: filled at the target as asked, open at the hardest limit near it; dashed, the level promised."
#| fig-alt: "One row a case; points near or at one hundred percent, none of the intervals wholly left of the dashed line if the promise is kept."
draw.coverage(guarantee, confidence)

# %% tags=["nbval-ignore-output"]
#| label: tbl-choosing-coverage
#| tbl-cap: "The cases of the figure: share of samples that kept the promise, with its interval; share kept when judged by the queries not drawn; share of samples that certified nothing; and the ef chosen over the least that is good enough, median (5 % to 95 % of samples)."
Table(tables.held(guarantee))

# %% [markdown]
# ### What the bound is worth, and what more queries give
#
# The same test by the size of the sample and by the bound: three bounds, and the sample's mean taken at its word. With the mean alone, a choice at the hardest limit hangs on the side of it to which the sample's mean happens to fall. See on the left how often that is the right one, and whether a larger sample helps: it makes the error smaller, but need not make it rarer.
# Look right for the price of being sure: with more queries a bound comes closer to the mean, and the ef chosen should come closer to the least one. A bound that asks for more queries than there are certifies nothing, and has no point.
# Samples are drawn with replacement, so that one can be larger than the pool. Where no ef has a loss near the limit, there is no hardest one, and the coverage is not available.
#
# Three bounds are compared. Betting is the default for a mean. Clopper and Pearson's is exact for coins, so each query is made one: one of its true neighbors is drawn, and counts as lost or found; that keeps the mean and throws away what more is known of the query [@clopper1934]. The empirical Bernstein bound is a formula in the mean and the variance [@maurer2009].

# %%
whole = next(one for _, name, each, one in found if (name, each) == (first, k))
asked_for = MeanOverlap(targets[-2:][0])
grown = {"sizes": sizes, "times": resplits, "confidence": confidence, "seed": seed}
bounds = ["betting", "clopper-pearson", "empirical-bernstein", "sample-mean"]
bounded = validation.by_size(whole.losses["overlap"], whole.efs, asked_for.limit, bounds=bounds, **grown)

# %%
#| label: fig-choosing-size
#| fig-cap: "By the sample's size, for three bounds and for the sample's mean alone: share of samples whose choice keeps the hardest limit, or that certify nothing (left, with 95 % intervals; dashed, the level promised), and the ef chosen over the least one that is good enough, at the limit as asked (right; median and 5 % to 95 % of samples)."
#| fig-alt: "Left, a line for each of three bounds and for the sample's mean, and the level promised, dashed. Right, the ef chosen over the least one, a line each."
draw.by_size(bounded, confidence)

# %% tags=["nbval-ignore-output"]
#| label: tbl-choosing-size
#| tbl-cap: "The values of the figure, and the share of samples whose choice keeps the limit as it was asked: where that lies between the losses of two efforts, a sample's mean tells them apart more easily."
Table(tables.sizes(bounded))

# %% [markdown]
# ## Targets of shape
#
# Distances, barycenters and local dimension have no natural largest value, so a loss is cut at a stated one; their means are controlled *in expectation* [@angelopoulos2024]: the expected loss of the ef chosen, over the draw of the sample and of one further query, is within the limit.
# No confidence enters: single samples may miss the limit. What has to hold is that the *mean over samples* of the loss at their choice does not exceed it, the hardest limit included.
#
# The cases are again several engines here and the first of them on other data, all but the first at the smallest $k$; the population is as many queries of each pool as a sample has, since shapes take longer to measure than overlap. Look for a mean whose whole interval is on the wrong side of its limit.

# %%
formed = {text: parse_target(text) for text in geometric}
shapes = {text: (text, shape) for text, shape in formed.items()}
shaped = []
for data, name in [(sample.name, name) for name in engines if name in made] + [(name, first) for name in further]:
    index, (small, large) = indexes[data, name], pools[data]
    each = min(k if (data, name) == (sample.name, first) else ks[0], large.exact.k)
    grid = choosing.effort_grid(index, each, small, low=0.6)
    part = large.part(slice(sample_queries))
    shaped.append((data, name, each, choosing.search_losses(index, part, each, grid, formed, cache=cache)))
risk = validation.validated(shaped, shapes, **test)

# %% tags=["nbval-ignore-output"]
#| label: tbl-choosing-shape
#| tbl-cap: "Targets of shape, by data set and search: the limit, the mean over samples of the true value at the ef they chose, with its 95 % interval, and the ef chosen over the least that is good enough, median (5 % to 95 % of samples)."
table = tables.risks(risk, shapes)
table.insert(0, "data", list(risk["data"]))
Table(table)

# %% [markdown]
# ## Simpler rules
#
# The second of the earlier studies proposed ef $= \alpha k$ [@cooper2026]. It needs no sample, and it gives no overlap: which one it reaches is found out afterwards. The **drift law** needs one search: at one ef the share of queries that visited the $r$-th true neighbor is measured for all ranks, two constants are
# fitted, and the law gives the overlap at every $k$ and ef. Where effort follows $k$ it is asked at an effort of $\max(\text{ef}, k)$, for a search visits what a fixed effort of that size visits. Between the efforts searched, overlap is read off a line over $\log$ ef.
#
# Look at where the points stand against the dashed line: below it the target is missed (open), above it effort is wasted. A rule that serves would keep to the line at every $k$, on all data.

# %%
probed[sample.name] = simple_rules.probe(made[first], pool.part(slice(sample_queries)), probe_ef)
grids = [(sample.name, name, each, one) for (name, each), one in searched.items() if name in shown] + elsewhere
ruled = [
    simple_rules.rules(one, each, targets, alphas, probed[data], indexes[data, name]).assign(data=data, engine=name)
    for data, name, each, one in grids
]
ruled = pd.concat(ruled, ignore_index=True)

# %%
#| label: fig-choosing-rules
#| fig-cap: "Simpler rules for a mean overlap of the middle target: the ef they give over the least that is good enough, against k, for ef in proportion to k (the factor at the end of each line; factors whose lines end together share one label) and for the drift law fitted on one probe; open where the target is missed."
#| fig-alt: "Panels by data set and search; a line for each fixed factor and one for the drift law, about the dashed line of the least good ef."
draw.rules(ruled, targets[len(targets) // 2])

# %% tags=["nbval-ignore-output"]
#| label: tbl-choosing-rules
#| tbl-cap: "Simpler rules over all pairs of k and target: how many they meet, by how much they fall short at worst, and the least and largest ratio of their ef to the least that is good enough."
Table(tables.simpler(ruled))

# %% [markdown]
# ## The answer on one page

# %%
told = (
    f"Data: {sample.name}, {len(base):,} vectors in {base.shape[1]:,} dimensions, compared by {DISTANCES[metric]}. "
    "Queries are points of the base, each left out of its own answer: the ef in the charts are certified on "
    f"{min(sample_queries, len(pool.queries) // 2):,} of them at a confidence of {facts.percent(confidence, 0)}, and the least ef is "
    f"that over {len(pool.queries):,}."
)
words = {"title": "Which ef, for which k, at which price?", "data": told}
words |= {"tested": f"overlap \u2265 {asked_for.least:g} at k = {k}", "terms": choosing_words.terms(shown)}
words["rule"] = choosing_words.rule_in_words(choice, len(base), sample.name)

# %%
#| label: fig-summary
#| fig-cap: "Which ef, for which k, at which price: the certified ef and the least that is good enough, what a search at it costs, how often such a choice keeps its promise, and the rule in words. The page stands alone."
#| fig-alt: "A page with four charts and a text: ef against k for two searches, the price of a search against k, the coverage against the size of the sample, and the steps of the rule."
draw_summary.page(chosen, bounded, words, level=confidence)

# %% [markdown]
# ## Facts for the paper

# %% tags=["nbval-ignore-output"]
facts.record(
    "choosing", out=out, n=len(base), pool=len(pool.queries), pilot=len(pilot.queries), k=k, resplits=resplits,
    sample=min(sample_queries, len(pool.queries) // 2), confidence=facts.percent(confidence, 0),
    engine=label(first), metric=metric, wanted=wanted, **cited.chosen_facts(choice, len(base)),
    **cited.choice_facts(chosen, ("faiss-hnsw", "faiss-hnsw-unbounded"), cited.CITED_KS, (0.9, 0.95, 0.99)),
    **cited.guarantee_facts(guarantee, confidence), **cited.size_facts(bounded),
    **cited.risk_facts(risk), **cited.rule_facts(ruled, alphas), **cited.needed_facts(confidence),
)  # fmt: skip

# %% [markdown]
# ## Answer
#
# A sample of queries with exact neighbors, a list of ef fixed beforehand, and a bound: the smallest ef that passes, from the largest down, is good enough with the confidence stated, for queries like those of the sample on this index. The coverage
# figure is the test of that, at limits made to be hard; the figure by size sets the sample's mean beside it, which promises nothing when it is taken at its word. What certainty costs is an ef above the least one, by the ratios of the tables; a larger sample costs less of it. A sample too small for its target certifies nothing, and
# `choose_ef` says so. Each choice holds by itself, for its own $k$ and target.
#
# Whether one $\alpha$ would do for all $k$ and targets is told by the lines of the last figure but one: it would where they run level. Where effort follows $k$, a choice is needed only as long as the lowest effort is not good enough. The drift law needs one search and makes no promise; the table
# says how often it misses, and by how much. The numbers hold for one graph a data set; the procedure is what carries over, and `python -m neighborhood_drift tune` runs it.
