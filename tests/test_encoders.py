"""Images to vectors: every encoder of the table, runs that stop and go on, and the bundled vectors made again."""

import errno
import json
import lzma
import subprocess
import sys
import textwrap

import at_hand
import numpy as np
import pytest
from PIL import Image

from neighborhood_drift import embedding, encoders
from neighborhood_drift.bundle import ORIGINALS
from neighborhood_drift.checks import InputError
from neighborhood_drift.datasets import bundled_folder, load_dataset
from neighborhood_drift.images import ImageList, open_images, survey
from neighborhood_drift.study.embed import embed

torch = pytest.importorskip("torch", reason="torch is not installed (the extra: encode)")
models = pytest.importorskip("torchvision.models", reason="torchvision is not installed (the extra: encode)")

TORCHVISION = [name for name, row in encoders.ENCODERS.items() if not row.clip]
TINY = "squeezenet1_1"


def random_weights(folder, name=TINY, seed=0):
    """A state dict with random weights, in float16 to be small."""
    torch.manual_seed(seed)
    file = folder / f"{name}-{seed}.pth"
    torch.save({key: value.half() for key, value in models.get_model(name, weights=None).state_dict().items()}, file)
    return file


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return random_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def pictures(tmp_path):
    random = np.random.default_rng(11)
    folder = tmp_path / "pictures"
    for row in range(24):
        (folder / f"class{row % 2}").mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (32, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"class{row % 2}" / f"{row:02d}.png")
    return folder


@pytest.fixture
def options(tmp_path, pictures, weights):
    return {
        "images": str(pictures),
        "encoder": TINY,
        "weights": str(weights),
        "out": tmp_path / "made",
        "batch_size": 4,
        "device": "cpu",
        "progress": False,
    }


@pytest.mark.parametrize("name", TORCHVISION)
def test_every_encoder_gives_finite_vectors_of_its_dimension(tmp_path, pictures, name):
    loaded = encoders.load_encoder(name, random_weights(tmp_path, name), device="cpu")
    listed = open_images(pictures)
    vectors = loaded([listed.read(row) for row in range(2)])
    assert vectors.shape == (2, encoders.ENCODERS[name].dimension) and vectors.dtype == np.float32
    assert np.isfinite(vectors).all() and not np.array_equal(vectors[0], vectors[1])


def test_clip_gives_vectors_of_its_dimension(tmp_path, pictures):
    open_clip = pytest.importorskip("open_clip", reason="open_clip is not installed (the extra: clip)")
    torch.manual_seed(0)
    file = tmp_path / "clip.pth"
    torch.save(open_clip.create_model(encoders.ENCODERS["clip"].clip[0]).state_dict(), file)
    loaded = encoders.load_encoder("clip", file, device="cpu")
    listed = open_images(pictures)
    assert loaded([listed.read(0)]).shape == (1, encoders.ENCODERS["clip"].dimension)


def test_features_are_those_before_the_classifier(pictures, weights):
    """The classifier, put on top of the vectors, gives what the whole model gives."""
    loaded = encoders.load_encoder(TINY, weights, device="cpu")
    whole = models.get_model(TINY, weights=None).eval()
    whole.load_state_dict(torch.load(weights, weights_only=True))
    batch = loaded.transform(open_images(pictures).read(0))[None]
    assert batch.shape == (1, 3, 224, 224)
    with torch.inference_mode():
        pooled = whole.features(batch).mean(dim=(2, 3)).numpy()
    assert np.allclose(loaded([open_images(pictures).read(0)]), pooled, atol=1e-5 * np.abs(pooled).max())


def test_bfloat16_is_near_float32(pictures, weights):
    listed = open_images(pictures)
    batch = [listed.read(row) for row in range(4)]
    exact = encoders.load_encoder(TINY, weights, device="cpu")(batch)
    rough = encoders.load_encoder(TINY, weights, device="cpu", bfloat16=True)(batch)
    cosine = (exact * rough).sum(axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rough, axis=1)
    assert not np.array_equal(exact, rough) and cosine.min() > 0.999  # eight bits of mantissa


