"""Files that are too large or too restricted for the repository; tests that need them are skipped without them."""

import os
from pathlib import Path

import pytest


def shared() -> Path:
    """Folder with weights and images: ``$NEIGHBORHOOD_DRIFT_SHARED``, or ``shared`` beside the repository."""
    folder = Path(os.environ.get("NEIGHBORHOOD_DRIFT_SHARED") or Path(__file__).parents[2] / "shared")
    if not (folder / "data" / "weights").is_dir():
        pytest.skip("the images and weights of data/README.md are not at hand; name them in NEIGHBORHOOD_DRIFT_SHARED")
    return folder
