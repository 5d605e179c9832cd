"""The earlier studies' arithmetic on made tables with known answers, and their published numbers read closely."""

import numpy as np
import pandas as pd
import pytest

from neighborhood_drift import earlier
from neighborhood_drift.checks import InputError
from neighborhood_drift.earlier import then
from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.indexes import build_index
from neighborhood_drift.lid import lid as right_lid

PAD = np.float32(then.PAD)


@pytest.fixture(scope="module")
def seed():
    return earlier.published("seed")


@pytest.fixture(scope="module")
def successor():
    return earlier.published("successor")


@pytest.fixture(scope="module")
def ours():
    """600 points in 24 dimensions; at ef = 4 many searches for 40 end early."""
    base = np.random.default_rng(0).normal(size=(600, 24)).astype(np.float32)
    index = build_index("faiss-hnsw", base, M=4, ef_construction=40)
    return base, index, exact_neighbors(base, k=60)


# ---- as computed then


def test_one_pad_stays_in_the_mean_and_two_drop_the_query_from_both():
    exact = np.array([[1, 2, 3], [4, 5, 6], [10, 20, 30]], dtype=np.float32)
    approx = np.array([[1, 2, 3], [4, 5, PAD], [10, PAD, PAD]], dtype=np.float32)
    mean_exact, mean_ann, left_out = then.mean_distances(exact, approx)
    assert left_out == 1
    assert mean_exact == pytest.approx((2 + 5) / 2)  # 20, the dropped row's mean, is missing from the exact mean
    assert mean_ann * 3 * 2 / then.PAD == pytest.approx(1, rel=1e-6)  # one padded query of two kept, k = 3


def test_the_mean_is_nan_where_every_row_overflows():
    padded = np.full((2, 3), PAD)
    mean_exact, mean_ann, left_out = then.mean_distances(np.ones((2, 3), np.float32), padded)
    assert np.isnan(mean_exact)
    assert np.isnan(mean_ann)
    assert left_out == 2


def test_squared_distances_halve_lid_exactly(ours):
    """ln(r^2) = 2 ln(r); float32 and the eps of 1e-12 leave 1e-5."""
    exact = ours[2].first(30)
    squared = (exact.distances**2).astype(np.float32)
    assert np.allclose(then.lid(squared), right_lid(exact) / 2, rtol=1e-5)


def test_lid_on_exact_geometry():
    """Radii (i/k)^(1/m) have LID k-1 over m^-1 times the sum of ln(k/i): by hand for m = 1."""
    k = 50
    radii = np.arange(1, k + 1, dtype=np.float32)[None, :] / k
    by_hand = (k - 1) / np.sum(np.log(k / np.arange(1, k)))
    assert then.lid(radii)[0] == pytest.approx(by_hand, rel=1e-5)
    assert then.lid(radii**2)[0] == pytest.approx(by_hand / 2, rel=1e-5)


def test_a_zero_distance_weighs_as_ln_of_eps():
    squared = np.array([[0, 1, 1]], dtype=np.float32)
    assert then.lid(squared)[0] == pytest.approx(2 / -np.log(1e-12), rel=1e-6)


def test_a_pad_takes_the_place_of_the_last_distance():
    """Every ratio to 3.4e38 vanishes under eps, so k - 1 terms of ln(1e-12) are left, whatever the geometry."""
    squared = np.array([[1, 2, 3, PAD], [5, 50, 500, PAD]], dtype=np.float32)
    assert then.lid(squared) == pytest.approx(-1 / np.log(1e-12), rel=1e-6)


def test_a_missing_id_reads_the_last_vector(ours):
    base = ours[0]
    exact, approx = np.array([[0, 1, 2]]), np.array([[0, 1, -1]])
    by_hand = np.linalg.norm(base[exact[0]].mean(axis=0) - base[approx[0]].mean(axis=0))
    assert then.barycenter_shift(base, exact, approx)[0] == pytest.approx(by_hand, rel=1e-5)
    assert then.barycenter_shift(base, exact, approx) == pytest.approx(
        then.barycenter_shift(base, exact, np.array([[0, 1, len(base) - 1]]))
    )