# ---- the command


def test_embed_makes_a_data_set(options, capsys):
    embed(**options)
    data = load_dataset(options["out"])
    assert data.vectors.shape == (24, 512) and data.vectors.dtype == np.float16
    assert data.classes == ("class0", "class1") and np.array_equal(data.labels, [0] * 12 + [1] * 12)
    assert data.provenance["encoder"]["name"] == TINY and data.provenance["images"] == "pictures"
    told = json.dumps(data.provenance)
    assert str(options["out"].parent) not in told, "no path of a machine"
    assert not (options["out"] / "unfinished").exists()
    before = (options["out"] / "provenance.json").stat().st_mtime_ns
    embed(**options)
    assert "complete already" in capsys.readouterr().out
    assert (options["out"] / "provenance.json").stat().st_mtime_ns == before


def test_labels_of_a_file_go_with_the_vectors(options, tmp_path):
    names = [f"class{row % 2}/{row:02d}.png" for row in range(24)]
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({name: f"c{row % 3}" for row, name in enumerate(names)}))
    embed(**options, labels=labels)
    data = load_dataset(options["out"])
    assert data.classes == ("c0", "c1", "c2")
    assert [data.classes[label] for label in data.labels] == [f"c{names.index(name) % 3}" for name in data.names]
    labels.write_text(json.dumps(dict.fromkeys(names, "c0")))
    embed(**options)  # without a file nothing is asked of the labels
    with pytest.raises(InputError, match="labels was"):
        embed(**options, labels=labels)
    with pytest.raises(InputError, match=r"none.json does not exist"):
        embed(**options, labels=tmp_path / "none.json")


def test_files_of_a_data_set_beside_it_are_not_kept_twice(options, capsys):
    embed(**options)
    embed(**options | {"out": options["out"].parent / "second"}, dtype="float32", share=options["out"])
    assert "shared with made: base-labels.npy, base.jpg, names.json, originals.zip" in capsys.readouterr().out
    one, two = load_dataset(options["out"]), load_dataset(options["out"].parent / "second")
    assert np.array_equal(one.images, two.images) and np.array_equal(one.labels, two.labels)
    assert two.vectors.dtype == np.float32
    with pytest.raises(InputError, match="cannot be read as a provenance file"):
        embed(**options, share=options["out"].parent)


def test_order_parts_base_and_queries(options, tmp_path):
    names = [f"class{row % 2}/{row:02d}.png" for row in range(24)]
    order = {"base": names[20:8:-1], "queries": names[:4]}
    (tmp_path / "order.json").write_text(json.dumps(order))
    embed(**options, order=tmp_path / "order.json", dtype="float32")
    data = load_dataset(options["out"])
    assert data.names == tuple(order["base"]) and data.vectors.dtype == np.float32
    assert data.queries.shape == (4, 512) and np.array_equal(data.query_labels, [0, 1, 0, 1])


def test_the_same_images_divided_otherwise_are_another_data_set(options, tmp_path):
    names = [f"class{row % 2}/{row:02d}.png" for row in range(24)]
    (tmp_path / "order.json").write_text(json.dumps({"base": names[:20], "queries": names[20:]}))
    embed(**options, order=tmp_path / "order.json")
    embed(**options, order=tmp_path / "order.json")
    (tmp_path / "order.json").write_text(json.dumps({"base": names}))
    with pytest.raises(InputError, match="size of the base was 20, is now 24"):
        embed(**options, order=tmp_path / "order.json")


def test_unreadable_images_are_left_out_only_when_asked(options, pictures, tmp_path, capsys):
    names = [f"class{row % 2}/{row:02d}.png" for row in range(24)]
    (tmp_path / "order.json").write_text(json.dumps({"base": names[:20], "queries": names[20:]}))
    (pictures / names[3]).write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"1 of 24 images cannot be read: class1/03.png"):
        embed(**options, order=tmp_path / "order.json")
    embed(**options, order=tmp_path / "order.json", skip_unreadable=True)
    assert "class1/03.png" in capsys.readouterr().out
    data = load_dataset(options["out"])
    assert len(data.vectors) == 19 and len(data.queries) == 4 and names[3] not in data.names
    assert data.provenance["unreadable"] == [names[3]]


