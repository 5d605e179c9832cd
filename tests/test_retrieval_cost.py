"""The cost of a retrieval: timed searches and encoders, where the larger part changes, and published times."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from neighborhood_drift import cost_tables, crossings, earlier, extraction, retrieval_cost
from neighborhood_drift.bundle import Part, write_bundle
from neighborhood_drift.checks import InputError
from neighborhood_drift.datasets import Sample, load_sample
from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.figures import scale as draw
from neighborhood_drift.images import open_images, survey
from neighborhood_drift.retrieval_cost import COLUMNS, FLAT, FULL_SORT, IVF_256, IVF_ROOT, PARTIAL_SORT, RANDOM

UNITS = retrieval_cost.random_units(300, 16, 0)
SAMPLE = Sample(UNITS, np.arange(0, 300, 5), None, None, "made", "0", {})
METHODS = {FULL_SORT, PARTIAL_SORT, FLAT}


@pytest.fixture(scope="module")
def on_gallery():
    return retrieval_cost.on_gallery(SAMPLE, [1, 4, 999], k=5, asked=40, repeats=3, batches=[1, 4])


# ---- searches


def test_brute_force_finds_the_exact_neighbors_by_both_ways():
    exact = exact_neighbors(UNITS, UNITS[:20] + 0.01, k=7, metric="cosine")
    for way in (retrieval_cost.full_sort, retrieval_cost.partial_sort):
        assert np.array_equal(way(UNITS, UNITS[:20] + np.float32(0.01), 7), exact.ids)


def test_random_vectors_are_of_length_one_and_seeded():
    assert np.linalg.norm(UNITS, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(UNITS, retrieval_cost.random_units(300, 16, 0))
    assert not np.array_equal(UNITS, retrieval_cost.random_units(300, 16, 1))


def test_every_search_is_timed_at_every_size_batch_and_repeat():
    table = retrieval_cost.on_random([40, 90], [4, 8], k=50, repeats=3, batches=[1, 5], cells=True)
    training = table[table["part"] == "training"]
    assert set(training["method"]) == {IVF_ROOT, IVF_256} and len(training) == 4
    table = table[table["part"] == "search"]
    counts = table.groupby(["method", "n", "dimension", "batch"]).size()
    assert set(counts) == {3} and (table["seconds"] >= 0).all() and list(table) == COLUMNS
    assert set(table.loc[table["n"] == 40, "method"]) == METHODS
    assert set(table.loc[table["n"] == 90, "method"]) == METHODS | {IVF_ROOT, IVF_256}


def test_large_galleries_are_left_out_where_they_would_not_fit():
    table = retrieval_cost.on_random([40, 90, 200], [4, 16], k=5, repeats=1, most=1500)
    assert table.groupby("dimension")["n"].unique().map(list).to_dict() == {4: [40, 90, 200], 16: [40, 90]}
    assert set(retrieval_cost.on_random([40, 90], [16], repeats=1, most=1)["n"]) == {40}


@pytest.mark.parametrize("held", [5, 6, 100])
def test_every_timed_search_gets_a_whole_batch_and_all_take_turns(held):
    seen = []
    asked = np.arange(held * 2.0).reshape(held, 2)
    tasks = [
        ((name,), lambda queries, name=name: seen.append((name, queries)), batch)
        for name, batch in (("a", 4), ("b", 3))
    ]
    rows = retrieval_cost.in_turns(tasks, asked, 5)
    before, timed = seen[::2], seen[1::2]
    assert [name for name, _ in timed] == [name for name, _ in before] == ["a", "b"] * (5 + retrieval_cost.WARM)
    assert [len(queries) for name, queries in timed] == [4, 3] * (5 + retrieval_cost.WARM)
    taken = np.concatenate([queries for name, queries in timed if name == "a"])
    assert np.array_equal(taken, asked[np.arange(len(taken)) % held]), "one after the other, from the start again"
    assert all(
        len(one) == 1 and one[0, 0] not in queries[:, 0] for (_, one), (_, queries) in zip(before, timed, strict=True)
    )
    assert [row[:3] for row in rows] == [(name, batch, i) for name, batch in (("a", 4), ("b", 3)) for i in range(5)]


def test_timed_searches_ask_all_methods_for_the_same_k_of_unit_vectors(monkeypatch):
    asked = {}
    real = retrieval_cost.in_turns

    def recorded(tasks, queries, repeats):
        assert np.linalg.norm(queries, axis=1) == pytest.approx(1, abs=1e-6)
        asked.update({(about[0], about[1]): search.keywords["k"] for about, search, _ in tasks})
        return real(tasks, queries, repeats)

    monkeypatch.setattr(retrieval_cost, "in_turns", recorded)
    longer = Sample(UNITS * 3, SAMPLE.rows, None, None, "made", "0", {})
    retrieval_cost.on_gallery(longer, [2], k=7, asked=9, repeats=1)
    assert set(asked.values()) == {7} and {method for part, method in asked if part == "search"} == {
        *METHODS, IVF_ROOT, IVF_256,
    }  # fmt: skip


def test_recall_rises_with_nprobe_to_that_of_exact_search(on_gallery):
    recalls, times = on_gallery
    for method, rows in recalls.groupby("method"):
        assert rows["nprobe"].is_monotonic_increasing and rows["recall"].is_monotonic_increasing
        assert rows["recall"].iloc[-1] == 1 and rows["nprobe"].iloc[-1] == rows["nlist"].iloc[-1], method
        assert ((rows["recall_low"] <= rows["recall"]) & (rows["recall"] <= rows["recall_high"])).all()
        assert (rows["share"] > 0).all() and rows["share"].is_monotonic_increasing
    assert set(times["method"]) == METHODS | {IVF_ROOT, IVF_256} and set(times["batch"]) == {1, 4}


def test_a_gallery_with_a_vector_of_zeros_is_searched_by_distance():
    base = np.vstack([UNITS[:30], np.zeros((1, 16), np.float32)])
    recalls, _ = retrieval_cost.on_gallery(Sample(base, np.arange(31), None, None, "z", "", {}), [9], k=99, repeats=1)
    assert set(recalls["metric"]) == {"l2"}


def test_a_folder_of_embedded_images_is_a_gallery(tmp_path):
    for i in range(30):
        (tmp_path / "pictures" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (i, i, i)).save(tmp_path / "pictures" / "ab"[i % 2] / f"{i}.png")
    listed = open_images(tmp_path / "pictures")
    part = Part(UNITS[:30], listed.names, listed.labels, survey(listed, progress=False).thumbnails)
    write_bundle(tmp_path / "made", {"base": part}, listed.classes, {"images": "pictures"}, listed, tmp_path / "work")
    sample = load_sample(tmp_path / "made", queries=9)
    recalls, times = retrieval_cost.on_gallery(sample, [1, 30], k=4, repeats=2, batches=[1, 3])
    assert set(recalls["n"]) == set(times["n"]) == {30} and set(recalls["gallery"]) == {"made"}
    assert recalls.groupby("method")["recall"].last().eq(1).all()
    shown = cost_tables.ivf_table(recalls, recalls.assign(run="a separate run"))
    assert set(shown["gallery"]) == {"made", "made (separate run)"} and len(shown) == 2 * len(recalls)
    assert shown["overlap"].iloc[-1] == "1.000 (1.000 to 1.000)" and set(shown["vectors"]) == {30}
    assert len(cost_tables.ivf_table(recalls, pd.DataFrame(columns=["source", "run"]))) == len(recalls)


def test_the_median_is_not_moved_by_a_slow_repeat():
    quiet, disturbed = [1.0] * 20, [1.0] * 17 + [50.0] * 3
    assert retrieval_cost.typical(quiet) == (1.0, 1.0, 1.0)
    assert retrieval_cost.typical(disturbed)[0] == 1.0
    assert np.isnan(retrieval_cost.typical([])).all()


# ---- encoders


def test_encoders_are_timed_with_random_weights_where_none_are_at_hand(tmp_path):
    pytest.importorskip("torchvision")
    table = extraction.measure(["resnet18"], weights_dir=str(tmp_path), batches=[1, 2], repeats=2)
    assert set(table["gallery"]) == {extraction.RANDOM_WEIGHTS} and set(table["dimension"]) == {512}
    assert (table.groupby(["part", "batch"]).size() == 2).all() and (table["seconds"] > 0).all()
    with pytest.raises(InputError, match="weights_dir is"):
        extraction.load("resnet18", str(tmp_path / "none"))
    with pytest.raises(InputError, match="encoder is 'resnet'"):
        extraction.measure(["resnet"])


def test_timing_encoders_leaves_torchs_threads_as_they_were():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        extraction.measure(["resnet18"], repeats=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_random_encoders_give_vectors_of_the_tables_length():
    pytest.importorskip("torchvision")
    encoder, words = extraction.load("mobilenet_v2")
    assert words == extraction.RANDOM_WEIGHTS
    vectors = encoder(extraction._pictures(2, 0))
    assert vectors.shape == (2, 1280) and np.isfinite(vectors).all()
    again, _ = extraction.load("mobilenet_v2")
    assert np.array_equal(again(extraction._pictures(2, 0)), vectors), "seeded"


def test_weights_at_hand_are_taken(tmp_path):
    torch = pytest.importorskip("torch")
    models = pytest.importorskip("torchvision.models")
    torch.save(models.get_model("resnet18", weights=None).state_dict(), tmp_path / "resnet18-mine.pth")
    assert extraction.load("resnet18", str(tmp_path))[1] == "resnet18-mine.pth"


# ---- comparison


def made(slope=1e-6, start=1e-3, image=0.02, repeats=9) -> pd.DataFrame:
    """Times that lie on lines, with a little scatter over the repeats."""
    scatter = 1 + 0.01 * np.linspace(-1, 1, repeats)
    rows = [
        ("search", method, RANDOM, n, d, 1, repeat, (start + slope * n) * share)
        for method in (FULL_SORT, FLAT)
        for n in (1000, 4000)
        for d in (512, 1280)
        for repeat, share in enumerate(scatter)
    ]
    rows += [
        (part, encoder, "random weights", 0, d, 1, repeat, image * share)
        for part in ("extraction", "network")
        for encoder, d in (("resnet18", 512), ("mobilenet_v2", 1280), ("clip", 512))
        for repeat, share in enumerate(scatter)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_the_size_where_both_parts_are_equal_is_found_with_its_interval():
    crossing = crossings.flips(made())
    assert len(crossing) == 6 and crossing["n"].to_numpy() == pytest.approx(19_000)
    assert ((crossing["low"] <= 19_000) & (crossing["high"] >= 19_000)).all()
    assert not crossing["measured"].any()
    assert crossings.flips(made(image=0.003))["measured"].all()


def test_between_two_measured_sizes_the_crossing_is_that_of_their_line():
    times = made(image=0.004)
    bent = times["seconds"].where(times["n"] != 4000, times["seconds"] * 2)
    crossing = crossings.flips(times.assign(seconds=bent))
    slope = (0.01 - 0.002) / 3000
    assert crossing["n"].to_numpy() == pytest.approx(1000 + (0.004 - 0.002) / slope) and crossing["measured"].all()


def test_beyond_the_sizes_the_interval_holds_what_each_fit_says():
    crossing = crossings.flips(made(image=0.05))
    line, through_the_origin = 49_000, 4000 * 0.05 / 0.005
    assert crossing["n"].to_numpy() == pytest.approx(line)
    assert (crossing["low"] <= through_the_origin).all() and (crossing["high"] >= line).all()


def test_a_search_that_does_not_grow_has_no_such_size():
    crossing = crossings.flips(made(slope=-1e-9))
    assert crossing[["n", "low", "high"]].isna().all(axis=None) and not crossing["measured"].any()
    assert crossings.flips(made().query("n != 4000")).empty


def test_times_are_those_of_one_run():
    own, kept = made(), made(image=0.5).assign(run="a separate run")
    only_search = own[own["part"] == "search"]
    assert cost_tables.chosen(own, kept) == (own, "this run")
    assert cost_tables.chosen(only_search, kept) == (kept, "a separate run")
    assert cost_tables.chosen(only_search, kept.iloc[:0]) == (only_search, "this run")


def test_the_published_table_is_shown_as_it_is_beside_ours():
    table = cost_tables.beside_published(earlier.published("retrieval"), made())
    assert len(table) == 12
    one = table.set_index(["method", "encoder"])
    assert one.loc[("feature extraction", "ResNet-18"), "published"] == pytest.approx(36.86)
    assert one.loc[(FULL_SORT, "MobileNetV2"), "published"] == pytest.approx(44.27)
    assert one.loc[("feature extraction", "CLIP ViT-B/32"), "here"] == pytest.approx(20)
    assert one.loc[(FLAT, "ResNet-18"), ["here", "n"]].tolist() == [pytest.approx(5), 4000]
    assert cost_tables.compared(table)["here"].eq("not available").sum() == 3, "IVF was not measured"
    trained = pd.DataFrame([("training", IVF_ROOT, RANDOM, 4000, 512, 0, 0, 7.0)], columns=COLUMNS)
    table = cost_tables.beside_published(earlier.published("retrieval"), pd.concat([made(), trained]))
    assert table.set_index(["method", "encoder"])["training"].dropna().to_dict() == {
        (IVF_ROOT, "ResNet-18"): 7, (IVF_ROOT, "CLIP ViT-B/32"): 7,
    }  # fmt: skip
    with pytest.raises(InputError, match="lacks brute_search_s"):
        cost_tables.beside_published(earlier.published("retrieval").query("method != 'brute_search_s'"), made())


def test_facts_exist_with_and_without_encoders(on_gallery):
    own = made()
    full = cost_tables.cost_facts(own, *on_gallery)
    assert full["extraction_resnet18_ms"] == "20.0" and full["extraction_resnet18_flip_sort"] == "19,000"
    assert full["batch"] == "4" and float(full["batch_gain_flat"]) > 0
    assert full["extraction_resnet18_flip_sort_where"] == "beyond the largest measured"
    assert full["extraction_search_512_flat_ms"] == "5.0" and full["extraction_gallery"] == "4,000"
    assert full["extraction_clip_dominates_flat"] == "the encoder" and full["gallery"] == "made"
    none = cost_tables.cost_facts(own[own["part"] == "search"], *on_gallery)
    assert set(none) == set(full)
    assert {none[name] for name in none if "extraction" in name} == {"not available"}
    kept = cost_tables.ivf_facts(on_gallery[0], "large_gallery")
    assert kept["large_gallery_name"] == "made" and kept["large_gallery_metric"] == "the cosine distance"
    assert kept["large_gallery_ivf_root_recall1"] == full["ivf_root_recall1"]
    absent = cost_tables.ivf_facts(on_gallery[0].iloc[:0], "large_gallery")
    assert list(absent) == list(kept) and set(absent.values()) == {"not available"}


def test_figures_draw_with_and_without_encoders(on_gallery):
    own = made()
    for times in (own, own[own["part"] == "search"]):
        assert len(draw.flip(times).axes) == 2
        assert len(draw.parts(cost_tables.beside_published(earlier.published("retrieval"), times)).axes) == 3
    assert draw.accuracy(*on_gallery).axes
