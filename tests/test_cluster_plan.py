"""The plan for many points: costs fitted to timings, and what follows from them for a run of any size."""

import numpy as np
import pandas as pd
import pytest

from neighborhood_drift.cluster import report
from neighborhood_drift.cluster.neighbors import block_sizes
from neighborhood_drift.cluster.plan import Rates, plan, rates
from neighborhood_drift.figures import cluster as draw

TRUE = {"pair": 5e-8, "vector": 2e-6, "list": 1e-4, "fixed": 0.02}


def made(noise=0.0, seed=0):
    """Timings of tasks whose costs are known, each off by a random factor."""
    random, known = np.random.default_rng(seed), Rates(**TRUE, slot=0, byte=0, dimension=64, k=10, draws=None)
    rows = [
        ("search", q, b, repeat, known.task(q, b) * (1 + noise * random.normal()))
        for q in (1000, 4000)
        for b in (1000, 3000, 10_000)
        for repeat in range(3)
    ]
    rows += [("merge", 100, 20, repeat, 100 * 10 * 3e-7) for repeat in range(3)]
    rows += [("read", 0, 1000, repeat, 4 * 64 * 1000 * 2e-9) for repeat in range(3)]
    return pd.DataFrame(rows, columns=["kind", "queries", "points", "repeat", "seconds"])


def test_costs_are_found_again_from_timings_without_noise():
    found = rates(made(), 64, 10)
    assert {name: getattr(found, name) for name in TRUE} == pytest.approx(TRUE, rel=1e-6)
    assert (found.slot, found.byte) == pytest.approx((3e-7, 2e-9))
    low, high = found.interval(10**6)
    assert low == pytest.approx(found.run(10**6)) == pytest.approx(high)


def test_the_interval_holds_the_true_cost_where_timings_vary():
    """Of 40 sets of timings; a bootstrap of three repeats is narrow, so no share near 95 % is asked for."""
    truth = Rates(**TRUE, slot=3e-7, byte=2e-9, dimension=64, k=10, draws=None).run(10**6)
    limits = [rates(made(0.05, seed), 64, 10).interval(10**6) for seed in range(40)]
    assert all(low < high for low, high in limits)
    assert sum(low <= truth <= high for low, high in limits) >= 24


def test_a_run_costs_its_tasks_merges_and_reading():
    found = Rates(**TRUE, slot=3e-7, byte=2e-9, dimension=2048, k=100, draws=None)
    points, queries = block_sizes(2**20, 2**20, 2048, 100)
    assert 2**20 % points == 0 and 2**20 % queries == 0
    blocks = 2**20 // points
    tasks = blocks * (2**20 // queries) * found.task(queries, points)
    expected = tasks + 2**20 * 100 * (blocks - 1) * 3e-7 + 4 * 2048 * 2**20 * 2e-9
    assert found.run(2**20) == pytest.approx(expected)
    assert found.run(2**21, 500) == pytest.approx(2 * found.run(2**20, 500), rel=0.01)


def test_the_largest_run_of_a_day_takes_a_day():
    found = Rates(**TRUE, slot=3e-7, byte=2e-9, dimension=256, k=50, draws=None)
    assert found.run(found.largest(86_400)) == pytest.approx(86_400, rel=1e-3)


def test_the_plan_counts_tasks_and_bytes():
    found = rates(made(0.01), 2048, 100)
    table = plan(found, [10**6, 10**9], asked=500)
    assert table["points"].tolist() == [10**6, 10**6, 10**9, 10**9]
    assert table["asked"].tolist() == [10**6, 500, 10**9, 500]
    last = table.iloc[3]
    assert last["tasks"] == -(-(10**9) // 32768) and last["vectors_bytes"] == last["read_bytes"] == 8192 * 10**9
    assert last["lists_bytes"] == 500 * 100 * 16
    assert (table["low"] <= table["seconds"]).all() and (table["seconds"] <= table["high"]).all()
    (axes,) = draw.plan(table).axes
    assert [len(line.get_xdata()) for line in axes.lines[:2]] == [2, 2]


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
    assert facts["all_time"].endswith("years") and facts["planned_queries"] == 500
    rate = 4000 * 10_000 / Rates(**TRUE, slot=0, byte=0, dimension=64, k=10, draws=None).task(4000, 10_000) / 1e6
    assert float(facts["pairs_per_second"].split()[0]) == pytest.approx(rate, rel=0.05)