@pytest.mark.parametrize("change", ["encoder", "weights", "images", "dtype"])
@pytest.mark.parametrize("finished", [False, True])
def test_a_run_begun_otherwise_is_refused(options, tmp_path, pictures, monkeypatch, change, finished):
    if not finished:
        stop_after(monkeypatch, 2)
        with pytest.raises(KeyboardInterrupt):
            embed(**options)
        monkeypatch.undo()
    else:
        embed(**options)
    other = dict(options)
    if change == "encoder":
        other |= {"encoder": "resnet18", "weights": str(random_weights(tmp_path, "resnet18"))}
    elif change == "weights":
        other["weights"] = str(random_weights(tmp_path, seed=1))
    elif change == "images":
        Image.new("RGB", (32, 32)).save(pictures / "class0" / "00.png")
    else:
        other["dtype"] = "float32"
    with pytest.raises(InputError, match=f"begun otherwise .*{change} was"):
        embed(**other)


def stop_after(monkeypatch, batches):
    """Interrupt a run in place of the given batch."""
    calls, run = [], encoders.Loaded.__call__

    def stopping(self, pictures):
        calls.append(len(pictures))
        if len(calls) > batches:
            raise KeyboardInterrupt
        return run(self, pictures)

    monkeypatch.setattr(encoders.Loaded, "__call__", stopping)
    return calls


def test_a_stopped_run_goes_on_at_its_batch(options, monkeypatch):
    stop_after(monkeypatch, 4)
    with pytest.raises(KeyboardInterrupt):
        embed(**options)
    monkeypatch.undo()
    assert json.loads((options["out"] / "unfinished" / "progress.json").read_text())["done"] == 16
    calls = stop_after(monkeypatch, 100)
    embed(**options)
    assert calls == [4, 4], "only the two batches that were missing"


@pytest.mark.parametrize(
    "changed, sentence",
    [
        ({"encoder": "resnet51"}, "encoder is 'resnet51'; known are resnet50"),
        ({"weights": "nowhere.pth"}, r"nowhere.pth does not exist"),
        ({"encoder": "resnet18"}, "does not fit resnet18"),
        ({"device": "tpu"}, "device is 'tpu'; known are auto"),
        ({"dtype": "int8"}, "dtype is 'int8'; known are float16, float32"),
        ({"batch_size": 0}, "batch size is 0"),
        ({"images": "stl11"}, "image set 'stl11'"),
        ({"sample": 99}, "sample size is 99"),
        ({"out": None}, "name it with --out"),
    ],
)
def test_bad_options_get_one_sentence_and_leave_nothing(options, changed, sentence):
    with pytest.raises(InputError, match=sentence):
        embed(**{**options, **changed})
    assert not options["out"].exists()


def test_a_damaged_weights_file_is_refused(options, tmp_path):
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match=r"cut.pth cannot be read as a state dict"):
        embed(**{**options, "weights": str(tmp_path / "cut.pth")})


def test_compressed_weights_are_the_same_weights(tmp_path, pictures, weights):
    packed = tmp_path / f"{weights.name}.xz"
    packed.write_bytes(lzma.compress(weights.read_bytes(), preset=0))
    plain, read = (encoders.load_encoder(TINY, file, device="cpu") for file in (weights, packed))
    assert (plain.weights, plain.weights_sha256) == (read.weights, read.weights_sha256)
    picture = open_images(pictures).read(0)
    assert np.array_equal(plain([picture]), read([picture]))
    packed.write_bytes(packed.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"pth.xz is not a whole xz file"):
        encoders.load_encoder(TINY, packed, device="cpu")


def test_without_torch_the_extra_is_named(options, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"pip install -e '.\[encode\]'"):
        embed(**options)


