"""The plan for many points: costs fitted to timings, and what follows from them for a run of any size."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from neighborhood_drift.cluster import blocks, report
from neighborhood_drift.cluster.neighbors import block_sizes
from neighborhood_drift.cluster.plan import Cost, Rates, plan, rates
from neighborhood_drift.figures import cluster as draw

TRUE = {"pair": 5e-8, "vector": 2e-6, "list": 1e-4, "fixed": 0.02}
SLOT, BYTE, K, D = 3e-7, 2e-9, 10, 64


def known(dimension=D, k=K) -> Rates:
    """Costs that are known to the last digit."""
    costs = (list(TRUE.values()), [SLOT], [BYTE])
    exact = (Cost(np.array(each), np.array(each), np.zeros((len(each), len(each))), 1) for each in costs)
    return Rates(*exact, dimension, k)


def made(noise=0.0, seed=0, repeats=8):
    """Timings of tasks whose costs are known, each off by a random factor."""
    random, true = np.random.default_rng(seed), known()
    rows = [
        ("search", q, b, repeat, true.task(q, b))
        for q in (400, 2400)
        for b in (400, 1600, 4000)
        for repeat in range(repeats)
    ]
    rows += [("merge", 100, 16 * K, repeat, 100 * 15 * K * SLOT) for repeat in range(repeats)]
    rows += [("read", 0, 1000, repeat, 4 * D * 1000 * BYTE) for repeat in range(repeats)]
    table = pd.DataFrame(rows, columns=["kind", "queries", "points", "repeat", "seconds"])
    table["seconds"] *= 1 + noise * random.standard_normal(len(table))
    return table


def test_costs_are_found_again_from_timings_without_noise():
    found = rates(made(), D, K)
    assert found.task_cost.seconds == pytest.approx(list(TRUE.values()), rel=1e-6)
    assert (found.slot.seconds[0], found.byte.seconds[0]) == pytest.approx((SLOT, BYTE))
    low, high = found.interval(10**6)
    assert low == pytest.approx(found.run(10**6)) == pytest.approx(high)


@pytest.mark.parametrize("asked", [None, 500])
@pytest.mark.parametrize("size", [5000, 10**9])
def test_the_interval_holds_the_true_cost_as_often_as_it_says(size, asked):
    """Of 400 sets of timings that scatter by 20 %; where a rate is held at zero, the interval is only wider."""
    truth = known().run(size, asked)
    limits = [rates(made(0.2, seed), D, K).interval(size, asked) for seed in range(400)]
    held = sum(low <= truth <= high for low, high in limits)
    assert binomtest(held, 400, 0.95, alternative="less").pvalue > 0.01


def test_a_narrower_level_holds_it_less_often():
    truth = known().run(10**9)
    limits = [rates(made(0.2, seed), D, K).interval(10**9, level=0.5) for seed in range(200)]
    held = sum(low <= truth <= high for low, high in limits)
    assert binomtest(held, 200, 0.5).pvalue > 0.01


def test_a_run_costs_its_tasks_merges_and_reading():
    found = known(2048, 100)
    points, queries = block_sizes(2**20, 2**20, 2048, 100)
    assert 2**20 % points == 0 and 2**20 % queries == 0
    blocks = 2**20 // points
    tasks = blocks * (2**20 // queries) * found.task(queries, points)
    work = tasks + 2**20 * 100 * (blocks - 1) * SLOT
    assert found.work(2**20) == pytest.approx(work)
    assert found.run(2**20) == pytest.approx(work + 2 * 4 * 2048 * 2**20 * BYTE)
    assert found.run(2**21, 500) == pytest.approx(2 * found.run(2**20, 500), rel=0.01)


def test_the_largest_run_of_a_day_takes_a_day():
    found = known(256, 50)
    assert found.run(found.largest(86_400)) == pytest.approx(86_400, rel=1e-3)


def test_the_plan_counts_tasks_and_bytes():
    table = plan(rates(made(0.01), 2048, 100), [10**6, 10**9], asked=500)
    assert table["points"].tolist() == [10**6, 10**6, 10**9, 10**9]
    assert table["asked"].tolist() == [10**6, 500, 10**9, 500]
    whole, sample = table.iloc[2], table.iloc[3]
    parts = -(-(10**9) // 32768)
    assert sample["tasks"] == parts and whole["tasks"] == parts**2
    assert sample["vectors_bytes"] == 8192 * 10**9 and sample["lists_bytes"] == 500 * 100 * 16
    assert sample["read_bytes"] == 3 * 8192 * 10**9 + (parts + 2) * 8192 * 500, "the base and two checksums; queries"
    assert whole["read_bytes"] == 2 * 8192 * 10**9 * (parts + 1), "a block of the base and one of queries, a task"
    merges = 1908 + 120 + 8 + 1
    assert whole["lists_written"] == (parts + merges + 1) * whole["lists_bytes"]
    assert (table["low"] <= table["seconds"]).all() and (table["seconds"] <= table["high"]).all()
    (axes,) = draw.plan(table).axes
    assert [len(line.get_xdata()) for line in axes.lines[:2]] == [2, 2]


def test_the_plan_reads_and_writes_what_a_run_does(tmp_path, monkeypatch):
    """The bytes of a run whose blocks are few, counted while its tasks are done one after another."""
    n, block, k, d = 100, 5, 4, 3
    np.save(tmp_path / "base.npy", np.random.default_rng(0).normal(size=(n, d)).astype(np.float32))
    work = blocks.Work(str(tmp_path), str(tmp_path / "base.npy"), "", "", n, n, block, block, k, "l2")
    rows, lists = [], []
    opened, written = blocks.open_array, blocks.write

    class Counted:
        def __init__(self, array):
            self.array = array

        def __getitem__(self, part):
            rows.append(len(self.array[part]))
            return self.array[part]

    monkeypatch.setattr(blocks, "open_array", lambda path, what: Counted(opened(path, what)))
    monkeypatch.setattr(
        blocks, "write", lambda file, ids, values: (lists.append(ids.shape), written(file, ids, values))
    )
    for i in range(work.query_blocks):
        for j in range(work.base_blocks):
            blocks.search(work, i, j)
        for level in range(1, work.levels + 1):
            for j in range(-(-work.base_blocks // blocks.FAN**level)):
                blocks.merge(work, level, i, j, ())
    monkeypatch.setattr("neighborhood_drift.cluster.plan.block_sizes", lambda *_: (block, block))
    told = plan(known(d, k), [n], asked=n).iloc[0]
    assert 4 * d * sum(rows) == told["read_bytes"] - 2 * told["vectors_bytes"]
    assert 16 * sum(q * found for q, found in lists) == told["lists_written"] - told["lists_bytes"]


def test_tables_and_facts_say_what_plan_and_run_hold():
    timings = made(0.01)
    found = rates(timings, 2048, 100)
    table = plan(found, [10**6, 10**9], asked=500)
    shown = report.plan_table(table)
    assert (
        shown["vectors"].tolist() == ["8.19 GB"] * 2 + ["8.19 TB"] * 2 and len(report.rates_table(timings, found)) == 6
    )
    run = {"same": False, "wall": 3.0, "peak": 4e8, "seconds": 5.0, "tasks": 8, "processes": 2}
    facts = report.cluster_facts(found, timings, table, run, 10_000)
    assert facts["run_same"] == "not the same as" and facts["run_peak"] == "400 MB" and facts["all_lists"] == "1.60 TB"
    assert facts["all_time"].endswith("years") and facts["planned_queries"] == 500 and facts["block"] == "256 MiB"
    assert float(facts["run_ratio"]) == pytest.approx(5 / found.work(10_000), abs=0.006)
    rate = 2400 * 4000 / known().task(2400, 4000) / 1e6
    assert float(facts["pairs_per_second"].split()[0]) == pytest.approx(rate, rel=0.05)
