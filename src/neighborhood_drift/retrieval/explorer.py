"""The explorer of the HTML paper: lists of `explored`, their pictures and a script, in one piece of HTML."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..files import write_text
from ..names import label
from ..neighbors import MISSING
from .explored import SEARCHES, Explored
from .searched import Searched

TEMPLATE = Path(__file__).with_name("explorer.html")
FRAGMENT = Path("explorer") / "fragment.qmd"  # in the folder of a run; the paper includes it
MOST_BYTES = 5_000_000  # of the whole page of the explorer
FEWER = (150, 100, 70, 50, 35, 25, 15)  # queries that are kept where more do not fit
COLUMNS, QUALITY = 96, 70  # of the sheet of pictures: pictures side by side, and JPEG's quality
ESCAPE = 255  # a byte that says: add 255, and the next byte
AS_NEAR = 1 + 1e-6  # times the k-th true distance: what is no farther is a tie, as in `metrics.tie_aware_recall`


@dataclass(frozen=True, eq=False)
class Page:
    """An explorer; made by `page`.

    Parameters
    ----------
    lists : Explored
        What it shows: as many of the queries as fit.
    html : str
        Style, form and script, to stand in the body of any page; it fetches nothing.
    """

    lists: Explored
    html: str


def page(lists: Explored, searched: Searched, *, most_bytes: int = MOST_BYTES) -> Page:
    """Make the explorer of some lists.

    Parameters
    ----------
    lists : Explored
    searched : Searched
        What was searched, with pictures and labels; without pictures labels, or ids, stand in their places.
    most_bytes : int
        Fewer queries are shown where all of them need more; at least 15 are.

    Returns
    -------
    Page

    Examples
    --------
    >>> from neighborhood_drift.retrieval.explored import explore
    >>> points = np.random.default_rng(0).normal(size=(80, 8)).astype(np.float32)
    >>> searched = Searched("mine", "", points[:60], points[60:])
    >>> page(explore(searched.base, searched.queries, ks=(5,), efs=(10,), shown=8), searched).html.count("<script")
    2
    """
    html = _html(lists, searched)
    for queries in (count for count in FEWER if count < len(lists.rows)):
        if len(html) <= most_bytes:
            break
        lists = lists.fewer(queries)
        html = _html(lists, searched)
    return Page(lists, html)


def write(made: Page, out="") -> Path | None:
    """Write ``out/explorer/fragment.qmd``, which the paper includes; nothing where ``out`` is empty.

    The fragment is one block of raw HTML, so that it is in the HTML paper alone, whatever makes that.
    """
    return write_text(Path(out) / FRAGMENT, f"```{{=html}}\n{made.html}\n```\n") if out else None


def _html(lists: Explored, searched: Searched) -> str:
    members, queries = zip(*(_query(lists, number) for number in range(len(lists.rows))), strict=True)
    ids = np.unique(np.concatenate(members))
    for own, query in zip(members, queries, strict=True):
        query["m"] = np.searchsorted(ids, own).tolist()
    data = {
        "searches": [{"name": label(name), "effort": effort} for name, effort in SEARCHES.items()],
        "ks": lists.ks, "efs": lists.efs, "start": lists.start,
        "random": lists.random, "hardest": lists.hardest.tolist(), "first": lists.first,
        "examined": lists.examined, "depth": lists.exact.k,
        "ids": ids.tolist(), "rows": lists.rows.tolist(), "columns": COLUMNS, "labels": None, "names": [], "sheet": "",
        "queries": queries,
    }  # fmt: skip
    if searched.labels is not None:
        kinds, codes = np.unique(np.r_[searched.labels[ids], searched.query_labels[lists.rows]], return_inverse=True)
        named = [str(searched.classes[kind] if searched.classes else kind) for kind in kinds]
        data |= {"labels": codes.tolist(), "names": named}
    if searched.images is not None:
        data["sheet"] = _sheet(np.concatenate([searched.images[ids], searched.query_images[lists.rows]]))
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return TEMPLATE.read_text(encoding="utf-8").strip().replace("__DATA__", text)


def _query(lists: Explored, number: int) -> tuple[np.ndarray, dict]:
    """The points that any list of a query holds, nearest first, and its lists as places among them.

    The first of them are its true neighbors, as many as the largest k, whose places are their ranks less 1; ``r`` are
    the ranks of the others, 0 beyond the depth to which ranks are known, where the distances that the searches told
    order them. ``t`` is, for each k, how many of the points are no farther than the k-th true neighbor. ``l`` is, for
    each search, ef and k, how many ids the list holds and the gap before each of them, nearest first, a byte each.
    """
    ranked, distances = lists.exact.ids[number], lists.exact.distances[number]
    rank_of = {int(one): rank for rank, one in enumerate(ranked)}
    found, far = [], {}
    for search in ((name, ef, k) for name in SEARCHES for ef in lists.efs for k in lists.ks):
        came = lists.found[search].rows([number])
        found.append([int(one) for one in came.ids[0] if one != MISSING])
        told = zip(found[-1], came.distances[0].tolist(), strict=False)
        far |= {one: distance for one, distance in told if one not in rank_of and one not in far}
    first = max(lists.ks)
    beyond = sorted(far, key=lambda one: (far[one], one))
    later = sorted({rank_of[one] for ids in found for one in ids if one in rank_of} - set(range(first)))
    members = np.array([*ranked[:first], *ranked[later], *beyond], dtype=np.int64)
    place = {int(one): position for position, one in enumerate(members)}
    code = bytearray()
    for ids in found:
        places = sorted(place[one] for one in ids)
        code.append(len(places))
        for gap in np.diff(places, prepend=-1) - 1:
            code += bytes([ESCAPE] * (gap // ESCAPE) + [gap % ESCAPE])
    ranks = [rank + 1 for rank in later] + [0] * len(beyond)
    distances = np.array([*distances[:first], *distances[later], *(far[one] for one in beyond)])
    near = [int((distances <= AS_NEAR * distances[k - 1]).sum()) for k in lists.ks]
    return members, {"r": ranks, "t": near, "l": base64.b64encode(code).decode()}


def _sheet(pictures: np.ndarray) -> str:
    """Pictures side by side in one JPEG, base64; colors at full resolution, or they would run into the next picture."""
    count, height, width, _ = pictures.shape
    rows = -(-count // COLUMNS)
    sheet = np.zeros((rows * COLUMNS, height, width, 3), dtype=np.uint8)
    sheet[:count] = pictures
    sheet = sheet.reshape(rows, COLUMNS, height, width, 3).swapaxes(1, 2).reshape(rows * height, COLUMNS * width, 3)
    stream = io.BytesIO()
    Image.fromarray(sheet).save(stream, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return base64.b64encode(stream.getvalue()).decode()