def test_a_full_disk_is_said_before_the_work(options, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(embedding.os, "posix_fallocate", full, raising=False)
    with pytest.raises(InputError, match=r"no room for the vectors in .*No space left"):
        embed(**options)


def test_vectors_beyond_float16_are_refused(tmp_path, weights, monkeypatch):
    images = ImageList("one", ("a.png",), lambda i: Image.new("RGB", (32, 32), "white"))
    loaded = encoders.load_encoder(TINY, weights, device="cpu")
    monkeypatch.setattr(encoders.Loaded, "__call__", lambda self, pictures: np.full((1, 512), 1e6, np.float32))
    with pytest.raises(InputError, match=r"vector of a.png is not finite in float16"):
        embedding.embed_images(images, loaded, tmp_path, fingerprint="x", progress=False)


# The parent imports torch once and forks a child an attempt, so that kills fall into the run and not into the import.
KILLED = """
import json, os, random, shutil, signal, sys, time
from pathlib import Path
import torch, torchvision.models, torchvision.transforms.v2
from neighborhood_drift.study.embed import embed

torch.set_num_threads(1)
options, kills = json.loads(sys.argv[1]), int(sys.argv[2])
random.seed(0)

def attempt(out, seconds=None):
    began, child = time.perf_counter(), os.fork()
    if child == 0:
        sys.stdout = open(os.devnull, "w")
        embed(**{**options, "out": out})
        os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    return os.WIFSIGNALED(status), status, time.perf_counter() - began

def content(out):
    files = {str(file.relative_to(out)): file.read_bytes() for file in Path(out).rglob("*") if file.is_file()}
    provenance = json.loads(files.pop("provenance.json"))
    return files, {key: value for key, value in provenance.items() if key != "date"}

_, status, whole = attempt("whole")
assert status == 0
expected, killed, reached, finished = content("whole"), 0, [], 0
while killed < kills:
    dead, status, _ = attempt("killed", random.uniform(0, whole))
    if dead:
        killed += 1
        note = Path("killed/unfinished/progress.json")
        reached.append(json.loads(note.read_text())["done"] if note.is_file() else None)
    else:
        assert status == 0 and content("killed") == expected
        finished += 1
        shutil.rmtree("killed")
assert attempt("killed")[1] == 0
assert content("killed") == expected, sorted(content("killed")[0])
print(json.dumps({"killed": killed, "finished": finished + 1, "reached": reached}))
"""


def test_killed_at_twenty_random_moments_it_ends_with_the_same_result(options, tmp_path):
    if not hasattr(__import__("os"), "fork"):
        pytest.skip("this system cannot fork")
    told = json.dumps({name: value for name, value in options.items() if name != "out"})
    command = [sys.executable, "-c", textwrap.dedent(KILLED), told, "20"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert result["killed"] == 20
    assert any(rows and 0 < rows < 24 for rows in result["reached"]), "no kill fell into the batches"


@pytest.mark.parametrize("encoder", ["resnet50", "resnet18"])
def test_bundled_vectors_are_made_again(tmp_path, encoder):
    """The first images of a bundled sample, embedded anew, give the bundled vectors."""
    file = bundled_folder() / f"cifar10-{encoder}" / f"{encoder}-pqf.pth.xz"
    if not file.exists():
        file = at_hand.shared() / "data" / "weights" / f"{encoder}-pqf.pth"
    data = load_dataset(f"cifar10-{encoder}")
    loaded = encoders.load_encoder(encoder, file, device="cpu")
    assert {"name": encoder, "weights": loaded.weights, "weights_sha256": loaded.weights_sha256} == (
        data.provenance["encoder"]
    )
    listed = open_images(bundled_folder() / "cifar10-resnet50" / "originals.zip")
    seen = survey(listed, progress=False)
    assert len(listed) == ORIGINALS == 32
    again = embedding.embed_images(listed, loaded, tmp_path, fingerprint=seen.fingerprint, progress=False)
    one, two = again.astype(np.float64), data.vectors[:ORIGINALS].astype(np.float64)
    cosine = (one * two).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
    assert cosine.min() > 0.9999
