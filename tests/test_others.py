"""Further data: Fashion-MNIST, labels of their own, shared files, and the main measurement on what is at hand."""

import gzip
import json
import shutil

import at_hand
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from neighborhood_drift import idx, others
from neighborhood_drift.bundle import Part, read_bundle, share_files, write_bundle
from neighborhood_drift.checks import InputError
from neighborhood_drift.datasets import absent, bundled_folder, find_others, load_dataset, load_others, load_sample
from neighborhood_drift.figures import drift as draw
from neighborhood_drift.images import ImageList, open_images
from neighborhood_drift.labels import with_labels

SECOND = "cifar10-resnet18"
STL10 = bundled_folder() / "stl10-labels" / "labels.json.gz"


# ---- the second bundled sample


def test_the_second_sample_is_of_the_same_images():
    first, second = load_dataset("cifar10-resnet50"), load_dataset(SECOND)
    assert second.vectors.shape == (10_000, 512) and second.queries.shape == (1_000, 512)
    assert second.vectors.dtype == np.float16
    assert second.names == first.names and second.classes == first.classes
    assert np.array_equal(second.labels, first.labels) and np.array_equal(second.images, first.images)
    assert second.provenance["identity"]["images"] == first.provenance["identity"]["images"]
    assert (bundled_folder() / SECOND / second.provenance["license"]).is_file()
    assert f"`{SECOND}/`" in (bundled_folder() / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def pair(tmp_path):
    """Two bundles of the same three images, side by side, with vectors of their own."""
    images = ImageList("made", ("a.png", "b.png", "c.png"), lambda i: Image.new("RGB", (32, 32), (i, 0, 0)))
    pictures = np.stack([np.asarray(images.read(row)) for row in range(3)])
    for name, vectors in (("one", np.eye(3)), ("two", np.eye(3) + 1)):
        part = Part(vectors.astype(np.float32), images.names, np.array([0, 1, 1]), pictures)
        write_bundle(tmp_path / name, {"base": part}, ("x", "y"), {}, images, tmp_path / "work")
    return tmp_path / "one", tmp_path / "two"


def test_what_two_bundles_share_is_kept_once(pair):
    one, two = pair
    before = read_bundle(two)[0]["base"]
    assert set(share_files(two, one)) == {"base-labels.npy", "base.jpg", "names.json", "originals.zip"}
    assert sorted(path.name for path in two.iterdir()) == ["base.npy", "provenance.json"]
    after = read_bundle(two)[0]["base"]
    for part in ("vectors", "labels", "images"):
        assert np.array_equal(getattr(after, part), getattr(before, part))
    assert after.names == before.names
    assert share_files(two, one) == [] and share_files(one, two) == [], "no file is given back and forth"
    (one / "base.jpg").write_bytes(b"changed")
    with pytest.raises(InputError, match=r"one/base.jpg does not match its checksum"):
        read_bundle(two)
    (one / "base.jpg").unlink()
    with pytest.raises(InputError, match=r"one/base.jpg is missing"):
        read_bundle(two)


def test_files_are_shared_side_by_side_alone(pair, tmp_path):
    one, two = pair
    shutil.copytree(one, tmp_path / "deeper" / "one")
    for other in (two, tmp_path / "deeper" / "one"):
        with pytest.raises(InputError, match="side by side"):
            share_files(two, other)


# ---- Fashion-MNIST


def packed(array):
    array = np.asarray(array, np.uint8)
    sizes = b"".join(int(size).to_bytes(4, "big") for size in array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


@pytest.mark.parametrize("shape", [(5,), (4, 3), (4, 3, 2)])
def test_idx_comes_back_as_it_was_written(tmp_path, shape):
    array = np.random.default_rng(0).integers(0, 256, shape)
    (tmp_path / "a.gz").write_bytes(packed(array))
    assert np.array_equal(idx.read_idx(tmp_path / "a.gz"), array)
    assert np.array_equal(idx.read_idx(tmp_path / "a.gz", 2), array[:2])
    assert np.array_equal(idx.read_idx(tmp_path / "a.gz", 99), array)
    assert idx.read_idx(tmp_path / "a.gz", 0).shape == (0, *shape[1:])


def test_damaged_idx_is_one_sentence(tmp_path):
    path, whole = tmp_path / "a.gz", packed(np.arange(100))
    for content, sentence in (
        (whole[:-20], "not a whole compressed file"),
        (b"no gzip at all", "not a whole compressed file"),
        (gzip.compress(b"\0\0"), "not an IDX file of bytes"),
        (gzip.compress(b"\0\0\x0d\x01"), "not an IDX file of bytes"),
        (gzip.compress(b"\0\0\x08\0"), "not an IDX file of bytes"),
        (gzip.compress(b"\0\0\x08\x02\0\0\0\x03"), "not an IDX file of bytes"),
        (gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 9, 1])), "ends early: 1 of 9 values"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=sentence):
            idx.read_idx(path)


