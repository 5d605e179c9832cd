"""Encoders of images: one table, their weights, and batches of images to vectors."""

from __future__ import annotations

import hashlib
import io
import logging
import lzma
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .checks import InputError, one_of

DEVICES = ("auto", "cpu", "cuda", "mps")
TRANSFORM = "RGB, shorter side to 256 (bilinear, antialias), center crop 224, ImageNet mean and standard deviation"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Encoder:
    """One row of the table `ENCODERS`.

    Parameters
    ----------
    dimension : int
        Length of a vector: the pooled features before the classifier.
    classifier : str
        Attribute of the torchvision model that is replaced to get them; empty for a CLIP model.
    pooled : bool
        Whether the model pools before its classifier; if not, a global average pool takes the classifier's place.
    clip : tuple of str
        Architecture and pretrained tag of ``open_clip``; empty for a torchvision model.
    """

    dimension: int
    classifier: str = ""
    pooled: bool = True
    clip: tuple[str, str] | tuple[()] = ()


ENCODERS = {
    "resnet50": Encoder(2048, "fc"),
    "resnet18": Encoder(512, "fc"),
    "mobilenet_v2": Encoder(1280, "classifier"),
    "mobilenet_v3_large": Encoder(960, "classifier"),
    "squeezenet1_1": Encoder(512, "classifier", pooled=False),
    "vit_b_16": Encoder(768, "heads"),
    "clip": Encoder(512, clip=("ViT-B-32", "laion2b_s34b_b79k")),
}


@dataclass(frozen=True, eq=False)
class Loaded:
    """An encoder ready to run; made by `load_encoder`."""

    name: str
    model: object
    transform: object
    transform_text: str
    weights: str
    weights_sha256: str
    device: str
    bfloat16: bool = False

    def __call__(self, pictures) -> np.ndarray:
        """Embed a batch of RGB PIL images: (b, d) float32."""
        import torch

        kind = torch.bfloat16 if self.bfloat16 else torch.float32
        batch = torch.stack([self.transform(picture) for picture in pictures])
        with torch.inference_mode():
            batch = batch.to(self.device, kind, memory_format=torch.channels_last)
            return self.model(batch).float().cpu().numpy()


def load_encoder(name: str, weights="DEFAULT", *, device: str = "auto", bfloat16: bool = False) -> Loaded:
    """Load an encoder of the table `ENCODERS` with its weights.

    Parameters
    ----------
    name : str
        A name of `ENCODERS`. ``clip`` is the image encoder of CLIP and needs ``open_clip``.
    weights : str or path, default "DEFAULT"
        The library's own default weights (downloaded), or the path of a state dict of the whole model, which must
        fit strictly; any floating type, run in float32. One that is compressed, ``<name>.xz``, counts as the file
        ``<name>``, by its name and its checksum.
    device : str, default "auto"
        ``cpu``, ``cuda``, ``mps``; ``auto`` takes CUDA, else MPS, else the CPU.
    bfloat16 : bool, default False
        Run in bfloat16: faster on recent hardware, with about three significant digits.

    Raises
    ------
    InputError
        Unknown encoder or device, torch or open_clip missing, a weights file that is missing or does not fit.

    Examples
    --------
    >>> load_encoder("resnet51")
    Traceback (most recent call last):
    neighborhood_drift.checks.InputError: encoder is 'resnet51'; known are resnet50, resnet18, ...
    """
    one_of(name, ENCODERS, "encoder")
    one_of(device, DEVICES, "device")
    torch = _torch()
    device = _device(torch, device)
    if weights != "DEFAULT" and not Path(weights).is_file():
        raise InputError(f"weights file {weights} does not exist; give the path of a state dict, or DEFAULT.")
    load = _load_clip if ENCODERS[name].clip else _load_torchvision
    model, transform, text, title, file = load(torch, name, weights)
    kind = torch.bfloat16 if bfloat16 else torch.float32
    model = model.eval().to(device, kind, memory_format=torch.channels_last)
    with _opened(file) as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Loaded(name, model, transform, text, title, digest, device, bfloat16)


