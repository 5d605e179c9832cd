"""Vectors and images in: what is accepted, and the sentence that each bad input gets."""

import contextlib
import io
import json
import pickle
import shutil
import warnings
import zipfile

import at_hand
import numpy as np
import pytest
from PIL import Image

from neighborhood_drift import datasets, images
from neighborhood_drift.bundle import Part, read_bundle, sheet, tiles, write_bundle
from neighborhood_drift.checks import InputError

CLASSES = ("cat", "dog")


@pytest.fixture
def points():
    return np.random.default_rng(3).normal(size=(30, 6)).astype(np.float32)


def picture(seed, size=(40, 36)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8))


@pytest.fixture
def image_folder(tmp_path):
    for row in range(6):
        file = tmp_path / "pictures" / CLASSES[row % 2] / f"{row}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        picture(row).save(file)
    (tmp_path / "pictures" / "notes.txt").write_text("not an image")
    return tmp_path / "pictures"


@pytest.fixture
def bundle(tmp_path, points, image_folder):
    listed = images.open_images(image_folder)
    seen = images.survey(listed, progress=False)
    parts = {
        "base": Part(points[:4].astype(np.float16), listed.names[:4], listed.labels[:4], seen.thumbnails[:4]),
        "queries": Part(points[4:6].astype(np.float16), listed.names[4:], listed.labels[4:], seen.thumbnails[4:]),
    }
    folder = tmp_path / "made"
    write_bundle(folder, parts, listed.classes, {"images": "pictures"}, listed, folder / "work")
    return folder


# ---- ready vectors


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, np.uint8])
def test_every_numeric_type_is_accepted(tmp_path, points, dtype):
    given = (points * 10).astype(dtype)
    np.save(tmp_path / "mine.npy", given)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        data = datasets.load_dataset(tmp_path / "mine.npy")
        sample = datasets.load_sample(tmp_path / "mine.npy")
    assert data.vectors.dtype == (dtype if dtype in (np.float16, np.float32) else np.float32)
    assert sample.base.dtype == np.float32 and sample.base.flags.c_contiguous
    assert np.array_equal(sample.base, given.astype(np.float32))
    # only numbers that float32 cannot hold are worth a word: float64 noise is, small integers are not
    rounded = [word for word in said if "converted to float32" in str(word.message)]
    assert bool(rounded) == (not np.array_equal(given.astype(np.float32), given))


def test_npz_carries_labels_images_and_queries(tmp_path, points):
    labels, pictures = np.arange(30) % 3, np.zeros((30, 32, 32, 3), np.uint8)
    np.savez(tmp_path / "mine.npz", vectors=points, labels=labels, images=pictures, queries=points[:2])
    data = datasets.load_dataset(tmp_path / "mine.npz")
    assert data.name == "mine" and data.provenance["shape"] == [30, 6]
    assert np.array_equal(data.labels, labels) and data.images.shape == pictures.shape and len(data.queries) == 2
    np.savez(tmp_path / "one.npz", points)
    assert np.array_equal(datasets.load_dataset(tmp_path / "one.npz").vectors, points)


def spoiled(points, value):
    points = points.copy()
    points[7, 2] = value
    return points


@pytest.mark.parametrize(
    "content, sentence",
    [
        (lambda p: spoiled(p, np.nan), "NaN or infinite .* first row 7"),
        (lambda p: spoiled(p, np.inf), "NaN or infinite .* first row 7"),
        (lambda p: p[0], "must be 2-d"),
        (lambda p: p[:0], "at least one point"),
        (lambda p: p.astype(str), "allowed are float16, float32, float64 and integers"),
        (lambda p: p.astype(object), "pickled objects, which are refused"),
        (lambda p: p[:2], "needs at least three"),
    ],
)
def test_bad_vectors_get_one_sentence(tmp_path, points, content, sentence):
    np.save(tmp_path / "bad.npy", content(points), allow_pickle=True)
    with pytest.raises(InputError, match=sentence):
        datasets.load_sample(tmp_path / "bad.npy")