@pytest.fixture
def fashion(tmp_path, monkeypatch):
    """A folder in Fashion-MNIST's form with random pixels, its checksums taken for the published ones."""
    random, folder = np.random.default_rng(1), tmp_path / "data" / "fashion-mnist"
    folder.mkdir(parents=True)
    known = {}
    for part, size in (("t10k", 60), ("train", 40)):
        for kind, array in (
            ("images-idx3", random.integers(0, 256, (size, 28, 28))),
            ("labels-idx1", random.integers(0, 10, size)),
        ):
            path = folder / f"{part}-{kind}-ubyte.gz"
            path.write_bytes(packed(array))
            known[path.name] = idx.sha256(path)
    monkeypatch.setattr(idx, "FILES", known)
    return folder


def test_fashion_mnist_is_pixels_labels_and_pictures(fashion):
    data = load_dataset(fashion)
    assert data.name == "fashion-mnist" and data.vectors.shape == (60, 784) and data.queries.shape == (40, 784)
    assert data.vectors.dtype == np.float32 and data.vectors.max() == 255
    assert np.array_equal(data.images[:, 2:30, 2:30, 1].reshape(60, -1), data.vectors)
    assert not data.images[:, :2].any() and len(data.classes) == 10
    assert set(data.provenance["files"]) == set(idx.FILES) and data.checksum in idx.FILES.values()
    sample = load_sample(fashion, points=30, queries=7)
    assert sample.base.shape == (30, 784) and len(sample.rows) == 7 and sample.labels.shape == (30,)


def test_its_training_images_are_a_base_too(fashion):
    data = load_dataset(fashion / "train-images-idx3-ubyte.gz")
    assert data.name == "fashion-mnist-train" and data.vectors.shape == (40, 784) and data.queries.shape == (60, 784)
    assert np.array_equal(data.vectors, load_dataset(fashion).queries), "the parts change places"
    assert data.checksum == idx.FILES["train-images-idx3-ubyte.gz"] and len(data.labels) == 40
    (found,) = load_others(["fashion-mnist-train"], data_dir=fashion.parent, points=30, queries=5)
    assert found.name == "fashion-mnist-train" and found.base.shape == (30, 784)
    assert absent(["fashion-mnist-train"]) == ["fashion-mnist-train"]


def test_fashion_mnist_is_verified_and_says_where_it_is_to_be_had(fashion):
    path = fashion / "train-labels-idx1-ubyte.gz"
    path.write_bytes(packed(np.zeros(40)))
    with pytest.raises(InputError, match=r"is not the published file .* get it anew from https://github.com/zalando"):
        load_dataset(fashion)
    path.unlink()
    with pytest.raises(InputError, match=r"train-labels.* is missing .* four files are at https://github.com/zalando"):
        load_dataset(fashion)


def test_the_published_fashion_mnist():
    folder = at_hand.shared() / "data" / "fashion-mnist"
    if not folder.is_dir():
        pytest.skip("Fashion-MNIST is not at hand")
    data = load_dataset(folder)
    assert data.vectors.shape == (10_000, 784) and np.array_equal(np.bincount(data.labels), [1000] * 10)
    assert data.queries.shape == (idx.QUERIES, 784) and len(data.query_labels) == idx.QUERIES


