"""Data sets as collections: what their points carry, and that what is kept is a shortcut only."""

import shutil

import numpy as np
import pytest

from neighborhood_drift.checks import InputError
from neighborhood_drift.datasets import load_dataset
from neighborhood_drift.images import THUMBNAIL
from neighborhood_drift.retrieval import bundled
from neighborhood_drift.retrieval.bundled import sample_collection


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NEIGHBORHOOD_DRIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bundled, "KEPT", 10)
    return tmp_path / "cache" / "collections"


def archive(folder, **more):
    values = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    pictures = np.random.default_rng(1).integers(0, 256, (40, THUMBNAIL, THUMBNAIL, 3), dtype=np.uint8)
    arrays = {"vectors": values, "labels": np.arange(40) % 3, "images": pictures, "queries": values[:5] + 1, **more}
    np.savez(folder / "mine.npz", **{name: array for name, array in arrays.items() if array is not None})
    return folder / "mine.npz", arrays


def test_points_are_the_rows_with_label_and_picture(cache, tmp_path):
    path, arrays = archive(tmp_path)
    collection, small, queries = sample_collection(path)
    assert collection.ids() == list(range(40)) and np.array_equal(collection.vectors(range(40)), arrays["vectors"])
    assert [one["label"] for one in collection.metadata([0, 1, 5])] == ["0", "1", "2"]
    assert np.array_equal(queries, arrays["queries"]) and collection.encoder is None
    assert all(np.array_equal(np.asarray(small.picture(row)), arrays["images"][row]) for row in range(40))
    assert len(sample_collection(path, points=7)[0]) == 7


def test_without_labels_pictures_and_queries(cache, tmp_path):
    path, _ = archive(tmp_path, labels=None, images=None, queries=None)
    collection, small, queries = sample_collection(path)
    assert collection.metadata([3]) == [{}] and small.png(3) is None and queries is None


def test_what_is_kept_is_used_again_and_only_where_it_is_the_same(cache, tmp_path, monkeypatch):
    path, arrays = archive(tmp_path)
    first, _, _ = sample_collection(path)
    (kept,) = cache.iterdir()
    with monkeypatch.context() as patched:
        patched.setattr(bundled, "_built", lambda *_: pytest.fail("built again"))
        again, _, _ = sample_collection(path)
    asked = arrays["queries"]
    assert first.search(asked, 5).ids == again.search(asked, 5).ids and again.metadata([2]) == first.metadata([2])
    for collection in (first, again):
        with pytest.raises(InputError):
            collection.save()  # what was kept is no place to save changes to
    again.delete([1])
    assert len(sample_collection(path)[0]) == 40

    shutil.rmtree(kept)
    again.save(kept)
    assert len(sample_collection(path)[0]) == 40, "a changed one is built again"
    with monkeypatch.context() as patched:
        patched.setattr(bundled, "_built", lambda *_: pytest.fail("built again"))
        sample_collection(path)
    for file in kept.rglob("vectors.npy"):
        file.write_bytes(file.read_bytes()[:-1])
    assert len(sample_collection(path)[0]) == 40, "a damaged one is built again"
    archive(tmp_path, vectors=arrays["vectors"] + 1)
    assert np.array_equal(sample_collection(path)[0].vectors([4])[0], arrays["vectors"][4] + 1)
    assert len(list(cache.iterdir())) == 2


def test_a_cache_that_cannot_be_written_is_no_hindrance(cache, tmp_path):
    cache.parent.write_text("a file where the folder would be")
    assert len(sample_collection(archive(tmp_path)[0])[0]) == 40


def test_the_bundled_sample_carries_its_encoder_and_pictures(cache):
    data = load_dataset("cifar10-resnet50")
    collection, small, queries = sample_collection(points=9)
    assert collection.encoder == data.provenance["encoder"] and queries.shape == data.queries.shape
    assert collection.metadata([8]) == [{"image": data.names[8], "label": data.classes[data.labels[8]]}]
    assert np.array_equal(np.asarray(small.picture(8)), data.images[8])
    with pytest.raises(InputError, match=r"points is -1"):
        sample_collection(points=-1)