def test_damaged_files_get_one_sentence(tmp_path, points):
    with pytest.raises(InputError, match=r"missing.npy does not exist"):
        datasets.load_dataset(tmp_path / "missing.npy")
    for name, save in (("cut.npy", np.save), ("cut.npz", np.savez)):
        save(tmp_path / name, points)
        content = (tmp_path / name).read_bytes()
        for size in (0, 40, len(content) // 2, len(content) - 1):
            (tmp_path / name).write_bytes(content[:size])
            with pytest.raises(InputError, match=f"{name} cannot be read as a whole NumPy file"):
                datasets.load_dataset(tmp_path / name)
    random = np.random.default_rng(0)
    for name, save in (("bit.npy", np.save), ("bit.npz", np.savez), ("packed.npz", np.savez_compressed)):
        save(tmp_path / name, points)
        content = (tmp_path / name).read_bytes()
        for _ in range(150):
            damaged = bytearray(content)
            damaged[random.integers(min(len(content), 200))] ^= 1 + random.integers(255)
            (tmp_path / name).write_bytes(damaged)
            with contextlib.suppress(InputError):  # an .npy has no checksum: damage to its numbers stays unseen
                datasets.load_dataset(tmp_path / name)
    (tmp_path / "raw.npy").write_bytes(pickle.dumps(points))
    with pytest.raises(InputError, match="pickled"):
        datasets.load_dataset(tmp_path / "raw.npy")


@pytest.mark.parametrize(
    "arrays, sentence",
    [
        ({"labels": np.zeros(29, int)}, r"labels of mine.npz have shape \(29,\)"),
        ({"labels": np.zeros(30)}, "whole numbers"),
        ({"images": np.zeros((30, 8, 8, 3), np.uint8)}, "images of mine.npz have shape"),
        ({"images": np.zeros((30, 32, 32, 3))}, "uint8"),
        ({"queries": np.zeros((2, 5))}, "has 5 dimensions; the base has 6"),
    ],
)
def test_npz_parts_must_fit(tmp_path, points, arrays, sentence):
    np.savez(tmp_path / "mine.npz", vectors=points, **arrays)
    with pytest.raises(InputError, match=sentence):
        datasets.load_dataset(tmp_path / "mine.npz")


def test_npz_without_vectors_names_what_it_holds(tmp_path, points):
    np.savez(tmp_path / "mine.npz", a=points, b=points)
    with pytest.raises(InputError, match="array named vectors; it holds a, b"):
        datasets.load_dataset(tmp_path / "mine.npz")


# ---- samples


def test_sample_is_seeded_ordered_and_aligned(tmp_path, points):
    np.savez(tmp_path / "mine.npz", vectors=points, labels=np.arange(30))
    one = datasets.load_sample(tmp_path / "mine.npz", points=12, queries=5, seed=4)
    again = datasets.load_sample(tmp_path / "mine.npz", points=12, queries=5, seed=4)
    assert np.array_equal(one.base, again.base) and np.array_equal(one.rows, again.rows)
    assert np.array_equal(one.base, points[one.labels])
    assert (np.diff(one.labels) > 0).all() and (np.diff(one.rows) > 0).all()
    other = datasets.load_sample(tmp_path / "mine.npz", points=12, queries=5, seed=5)
    assert not np.array_equal(one.labels, other.labels)


def test_zero_or_more_than_there_are_means_all(tmp_path, points):
    np.save(tmp_path / "mine.npy", points)
    for counts in ({}, {"points": 2000, "queries": 500}):
        sample = datasets.load_sample(tmp_path / "mine.npy", **counts)
        assert np.array_equal(sample.base, points) and np.array_equal(sample.rows, np.arange(30))
    for bad in ({"points": -1}, {"queries": 1.5}, {"seed": "a"}):
        with pytest.raises(InputError, match="must be a whole number"):
            datasets.load_sample(tmp_path / "mine.npy", **bad)
    points[3] = 0
    np.save(tmp_path / "mine.npy", points)
    with pytest.raises(InputError, match="vectors of zeros, first row 3"):
        datasets.load_sample(tmp_path / "mine.npy", metric="cosine")


# ---- bundles


def test_bundle_comes_back_as_it_was_written(bundle, points, image_folder):
    data = datasets.load_dataset(bundle)
    assert np.array_equal(data.vectors, points[:4].astype(np.float16)) and data.vectors.dtype == np.float16
    assert np.array_equal(data.queries, points[4:6].astype(np.float16))
    assert data.classes == CLASSES and np.array_equal(data.labels, [0, 0, 0, 1])
    assert data.names[0] == "cat/0.png" and data.images.shape == (4, 32, 32, 3)
    described = data.provenance["files"]["base.npy"]
    assert described["shape"] == [4, 6] and data.checksum == described["sha256"]
    with zipfile.ZipFile(bundle / "originals.zip") as archive, archive.open("00.png") as stream:
        kept = np.asarray(Image.open(stream))
    assert np.array_equal(kept, np.asarray(Image.open(image_folder / "cat" / "0.png")))
    assert not (bundle / "work").exists() or not any((bundle / "work").iterdir())


@pytest.mark.parametrize("name", ["base.npy", "queries.npy", "base-labels.npy", "names.json", "base.jpg"])
def test_bundle_with_a_damaged_file_is_refused(bundle, name):
    content = (bundle / name).read_bytes()
    for damage in (content[:-1], content[:-1] + bytes([content[-1] ^ 1])):
        (bundle / name).write_bytes(damage)
        with pytest.raises(InputError, match=f"{name} does not match its checksum"):
            datasets.load_dataset(bundle)
    (bundle / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing"):
        datasets.load_dataset(bundle)


def test_bundle_with_a_damaged_provenance_is_refused(bundle):
    for text in ("", "{", "[]", json.dumps({"files": {}})):
        (bundle / "provenance.json").write_text(text)
        with pytest.raises(InputError, match="cannot be read as a provenance file"):
            datasets.load_dataset(bundle)


def test_names_are_found_in_the_data_folder(bundle, monkeypatch):
    monkeypatch.setenv("NEIGHBORHOOD_DRIFT_DATA", str(bundle.parent))
    assert datasets.bundled_names() == ["made"] and datasets.load_dataset("made").name == "made"
    with pytest.raises(InputError, match=r"'other' is neither .*; bundled are made"):
        datasets.load_dataset("other")
    monkeypatch.setenv("NEIGHBORHOOD_DRIFT_DATA", str(bundle / "nowhere"))
    with pytest.raises(InputError, match="set NEIGHBORHOOD_DRIFT_DATA"):
        datasets.load_dataset("made")
    with pytest.raises(InputError, match=r"embed --images stl10-unlabeled"):
        datasets.load_dataset("stl10-unlabeled")


@pytest.mark.parametrize("n", [1, 5, 100, 101])
def test_a_sheet_of_pictures_gives_its_tiles_back(tmp_path, n):
    pictures = np.random.default_rng(n).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    sheet(pictures).save(tmp_path / "sheet.png")
    assert np.array_equal(tiles(tmp_path / "sheet.png", n), pictures)


def test_the_bundled_sample_is_whole():
    assert "cifar10-resnet50" in datasets.bundled_names()
    data = datasets.load_dataset("cifar10-resnet50")
    assert data.vectors.shape == (10_000, 2048) and data.queries.shape == (1_000, 2048)
    assert data.vectors.dtype == np.float16 and data.images.shape == (10_000, 32, 32, 3)
    assert np.array_equal(np.bincount(data.labels), [1000] * 10)
    assert np.array_equal(np.bincount(data.query_labels), [100] * 10)
    assert len(set(data.names)) == 10_000 and all(name.startswith("test/") for name in data.names)
    files = data.provenance["files"]
    assert sum(entry["bytes"] for name, entry in files.items() if name.endswith(".jpg")) < 15e6
    assert "LICENSE-PQF" in (datasets.bundled_folder() / "README.md").read_text()
    assert (datasets.bundled_folder() / "cifar10-resnet50" / data.provenance["license"]).is_file()


# ---- image lists


def test_folder_and_zip_give_the_same_list(tmp_path, image_folder):
    shutil.make_archive(str(tmp_path / "pictures"), "zip", image_folder)
    for source in (image_folder, tmp_path / "pictures.zip"):
        listed = images.open_images(source)
        assert listed.names == tuple(f"{CLASSES[i % 2]}/{i}.png" for i in (0, 2, 4, 1, 3, 5))
        assert listed.classes == CLASSES and np.array_equal(listed.labels, [0, 0, 0, 1, 1, 1])
        seen = images.survey(listed, progress=False)
        assert seen.thumbnails.shape == (6, 32, 32, 3) and seen.unreadable == ()
    whole = images.survey(images.open_images(image_folder), progress=False).fingerprint
    assert seen.fingerprint == whole
    assert images.survey(listed.take([1, 0, 2, 3, 4, 5]), progress=False).fingerprint != whole


def test_order_and_sample_choose_images(tmp_path, image_folder):
    listed = images.open_images(image_folder)
    assert listed.named(["dog/5.png", "cat/0.png"]).names == ("dog/5.png", "cat/0.png")
    assert listed.sample(3, seed=1).names == listed.sample(3, seed=1).names
    assert len(listed.sample(3)) == 3 and len(listed.sample(0)) == 6
    with pytest.raises(InputError, match=r"1 images of the order are not in pictures, first 'cat/9.png'"):
        listed.named(["cat/0.png", "cat/9.png"])
    with pytest.raises(InputError, match="from 0 to 6"):
        listed.sample(7)
    for text in ("{", "[]", '{"queries": []}', '{"base": "cat/0.png"}'):
        (tmp_path / "order.json").write_text(text)
        with pytest.raises(InputError, match=r"order.json"):
            images.read_order(tmp_path / "order.json")


def test_tiny_imagenet_layout_gives_its_classes(tmp_path):
    root = tmp_path / "tiny-imagenet-200"
    for name in ("train/n01/images/n01_0.JPEG", "train/n02/images/n02_0.JPEG", "val/images/val_0.JPEG"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture(1, (64, 64)).save(root / name)
    picture(2, (64, 64)).save(root / "val/images/val_1.JPEG")
    (root / "wnids.txt").write_text("n01\nn02\n")
    (root / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn02\t0\t0\t9\t9\nval_1.JPEG\tn01\t0\t0\t9\t9\n")
    train, val = images.open_images(root), images.open_images(root / "val")
    assert train.classes == val.classes == ("n01", "n02") and len(train) == 2
    assert np.array_equal(train.labels, [0, 1]) and np.array_equal(val.labels, [1, 0])


def test_bad_image_sources_get_one_sentence(tmp_path, image_folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no image"):
        images.open_images(tmp_path / "empty")
    with pytest.raises(InputError, match="known are stl10-unlabeled"):
        images.open_images("stl11")
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(InputError, match=r"cut.zip is not a whole zip archive"):
        images.open_images(tmp_path / "cut.zip")


def test_unreadable_images_are_named_counted_and_skipped_only_when_asked(image_folder):
    (image_folder / "cat" / "2.png").write_bytes(b"no picture")
    content = (image_folder / "dog" / "5.png").read_bytes()
    (image_folder / "dog" / "5.png").write_bytes(content[: len(content) // 2])
    listed = images.open_images(image_folder)
    with pytest.raises(InputError, match=r"2 of 6 images cannot be read: cat/2.png, dog/5.png"):
        images.survey(listed, progress=False)
    seen = images.survey(listed, skip_unreadable=True, progress=False)
    assert seen.unreadable == ("cat/2.png", "dog/5.png") and np.array_equal(seen.rows, [0, 2, 3, 4])
    assert seen.images.names == ("cat/0.png", "cat/4.png", "dog/1.png", "dog/3.png") and len(seen.thumbnails) == 4
    only = listed.take([1])
    with pytest.raises(InputError, match="none of the 1 images"):
        images.survey(only, skip_unreadable=True, progress=False)


def test_a_damaged_member_of_an_archive_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.bmp", "b.bmp"):
            stream = io.BytesIO()
            picture(1).save(stream, "BMP")
            archive.writestr(name, stream.getvalue())
        start = archive.getinfo("b.bmp").header_offset + 30 + len("b.bmp")
    content = bytearray((tmp_path / "pictures.zip").read_bytes())
    content[start] |= 0b110  # a block type that deflate does not have
    (tmp_path / "pictures.zip").write_bytes(content)
    with pytest.raises(InputError, match=r"1 of 2 images cannot be read: b.bmp"):
        images.survey(images.open_images(tmp_path / "pictures.zip"), progress=False)


def test_fashion_mnist_opens_through_torchvision(tmp_path):
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for file in (at_hand.shared() / "data" / "fashion-mnist").glob("*.gz"):
        shutil.copy(file, raw)
    listed = images.open_images("fashion-mnist-test", root=tmp_path)
    assert len(listed) == 10_000 and listed.classes[0] == "T-shirt/top"
    assert np.array_equal(np.bincount(listed.labels), [1000] * 10)
    assert listed.read(0).size == (28, 28) and listed.read(0).mode == "RGB"


def test_stl10_pictures_open_as_a_folder():
    seen = images.survey(images.open_images(at_hand.shared() / "data" / "stl10" / "unlabeled"), progress=False)
    assert len(seen.images) == 246 and seen.images.read(0).size == (96, 96)


def test_bundle_without_queries_or_labels(tmp_path, points, image_folder):
    listed = images.open_images(image_folder / "cat")
    assert listed.labels is None and listed.classes == ()
    write_bundle(tmp_path / "b", {"base": Part(points[:3], listed.names, None, None)}, (), {}, listed, tmp_path / "w")
    parts, classes, _ = read_bundle(tmp_path / "b")
    assert list(parts) == ["base"] and parts["base"].labels is None and parts["base"].images is None and classes == ()