# ---- what is at hand


def test_others_are_those_at_hand_in_the_order_of_their_names(fashion, tmp_path):
    folder = fashion.parent
    np.save(folder / "mine.npy", np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32))
    names = ["mine", "nowhere", "fashion-mnist", SECOND]
    found = load_others(names, data_dir=folder, points=12, queries=5)
    assert [sample.name for sample in found] == ["mine", "fashion-mnist", SECOND]
    assert all(len(sample.base) == 12 and len(sample.rows) == 5 for sample in found)
    assert absent(names, folder) == ["nowhere"]
    assert absent(names) == ["mine", "nowhere", "fashion-mnist"]
    assert find_others(names, folder)["mine"] == folder / "mine.npy"
    assert load_others([]) == [] and absent([]) == []
    with pytest.raises(InputError, match="must be a folder"):
        load_others(names, data_dir=tmp_path / "none")


def test_the_main_data_are_no_further_data(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    for name, values in (("mine", vectors), ("copy", vectors), ("other", vectors + 1)):
        np.save(tmp_path / f"{name}.npy", values)
    main = load_sample(tmp_path / "mine.npy", points=12)
    names = ["mine", "copy", "other"]
    assert [sample.name for sample in load_others(names, data_dir=tmp_path)] == names
    assert [sample.name for sample in load_others(names, data_dir=tmp_path, besides=main)] == ["other"]
    (tmp_path / "deeper").mkdir()
    np.save(tmp_path / "deeper" / "mine.npy", vectors + 2)
    assert load_others(["mine"], data_dir=tmp_path / "deeper", besides=main) == []


def test_damaged_further_data_are_not_passed_over(fashion):
    (fashion / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(InputError, match="is missing"):
        load_others(["fashion-mnist"], data_dir=fashion.parent)


# ---- the main measurement on them


@pytest.fixture
def curves(tmp_path):
    """Two data sets, one of them with too few points for the largest k, searched at ef = 8."""
    for name, size in (("large", 200), ("small", 20)):
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(size).normal(size=(size, 12)).astype(np.float32))
    samples = load_others(["large", "small"], data_dir=tmp_path, queries=50)
    specs = [{"name": name, "seed": 0, "M": 4, "ef_construction": 20} for name in ("faiss-hnsw", "hnswlib")]
    return others.overlap_curves(samples, [5, 10, 30], 8, specs, resamples=50)


def test_each_data_set_is_measured_at_the_k_it_has_points_for(curves):
    measured = {data: sorted(set(own["k"])) for data, own in curves.groupby("data")}
    assert measured == {"large": [5, 10, 30], "small": [5, 10]}
    assert set(curves["engine"]) == {"faiss-hnsw", "faiss-hnsw-unbounded", "hnswlib"}
    assert curves.groupby("data")["queries"].first().to_dict() == {"large": 50, "small": 20}
    assert (curves["low"] <= curves["mean"]).all() and (curves["mean"] <= curves["high"]).all()
    at = curves.set_index(["data", "engine", "k"])["mean"]
    assert at["large", "faiss-hnsw", 5] == at["large", "faiss-hnsw-unbounded", 5], "below ef the two are one search"
    assert at["large", "faiss-hnsw", 30] < at["large", "faiss-hnsw-unbounded", 30]


def test_what_was_not_measured_is_said_to_be_so(curves):
    shown = others.beside(curves, [5, 30], 8)
    assert list(shown.columns) == ["data", "dimension", "search", "k = 5", "k = 30", "from k = 8 on"]
    assert set(shown.loc[shown["data"] == "small", "k = 30"]) == {"not available"}
    named = others.other_facts(curves, ["large", "nowhere-12"], [30], 8)
    assert named["large_points"] == "200" and named["large_direction_default"] == "falls"
    assert {value for name, value in named.items() if name.startswith("nowhere_12")} == {"not available"}
    assert {name.removeprefix("large_") for name in named if name.startswith("large")} == {
        name.removeprefix("nowhere_12_") for name in named if name.startswith("nowhere")
    }
    nothing = others.overlap_curves([], [5], 8, [])
    joined = pd.concat([curves, nothing]).select_dtypes("number")
    assert joined.dtypes.equals(curves.select_dtypes("number").dtypes), "it can stand beside what was measured"
    assert len(others.beside(nothing, [5], 8)) == 0 and set(others.other_facts(nothing, ["a"], [5], 8)) >= {"a_points"}


def test_the_figure_has_a_panel_for_each_data_set(curves):
    panels = draw.overlap_on(curves, ef=8).axes
    assert [panel.get_title() for panel in panels] == ["large (12)", "small (12)"]
    assert all(len(panel.lines) == 4 for panel in panels), "three searches and the line at k = ef"


# ---- labels in a file of their own


def listed(names):
    return ImageList("made", tuple(names), lambda i: Image.new("RGB", (96, 96)))


def test_labels_go_by_name_or_number_and_take_their_names_from_the_legend(tmp_path):
    file = tmp_path / "labels.json"
    file.write_text(json.dumps({"0": "ca0", "17": "fe2", "a/b.png": "ca1"}))
    images = with_labels(listed(["000017", "a/b.png", "0"]), file)
    assert images.classes == ("ca0", "ca1", "fe2") and np.array_equal(images.labels, [2, 1, 0])
    (tmp_path / "legend.json").write_text(
        json.dumps({"canine": {"dog": "ca0", "fox": "ca1"}, "feline": {"cat": "fe2"}})
    )
    images = with_labels(listed(["000017", "a/b.png", "0"]), file)
    assert images.classes == ("canine: dog", "canine: fox", "feline: cat") and np.array_equal(images.labels, [2, 1, 0])
    assert np.array_equal(images.take([1, 2]).labels, [1, 0])


@pytest.mark.parametrize(
    "labels, legend, sentence",
    [
        ('{"0": "ca0"}', None, "has no label for 1 images of made, first '000001'"),
        ('{"0": "ca0", "1": "ca7"}', '{"canine": {"dog": "ca0"}}', "names no class 'ca7'; 1 codes"),
        ('{"0": "ca0", "1": 3}', None, "one class code, a string"),
        ('["ca0", "ca0"]', None, "must hold a JSON object"),
        ("{", None, "cannot be read as JSON"),
        ('{"0": "ca0", "1": "ca0"}', '{"dog": "ca0"}', "groups of class names"),
    ],
)
def test_bad_labels_are_one_sentence(tmp_path, labels, legend, sentence):
    (tmp_path / "labels.json").write_text(labels)
    if legend:
        (tmp_path / "legend.json").write_text(legend)
    with pytest.raises(InputError, match=sentence):
        with_labels(listed(["000000", "000001"]), tmp_path / "labels.json")


def test_each_unlabeled_image_of_stl10_has_a_class():
    """A seeded part of a list named as torchvision's 100,000 are; pixels play no part."""
    whole = listed(f"{row:06d}" for row in range(100_000))
    images = with_labels(whole, STL10)
    codes = json.loads(gzip.decompress(STL10.read_bytes()))
    assert len(images.labels) == len(codes) and len(images.classes) == 246
    legend = json.loads((STL10.parent / "legend.json").read_text(encoding="utf-8"))
    part = images.sample(500, seed=42)
    for name, label in zip(part.names, part.labels, strict=True):
        group, _, fine = images.classes[label].partition(": ")
        assert legend[group][fine] == codes[str(int(name))]


def test_the_classes_fit_the_pictures_at_hand(tmp_path):
    """The pictures at hand lie in a folder a group, and their names begin with the code of their class."""
    images = open_images(at_hand.shared() / "data" / "stl10" / "unlabeled")
    codes = {name: name.rpartition("/")[2].partition("-")[0] for name in images.names}
    (tmp_path / "labels.json").write_text(json.dumps(codes))
    shutil.copy(STL10.parent / "legend.json", tmp_path)
    labeled = with_labels(images, tmp_path / "labels.json")
    groups = [labeled.classes[label].partition(": ")[0].replace(" ", "_") for label in labeled.labels]
    assert groups == [images.classes[label] for label in images.labels]
