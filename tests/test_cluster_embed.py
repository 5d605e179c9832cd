"""Embedding by worker processes: the vectors of one process, to the last bit, whoever dies in between."""

import os
import signal

import numpy as np
import pytest
from PIL import Image

from neighborhood_drift import cluster, encoders
from neighborhood_drift.checks import InputError
from neighborhood_drift.embedding import embed_images
from neighborhood_drift.images import open_images, survey
from neighborhood_drift.study.embed import embed

torch = pytest.importorskip("torch", reason="torch is not installed (the extra: encode)")
models = pytest.importorskip("torchvision.models", reason="torchvision is not installed (the extra: encode)")

TINY = "squeezenet1_1"


@pytest.fixture(scope="module")
def client():
    with cluster.connected(workers=2) as client:
        yield client


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A folder of 23 pictures, and random weights."""
    folder = tmp_path_factory.mktemp("given")
    random = np.random.default_rng(11)
    for row in range(23):
        (folder / "pictures" / f"class{row % 2}").mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (32, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"class{row % 2}" / f"{row:02d}.png")
    torch.manual_seed(0)
    torch.save(models.get_model(TINY, weights=None).state_dict(), folder / "weights.pth")
    return folder


@pytest.fixture(scope="module")
def expected(given, tmp_path_factory):
    """The data set as one process makes it, and the options it was made with."""
    out = tmp_path_factory.mktemp("expected")
    options = {"images": str(given / "pictures"), "encoder": TINY, "weights": str(given / "weights.pth")}
    options |= {"batch_size": 2, "device": "cpu", "progress": False, "sample": 21}
    embed(**options, out=out)
    return out, options


def test_workers_make_the_same_data_set(client, expected, tmp_path):
    made, options = expected
    embed(**options, out=tmp_path / "made", scheduler=client.scheduler.address)
    assert (tmp_path / "made" / "base.npy").read_bytes() == (made / "base.npy").read_bytes()
    assert (tmp_path / "made" / "names.json").read_bytes() == (made / "names.json").read_bytes()


def opened(given, sample):
    images = open_images(given / "pictures").sample(sample)
    return images, encoders.load_encoder(TINY, given / "weights.pth", device="cpu")


def test_a_run_begun_by_one_process_goes_on_with_workers_one_of_which_dies(client, given, expected, tmp_path):
    images, encoder = opened(given, 21)
    how = {"fingerprint": survey(images, progress=False).fingerprint, "batch_size": 2, "progress": False}
    seen = []

    def stopping(ranges):
        for rows in ranges[:3]:
            yield rows, encoder([images.read(row) for row in rows])
        raise KeyboardInterrupt

    def noting(ranges):
        for rows, batch in cluster.batches_on(client, given / "pictures", images, encoder, given / "weights.pth")(
            ranges
        ):
            if not seen:
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
            seen.append(rows)
            yield rows, batch

    with pytest.raises(KeyboardInterrupt):
        embed_images(images, encoder, tmp_path, **how, batches=stopping)
    made = embed_images(images, encoder, tmp_path, **how, batches=noting)
    assert sorted(seen, key=lambda rows: rows.start) == [range(row, min(row + 2, 21)) for row in range(6, 21, 2)]
    assert np.array_equal(made, np.load(expected[0] / "base.npy"))


def test_batches_that_come_out_of_order_are_counted_when_those_before_them_are_there(given, tmp_path):
    images, encoder = opened(given, 8)
    how = {"fingerprint": "x", "batch_size": 2, "progress": False}
    asked = []

    def backwards(ranges):
        asked.append(list(ranges))
        for rows in reversed(ranges[1:]):
            yield rows, encoder([images.read(row) for row in rows])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_images(images, encoder, tmp_path, **how, batches=backwards)
    with pytest.raises(KeyboardInterrupt):
        embed_images(images, encoder, tmp_path, **how, batches=backwards)
    assert asked[0] == asked[1] == [range(row, row + 2) for row in range(0, 8, 2)]


def test_a_worker_that_sees_other_images_or_weights_refuses(client, given):
    images, _ = opened(given, 0)
    other = encoders.Loaded(TINY, None, None, "", "", "0" * 64, "cpu")
    run = cluster.batches_on(client, given / "pictures", images, other, given / "weights.pth")
    with pytest.raises(InputError, match="weights of squeezenet1_1 differ between a worker and here"):
        list(run([range(2)]))
    with pytest.raises(InputError, match=r"holds other images for a worker than here, first 'gone.png'"):
        cluster.encoding.encode(str(given / "pictures"), [(0, "gone.png")], ())
