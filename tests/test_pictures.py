"""Pictures from anyone: what is refused and how, what a picture becomes as a vector, and which ones are shown."""

import hashlib
import io
import lzma
import os
import struct
import sys
import zipfile
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from neighborhood_drift.checks import InputError
from neighborhood_drift.datasets import bundled_folder, load_dataset
from neighborhood_drift.images import open_images, survey
from neighborhood_drift.retrieval import encoding, pictures
from neighborhood_drift.retrieval.pictures import Thumbnails, decode, picture_encoder

GRAY = {"name": "pixels", "size": [4, 3], "mode": "L"}


def noise(size=(40, 30), seed=0, mode="RGB"):
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def as_file(picture, form="PNG", **how):
    stream = io.BytesIO()
    picture.save(stream, form, **how)
    return stream.getvalue()


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, content=b"", color=2):
    """A PNG file whose header claims a size, whatever its content is."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + content + chunk(b"IEND", b"")


class Points:
    """Just enough of a store for thumbnails: metadata by id."""

    def __init__(self, **metadata):
        self._metadata = metadata

    def ids(self):
        return list(self._metadata)

    def metadata(self, ids):
        return [self._metadata[one] for one in ids]


# ---- decoding


@pytest.mark.parametrize("form", pictures.FORMATS)
def test_every_form_is_decoded_in_rgb(form):
    lossless = {"lossless": True} if form == "WEBP" else {}
    picture = noise().quantize(256).convert("RGB") if form == "GIF" else noise()
    decoded = decode(as_file(picture, form, **lossless))
    assert decoded.mode == "RGB" and decoded.size == (40, 30)
    assert form == "JPEG" or np.array_equal(np.asarray(decoded), np.asarray(picture))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK"])
def test_other_kinds_of_pixels_become_rgb(mode):
    picture = Image.new(mode, (5, 4), 1)
    assert decode(as_file(picture, "JPEG" if mode == "CMYK" else "PNG")).mode == "RGB"


def test_the_first_frame_is_taken():
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    for form in ("GIF", "WEBP", "PNG"):
        data = as_file(frames[0], form, save_all=True, append_images=frames[1:], duration=9)
        red, _, blue = decode(data).getpixel((0, 0))
        assert red > 200 and blue < 60


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\x80\x04K\x01.",
        as_file(noise(), "TIFF"),
        as_file(noise(), "PPM"),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"\x89PNG\r\n\x1a\n",
    ],
    ids=["nothing", "text", "svg", "pickle", "tiff", "ppm", "postscript", "signature"],
)
def test_what_is_no_picture_is_refused(data):
    with pytest.raises(pictures.NotAPicture, match=r"^the file is not a picture .* PNG, JPEG, WebP, GIF and BMP"):
        decode(data)


def test_too_many_bytes_are_refused_before_they_are_read():
    with pytest.raises(pictures.TooLarge, match=r"has 11 bytes; at most 10 are taken"):
        decode(b"not a thing", most_bytes=10)


def riff(width, height):
    extended = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + (width - 1).to_bytes(3, "little")
    extended += (height - 1).to_bytes(3, "little")
    rest = as_file(noise((8, 8)), "WEBP")[12:]
    return b"RIFF" + struct.pack("<I", 4 + len(extended) + len(rest)) + b"WEBP" + extended + rest


def gif(width, height):
    data = bytearray(as_file(noise().quantize(4), "GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def bmp(width, height):
    data = bytearray(as_file(noise(), "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def jpeg(width, height):
    data = as_file(noise(), "JPEG")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


@pytest.mark.parametrize("make", [png, gif, bmp, jpeg], ids=lambda make: make.__name__)
@pytest.mark.parametrize("size", [(7000, 7000), (10_000, 10_000), (60_000, 60_000)])
@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_by_its_header(make, size, monkeypatch):
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("decoded"))
    with pytest.raises(pictures.TooLarge, match=r"pixels"):
        decode(make(*size))


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_a_frame_that_is_larger_than_its_picture_is_refused():
    data = bytearray(gif(40, 30))
    at = data.index(b",\0\0\0\0\x28\0\x1e\0") + 5
    data[at : at + 4] = struct.pack("<HH", 10_000, 10_000)
    with pytest.raises(pictures.TooLarge, match=r"10,000 x 10,000 pixels"):
        decode(bytes(data))


def test_a_webp_bomb_is_refused():
    with pytest.raises(InputError):
        decode(riff(16_000, 16_000))


def test_a_small_file_of_many_pixels_is_decoded_up_to_the_limit():
    data = as_file(Image.new("L", (2000, 1000)))
    assert len(data) < 5000 and decode(data, most_pixels=2_000_000).size == (2000, 1000)
    with pytest.raises(pictures.TooLarge, match=r"2,000 x 1,000 pixels; at most 1,999,999"):
        decode(data, most_pixels=1_999_999)


def test_text_that_is_packed_into_a_picture_is_no_bomb():
    packed = chunk(b"zTXt", b"key\0\0" + zlib.compress(bytes(200 * 2**20), 9))
    with pytest.raises(InputError, match=r"truncated or damaged"):
        decode(png(2, 1, packed + chunk(b"IDAT", zlib.compress(bytes(7)))))


def test_a_jpeg_of_too_many_scans_is_refused():
    data = as_file(noise(), "JPEG", progressive=True)
    assert decode(data).size == (40, 30)
    at = data.rindex(b"\xff\xda")
    scan = data[at:-2]
    with pytest.raises(pictures.TooLarge, match=r"more than 100 scans"):
        decode(data[:-2] + scan * 200 + data[-2:])


@pytest.mark.parametrize("form", pictures.FORMATS)
@given(share=st.floats(0, 0.95))
def test_a_truncated_picture_gets_one_sentence(form, share):
    data = as_file(noise(), form)
    with pytest.raises(InputError, match=r"^the (file|picture) is .*\.$"):
        decode(data[: int(share * len(data))])


@pytest.mark.parametrize("form", pictures.FORMATS)
@given(changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=20))
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_picture_is_decoded_or_refused(form, changes):
    data = bytearray(as_file(noise((12, 9)), form))
    for place, value in changes:
        data[int(place * len(data))] = value
    try:
        decoded = decode(bytes(data), most_pixels=10_000)
    except InputError as error:
        assert str(error).endswith(".")
    else:
        assert decoded.mode == "RGB" and decoded.width * decoded.height <= 10_000


# ---- pictures to vectors


def test_pixels_are_the_picture_row_by_row():
    picture = noise((4, 3), mode="L")
    vector = picture_encoder(GRAY)([picture.convert("RGB")])
    assert vector.shape == (1, 12) and vector.dtype == np.float32
    assert np.array_equal(vector[0], np.asarray(picture, np.float32).ravel() / np.float32(255))
    colored = picture_encoder({**GRAY, "mode": "RGB"})([noise((4, 3))])
    assert np.array_equal(colored[0], np.asarray(noise((4, 3)), np.float32).ravel() / np.float32(255))


def test_pixels_of_a_larger_picture_come_from_its_middle():
    wide = Image.new("RGB", (800, 300), "black")
    wide.paste("white", (100, 0, 700, 300))
    assert (picture_encoder(GRAY)([wide])[0] == 1).all()


@pytest.mark.parametrize("encoder", [GRAY, {**GRAY, "mode": "RGB"}])
def test_an_encoder_says_its_dimension(encoder):
    encode = picture_encoder(encoder)
    for made in (encode([]), encode([noise()]), encode([noise(), noise(seed=1)])):
        assert made.shape[1] == encoding.encoded_dimension(encoder)


@pytest.mark.parametrize(
    ("encoder", "sentence"),
    [
        ("pixels", r"must be a dict with a name"),
        ({}, r"encoder is None; known are pixels, resnet50"),
        ({"name": "pixels", "size": 28, "mode": "L"}, r"size of the encoder is 28; it must be \[width, height\]"),
        ({"name": "pixels", "size": [28, 0], "mode": "L"}, r"a side of the encoder is 0"),
        ({"name": "pixels", "size": [28, 28]}, r"mode of the encoder is None; known are L, RGB"),
        ({"name": "resnet50", "weights": "mine.pth"}, r"weights mine.pth of encoder resnet50 are not at hand"),
    ],
)
def test_what_is_no_encoder_is_refused(encoder, sentence):
    with pytest.raises(InputError, match=sentence):
        picture_encoder(encoder)


def test_without_torch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"pip install -e '.\[encode\]'"):
        picture_encoder(load_dataset("cifar10-resnet50").provenance["encoder"])
    assert picture_encoder(GRAY)([noise()]).shape == (1, 12), "pixels need no torch"


def test_the_bundled_weights_are_the_recorded_ones():
    folder = bundled_folder()
    recorded = load_dataset("cifar10-resnet50").provenance["encoder"]["weights_sha256"]
    packed = (folder / "cifar10-resnet50" / "resnet50-pqf.pth.xz").read_bytes()
    told = (folder / "README.md").read_text()
    assert hashlib.sha256(lzma.decompress(packed)).hexdigest() == recorded
    assert recorded in told and hashlib.sha256(packed).hexdigest() in told


def test_an_image_becomes_the_bundled_vector_and_other_weights_are_refused(tmp_path):
    torch = pytest.importorskip("torch", reason="torch is not installed (the extra: encode)")
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed (the extra: encode)")
    data = load_dataset("cifar10-resnet50")
    encode = picture_encoder(data.provenance["encoder"], device="cpu")
    originals = open_images(bundled_folder() / "cifar10-resnet50" / "originals.zip")
    one, two = encode([originals.read(3)])[0].astype(np.float64), data.vectors[3].astype(np.float64)
    assert one @ two / np.linalg.norm(one) / np.linalg.norm(two) > 0.9999
    torch.save(models.get_model("squeezenet1_1", weights=None).state_dict(), tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"weights other.pth are not those that made the vectors \(mine.pth"):
        picture_encoder({"name": "squeezenet1_1", "weights": "mine.pth", "weights_sha256": "0" * 64},
                        tmp_path / "other.pth", device="cpu")  # fmt: skip


# ---- small pictures


def test_thumbnails_of_pictures_at_hand_go_by_name():
    images = np.stack([np.full((32, 32, 3), 9 * row, np.uint8) for row in range(3)])
    points = Points(a={"image": "two"}, b={"image": "none"}, c={}, d={"image": 7})
    small = Thumbnails(points, images, ["zero", "one", "two"])
    assert np.array_equal(np.asarray(small.picture("a")), images[2]) and small.has({"image": "one"})
    assert [small.png(one) for one in "bcd"] == [None] * 3 and not small.has({"image": "none"})
    with pytest.raises(InputError, match=r"3 pictures have 2 different names"):
        Thumbnails(points, images, ["zero", "one", "one"])


def test_thumbnails_of_files_and_archives(tmp_path):
    noise((64, 32)).save(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr("cat/b.jpg", as_file(noise(seed=1), "JPEG"))
    points = Points(
        file={"image": str(tmp_path / "a.png")},
        packed={"image": str(tmp_path / "more.zip" / "cat" / "b.jpg")},
        gone={"image": str(tmp_path / "gone.png")},
        relative={"image": "a.png"},
    )
    small = Thumbnails(points)
    for name in ("file", "packed"):
        assert Image.open(io.BytesIO(small.png(name))).size == (32, 32)
    assert small.picture("file").size == (64, 32) and small.picture("packed").size == (40, 30)
    assert small.png("gone") is None and small.picture("gone") is None and small.png("relative") is None
    assert Thumbnails(points, folder=tmp_path).png("relative") == small.png("file")
    before = small.png("file")
    noise((64, 32), seed=5).save(tmp_path / "a.png")
    os.utime(tmp_path / "a.png", ns=(1, 1))
    assert small.png("file") != before, "a changed file is read again"


def test_who_adds_points_cannot_have_other_files_shown(tmp_path):
    for folder in ("shown", "secret"):
        (tmp_path / folder).mkdir()
        noise().save(tmp_path / folder / "a.png")
    metadata = {"old": {"image": str(tmp_path / "shown" / "a.png")}}
    points = Points(**metadata)
    small = Thumbnails(points)
    (tmp_path / "shown" / "link.png").symlink_to(tmp_path / "secret" / "a.png")
    for path in ("secret/a.png", "shown/../secret/a.png", "shown/link.png", "shown/\0.png", ""):
        points._metadata["new"] = {"image": f"{tmp_path}/{path}"}
        assert small.png("new") is None and not small.has(points._metadata["new"])
    points._metadata["new"] = {"image": f"{tmp_path}/shown/a.png"}
    assert small.png("new") is not None
    assert Thumbnails(Points(old={"image": f"{tmp_path}/shown/link.png"})).png("old") is not None, "a link of one's own"


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_archive_gets_one_sentence(tmp_path, packing):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", packing) as archive:
        archive.writestr("a.png", as_file(Image.new("RGB", (3, 2), "red")))
    whole, file = stream.getvalue(), tmp_path / "more.zip"
    file.write_bytes(whole)
    small = Thumbnails(Points(a={"image": str(file / "a.png")}))
    shown, refused = small.png("a"), 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        os.utime(file, ns=(place, place))
        refused += small.png("a") is None
        try:
            pictures.read_picture(file / "a.png")
        except InputError as error:
            assert str(error).endswith(".")
        with suppress(InputError):
            survey(open_images(file), progress=False)
    assert shown is not None and refused > len(whole) / 8


def test_a_picture_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    (tmp_path / "b.zip").write_bytes(b"nothing")
    for path, sentence in (("a.png", r"^a.png: the file is not a picture"), ("c.png", "cannot be read"),
                           ("b.zip/c.png", "cannot be read")):  # fmt: skip
        with pytest.raises(InputError, match=sentence):
            pictures.read_picture(tmp_path / path)
