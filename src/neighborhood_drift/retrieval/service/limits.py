"""What one request may ask of the service, so that none takes its memory or its processors for long."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...checks import InputError

BACKGROUND = "service: "  # how the names of threads begin that work beside the requests


@dataclass(frozen=True)
class Limits:
    """Bounds of a request; the service tells them under ``/info``.

    Parameters
    ----------
    k, ef : int
        The most neighbors and the highest effort of a search.
    upload_bytes, upload_pixels : int
        The largest image: its file, and width times height.
    body_bytes, search_bytes : int
        The largest body of a request that changes data, and of any other.
    points : int
        The most points that one request adds, deletes or lists.
    engine_bytes : int
        The most bytes of vectors that get FAISS's graph beside the store's own; they are held twice, in the
        graph and for the truth that it is compared with.
    """

    k: int = 200
    ef: int = 2_000
    upload_bytes: int = 10 * 2**20
    upload_pixels: int = 40_000_000
    body_bytes: int = 64 * 2**20
    search_bytes: int = 2 * 2**20
    points: int = 10_000
    engine_bytes: int = 2 * 2**30


class Refused(InputError):
    """A request that is refused with a status of its own.

    >>> Refused(404, "There is no point 5.").status
    404
    """

    def __init__(self, status: int, sentence: str):
        super().__init__(sentence)
        self.status = status


def without_folders(sentence: str) -> str:
    """A sentence without the folders of the files that it names: where they lie is nobody's business.

    >>> without_folders("/srv/me/a.pth is missing, and so is C:\\\\data\\\\b.pth; read https://a.org/b or/and c.")
    'a.pth is missing, and so is b.pth; read https://a.org/b or/and c.'
    """
    return re.sub(r"(?<![\w/:.])(?:[A-Za-z]:)?(?:[/\\][^\s/\\:;,'\"()]+)*[/\\]([^\s/\\:;,'\"()]+)", r"\1", sentence)