def test_columns_agree_with_the_plain_loops(ours):
    """Written out query by query; float32 sums in another order agree to 1e-5."""
    base, index, _ = ours
    flat, found = then.flat_search(base, base, 21), then.hnsw_search(index, base, 21, 30)
    row = then.successor_columns(base, flat, found)
    overlaps, shifts, means = [], [], []
    for i in range(len(base)):
        true, returned = flat.ids[i, 1:], found.ids[i, 1:]
        overlaps.append(len(set(true) & set(returned)) / 20)
        shift = np.linalg.norm(base[true].mean(axis=0) - base[returned].mean(axis=0))
        shifts.append(shift / flat.squared[i, 1:].mean())
        means.append(found.squared[i, 1:].mean())
    assert row["padded"] == 0
    assert row["mean_overlap"] == pytest.approx(np.mean(overlaps))
    assert row["mean_barycenter_shift"] == pytest.approx(np.mean(shifts), rel=1e-4)
    assert row["mean_ann_dist"] == pytest.approx(np.mean(means), rel=1e-5)
    first = then.seed_columns(base, flat, found)
    assert first["similarity_k_exact"] == pytest.approx(flat.squared[:, -1].mean(), rel=1e-6)
    assert first["mean_overlap"] > row["mean_overlap"]  # the query is a sure hit


def test_the_query_is_at_distance_zero_in_hnsw_only():
    """In 1,000 dimensions the expansion rounds: |x|^2 near 1,000, times 6e-8 and some, leaves about 1e-4."""
    base = np.random.default_rng(1).normal(size=(500, 1000)).astype(np.float32)
    found = then.hnsw_search(build_index("faiss-hnsw", base, M=16), base, 5, 200)
    flat = then.flat_search(base, base, 5)
    assert (found.squared[:, 0] == 0).all()
    assert (flat.squared[:, 0] > 0).any()
    assert flat.squared[:, 0].max() < 1e-2


# ---- repeated on vectors of our own


def test_the_parts_of_the_lid_difference_sum_to_it(ours):
    base, index, exact = ours
    table = earlier.seed_study(base, index, exact, ks=[10, 40], ef=4)
    assert table["padded"].iloc[-1] > 0
    assert np.allclose(table[list(earlier.GAP)].sum(axis=1), table["gap"])
    assert np.allclose(table["gap"], table["lid_diff_mean"])


def test_nothing_is_lost_by_a_thorough_search(ours):
    """At ef = n every neighbor is found, and what remains of the published difference is the query's own distance."""
    base, _, exact = ours
    index = build_index("faiss-hnsw", base, M=16)
    table = earlier.seed_study(base, index, exact, ks=[10, 40], ef=len(base)).iloc[-1]
    assert table["mean_overlap"] == 1
    assert table["padded"] == 0
    # Float32 distances of HNSW against float64 ones of the control: seven digits of a LID near 2.
    assert table[["neighbors_lost", "query_lost", "pads"]].abs().max() < 1e-5
    assert table["right_lid_diff_mean"] == pytest.approx(0, abs=1e-12)
    assert table["right_mean_overlap"] == 1


def test_some_queries_give_what_all_of_them_give(ours):
    base, index, exact = ours
    rows = np.arange(0, len(base), 3)
    part = earlier.seed_study(base, index, exact.rows(rows), ks=[10], ef=20, rows=rows)
    returned = then.hnsw_search(index, base, 10, 20)
    all_hits = then.overlap(then.flat_search(base, base, 10).ids, returned.ids)
    assert part["mean_overlap"].iloc[0] == pytest.approx(all_hits[rows].mean())


def test_the_successor_study_counts_what_it_left_out(ours):
    base, index, _ = ours
    scarce = earlier.successor_study(base, index, ks=[40], efs=[4]).iloc[0]
    thorough = build_index("faiss-hnsw", base, M=16)
    plenty = earlier.successor_study(base, thorough, ks=[40], efs=[len(base)]).iloc[0]
    assert scarce["padded"] == scarce["one_missing"] + scarce["left_out"] > 0
    assert plenty["padded"] == 0
    assert plenty["mean_lid_diff"] == pytest.approx(0, abs=1e-3)


def test_another_engine_or_metric_is_refused(ours):
    base = ours[0][:100]
    with pytest.raises(InputError, match="faiss-hnsw with l2"):
        then.hnsw_search(build_index("hnswlib", base), base, 2, 5)
    with pytest.raises(InputError, match="faiss-hnsw with l2"):
        then.hnsw_search(build_index("faiss-hnsw", base, metric="cosine"), base, 2, 5)
    with pytest.raises(InputError, match="at least two"):
        then.lid(np.ones((3, 1)))


# ---- the published tables


def test_published_tables_are_whole(seed, successor):
    assert seed["k"].tolist() == list(range(10, 251, 10))
    assert (successor.groupby(["run", "study", "value"]).size() == 50).all()
    with pytest.raises(InputError, match="known are seed, successor"):
        earlier.published("third")
    with pytest.raises(InputError, match="missing"):
        earlier.published("seed", folder="nowhere")