def random_encoder(name: str, *, seed: int = 0) -> Loaded:
    """An encoder with random weights, on the CPU, for timing alone: its vectors mean nothing.

    Parameters
    ----------
    name : str
        A name of `ENCODERS`.
    seed : int, default 0

    Raises
    ------
    InputError
        Unknown encoder, torch or open_clip missing.
    """
    row, torch = ENCODERS[one_of(name, ENCODERS, "encoder")], _torch()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if row.clip:
            before = logging.root.level  # open_clip warns that there are no weights, which is wanted here
            logging.root.setLevel(logging.ERROR)
            try:
                model, _, transform = _open_clip().create_model_and_transforms(row.clip[0], pretrained=None)
            finally:
                logging.root.setLevel(before)
            model = model.visual
        else:
            from torchvision import models

            model = _without_classifier(torch, models.get_model(name, weights=None), row)
            transform = _imagenet_transform(torch)
    model = model.eval().to(memory_format=torch.channels_last)
    return Loaded(name, model, transform, "", "random", "", "cpu")


def _torch():
    try:
        import torch
        import torchvision  # noqa: F401
    except ImportError as error:
        raise InputError(
            "embedding images needs torch and torchvision; install them in a clone: pip install -e '.[encode]'."
        ) from error
    return torch


def _device(torch, device: str) -> str:
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(name for name, here in present.items() if here)
    if not present[device]:
        raise InputError(f"device {device} is not available here; available are {[d for d in present if present[d]]}.")
    return device


def _opened(file):
    """A binary stream of a file of weights; a compressed one is held in memory, since it is read back and forth."""
    if Path(file).suffix != ".xz":
        return Path(file).open("rb")
    try:
        with lzma.open(file) as stream:
            return io.BytesIO(stream.read())
    except (lzma.LZMAError, EOFError) as error:
        raise InputError(f"weights file {Path(file).name} is not a whole xz file ({error}).") from error


def _state_dict(torch, file):
    try:
        with _opened(file) as stream:
            return torch.load(stream, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"weights file {Path(file).name} cannot be read as a state dict: {error}") from error


def _load_torchvision(torch, name: str, weights):
    from torchvision import models

    title, file = Path(weights).name.removesuffix(".xz"), Path(weights)
    if weights == "DEFAULT":
        default = models.get_model_weights(name).DEFAULT
        title, file = str(default), Path(torch.hub.get_dir()) / "checkpoints" / Path(default.url).name
        try:
            default.get_state_dict(check_hash=True)
        except (OSError, RuntimeError) as error:
            raise InputError(f"weights {title} could not be downloaded or are damaged: {error}.") from error
    row = ENCODERS[name]
    model = models.get_model(name, weights=None)
    try:
        model.load_state_dict(_state_dict(torch, file), strict=True)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise InputError(f"weights file {Path(file).name} does not fit {name}: {str(error).splitlines()[0]}") from error
    return _without_classifier(torch, model, row), _imagenet_transform(torch), TRANSFORM, title, file


def _without_classifier(torch, model, row: Encoder):
    setattr(model, row.classifier, torch.nn.Identity() if row.pooled else torch.nn.AdaptiveAvgPool2d(1))
    return model


def _imagenet_transform(torch):
    from torchvision.transforms import v2

    return v2.Compose(
        [
            v2.Resize(256, interpolation=v2.InterpolationMode.BILINEAR, antialias=True),
            v2.CenterCrop(224),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )


def _open_clip():
    try:
        import open_clip
    except ImportError as error:
        raise InputError("encoder clip needs open_clip; install it in a clone: pip install -e '.[clip]'.") from error
    return open_clip


def _load_clip(torch, name: str, weights):
    open_clip = _open_clip()
    architecture, tag = ENCODERS[name].clip
    title, file = f"{architecture} {Path(weights).name}", Path(weights)
    if file.suffix == ".xz":
        raise InputError(f"weights file {file.name} is compressed; encoder clip reads a file that is not.")
    if weights == "DEFAULT":
        title = f"{architecture} {tag}"
        file = Path(open_clip.download_pretrained(open_clip.get_pretrained_cfg(architecture, tag)))
    model, _, transform = open_clip.create_model_and_transforms(architecture, pretrained=str(file))
    return model.visual, transform, "open_clip's own", title, file