def test_whole_queries_stand_behind_every_first_failure(successor):
    """Six digits give the number of queries kept to 0.05; 100 runs agreeing by chance is out of the question."""
    first = earlier.first_pads(successor)
    assert len(first) == 100  # ten runs of four efSearch, five efConstruction, one alpha
    assert (first["residual"] < 0.05).all()
    assert first["one_missing"].between(1, 16).all()
    assert (first["left_out"] < 100).all()


def test_pads_are_counted_from_a_made_table():
    """Two one-pad queries of 9,990 kept: mean = 2/9,990 x PAD / k, six digits."""
    mean = float(f"{2 / 9990 * then.PAD / 50:.6g}")
    table = pd.DataFrame({"run": [0, 0], "study": "efSearch", "value": 25, "k": 50, "mean_ann_dist": [mean, 120.0]})
    found = earlier.pads(table)
    assert len(found) == 1
    assert (found["one_missing"].item(), found["left_out"].item()) == (2, 10)
    assert found["residual"].item() < 0.05


def test_published_k_of_failure_is_found_again(successor):
    """The values of the study's own analysis: 80, 110, 180 and 320."""
    table = earlier.abrupt_failure(successor)
    assert table["k"].tolist() == [80, 110, 180, 320]
    assert (table["runs"] == 1).all()
    assert (table["one_missing"] <= 5).all()
    assert table["k_over_ef"].between(2, 3.5).all()
    at_25 = successor[(successor["study"] == "efSearch") & (successor["value"] == 25) & (successor["k"] == 80)]
    assert table["overlap"].iloc[0] == pytest.approx(at_25["mean_overlap"].mean())


def test_facts_list_what_stands_behind_each_failure(successor):
    facts, table = earlier.fact_values(successor), earlier.abrupt_failure(successor)
    assert facts["failure_ks"] == "80, 110, 180, 320"
    assert facts["failure_runs"] == "1, 1, 1, 1"
    missing = [int(count) for count in facts["failure_missing"].split(", ")]
    assert missing == (table["one_missing"] + table["left_out"]).tolist()


def test_each_verdict_has_its_own_last_word():
    """The names of the facts that count them are made of it."""
    assert len({verdict.split()[-1] for verdict in earlier.VERDICTS}) == len(earlier.VERDICTS)


def test_exact_means_were_bent(successor):
    bent = earlier.bent_exact(successor).set_index(["study", "value", "k"])
    assert bent.loc[("efSearch", 25, 500), "exact"] == pytest.approx(159.9, abs=0.05)
    assert bent.loc[("efSearch", 100, 500), "exact"] == pytest.approx(125.7, abs=0.05)
    assert (bent.loc["alpha"].loc[4.0, "ratio"] == 1).all()


def test_alpha_was_measured_on_the_last_index_built(successor):
    table = earlier.alpha_index(successor).set_index(["study", "value"])
    assert table["rows"].eq(30).all()
    assert table.loc[("efConstruction", 400), "equal"] == 30
    assert table["equal"].sum() == 30


def test_every_claim_gets_a_known_verdict_with_numbers(seed, successor, ours):
    base, index, exact = ours
    seed_ours = earlier.seed_study(base, index, exact, ks=[10, 50], ef=50)
    successor_ours = earlier.successor_study(base, index, ks=[10, 50], efs=[10])
    rows = []
    for study, values in {
        "efSearch": (10, 25, 50),
        "efConstruction": (50, 100),
        "alpha": (0.5, 2.0),
        "rule": (50,),
    }.items():
        for value in values:
            for k in (10, 30, 50, 60):
                good = min(1.0, value / k) if study == "efSearch" else 1.0
                row = {"overlap": good, "mean_distance_ratio": 2 - good, "kth_distance_ratio": 2 - good}
                row |= {"lid_difference": good - 1, "lid_exact": 9.0, "barycenter_shift": 1 - good}
                engine = "hnswlib" if study == "rule" else "faiss-hnsw"
                rows.append({"study": study, "value": value, "engine": engine, "k": k, **row})
    table = earlier.verdicts(
        seed, successor, means=pd.DataFrame(rows), seed_ours=seed_ours, successor_ours=successor_ours
    )
    assert set(table["verdict"]) <= set(earlier.VERDICTS)
    assert table["evidence"].str.contains(r"\d").all()
    assert not table["evidence"].str.contains("nan").any()
    verdict = table.set_index("claim")["verdict"]
    assert verdict["HNSW search fails when k exceeds a fixed efSearch"] == "holds where effort stays at efSearch"
    assert verdict["The exact mean distance, drawn beside each setting, is the reference"] == "artefact of the measure"
