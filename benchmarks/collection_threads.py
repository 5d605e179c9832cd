"""A collection that threads search, change, compact and save at once: what is lost, and how long a search takes.

Each writer adds, replaces and deletes points of its own and keeps a record of them; readers search all the while, first
without writers, then with them; one more thread compacts and saves. A deleted point is one whose `delete` had returned
before the search began. In the end the collection, and what was saved, must be what the writers' records say:
``python benchmarks/collection_threads.py --seconds 60``.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import threading
import time
from collections import Counter
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from neighborhood_drift.facts import number
from neighborhood_drift.retrieval import Collection
from neighborhood_drift.tables import Table

POINTS, DIMENSION, K, EF = 5_000, 128, 10, 100
WRITERS, READERS = 4, 8
OWN, AT_ONCE = 40, 8  # points that a writer keeps about, and those of one change


class Run:
    """One collection with all that is at work on it."""

    def __init__(self, points: int, dimension: int, seed: int):
        self.generators = iter(np.random.default_rng(seed).spawn(1000))
        self.base = next(self.generators).normal(size=(points, dimension)).astype(np.float32)
        self.collection = Collection(M=16, ef_construction=100, seed=seed)
        self.collection.add(self.base, metadata=[{"label": str(row)} for row in range(points)])
        self.records: list[dict] = []
        self.gone: dict = {}  # when the deletion of an id had returned
        self.counts, self.errors = Counter(), []
        self.seconds: dict[str, list[float]] = {"without writers": [], "with writers": []}
        self.saved_to: Path | None = None

    def search(self, stop: threading.Event, phase: str, generator) -> None:
        """Search until told to stop, and look whether a deleted point, or a point twice, comes back."""
        times = []
        while not stop.is_set():
            query = generator.normal(size=(1, self.base.shape[1])).astype(np.float32)
            began = time.perf_counter()
            (ids,) = self.collection.search(query, K, ef=EF).ids
            times.append(time.perf_counter() - began)
            self.counts["deleted points returned"] += sum(self.gone.get(one, np.inf) < began for one in ids)
            self.counts["points returned twice"] += len(ids) - len(set(ids))
            self.counts["lists shorter than k"] += len(ids) < K
        self.seconds[phase] += times

    def change(self, stop: threading.Event, record: dict, name: str, generator) -> None:
        """Add, replace and delete points of one's own until told to stop; ``record`` says what must be there."""
        numbers = count()
        while not stop.is_set():
            ids = [f"{name}-{next(numbers)}" for _ in range(AT_ONCE)]
            self._add(record, ids, generator, replace=False)
            if len(record) < OWN:
                continue
            known = list(record)
            self._add(record, [known[row] for row in generator.choice(len(known), 2, replace=False)], generator, True)
            deleted = [known[row] for row in generator.choice(len(known), AT_ONCE, replace=False)]
            self.collection.delete(deleted)
            now = time.perf_counter()
            self.gone.update(dict.fromkeys(deleted, now))
            for one in deleted:
                del record[one]
            self.counts["points deleted"] += len(deleted)

    def maintain(self, stop: threading.Event, every: float, folder: Path) -> None:
        """Compact in the background and save, again and again."""
        while not stop.wait(every):
            self.collection.compact(background=True)
            self.collection.save(folder)
            self.saved_to = folder
            self.collection.wait()
            self.counts["compactions"] += 1
            self.counts["saves"] += 1

    def lost(self, collection: Collection) -> int:
        """Points that are missing, too many, or not the vector that was added last."""
        wanted = dict(enumerate(self.base))
        for record in self.records:
            wanted |= record
        there = collection.ids()
        both = [one for one in there if one in wanted]
        other = ~(collection.vectors(both) == np.array([wanted[one] for one in both])).all(axis=1)
        return len(set(there) ^ set(wanted)) + len(there) - len(set(there)) + int(other.sum())

    def phase(self, name: str, seconds: float, readers: int, writers: int, folder: Path) -> None:
        """Let readers, and writers if any, work for a time."""
        stop, work = threading.Event(), [("search", (name, next(self.generators))) for _ in range(readers)]
        for writer in range(writers):
            self.records.append({})
            work.append(("change", (self.records[-1], f"writer {writer}", next(self.generators))))
        if writers:
            work.append(("maintain", (max(seconds / 8, 0.5), folder)))
        threads = [threading.Thread(target=self._guarded, args=(what, stop, args), daemon=True) for what, args in work]
        for thread in threads:
            thread.start()
        stop.wait(seconds)
        stop.set()
        for thread in threads:
            thread.join()

    def _add(self, record, ids, generator, replace):
        vectors = generator.normal(size=(len(ids), self.base.shape[1])).astype(np.float32)
        self.collection.add(vectors, ids, [{"label": one} for one in ids], replace=replace)
        record.update(zip(ids, vectors, strict=True))
        self.counts["points replaced" if replace else "points added"] += len(ids)

    def _guarded(self, what, stop, args):
        try:
            getattr(self, what)(stop, *args)
        except Exception as error:
            self.errors.append(f"{what}: {error!r}")


def run(
    seconds: float,
    *,
    writers: int = WRITERS,
    readers: int = READERS,
    points: int = POINTS,
    dimension: int = DIMENSION,
    seed: int = 0,
) -> tuple[dict, pd.DataFrame]:
    """Let readers work alone for a quarter of the time, then with writers for all of it.

    Returns
    -------
    dict
        Counts: searches, points added, replaced and deleted, compactions, saves; and what must be 0: errors, points
        lost, points lost in what was saved last, deleted points returned, points returned twice. The texts of the
        errors stand under "error texts".
    DataFrame
        A row without writers and one with them: searches, searches a second, and p50, p99 and longest in ms.
    """
    one = Run(points, dimension, seed)
    with TemporaryDirectory() as folder:
        place = Path(folder) / "collection"
        one.phase("without writers", seconds / 4, readers, 0, place)
        one.phase("with writers", seconds, readers, writers, place)
        lost = one.lost(one.collection)
        one.collection.save(place)
        with Collection.load(place) as again:
            lost_saved = one.lost(again)
    table = []
    for phase, lasted in (("without writers", seconds / 4), ("with writers", seconds)):
        times = 1e3 * np.array(one.seconds[phase] or [np.nan])
        p50, p99 = np.percentile(times, [50, 99])
        table.append((phase, len(times), len(times) / lasted, p50, p99, times.max()))
    counts = {"searches": sum(map(len, one.seconds.values())), **dict(sorted(one.counts.items()))}
    zero = {"errors": len(one.errors), "points lost": lost, "points lost after saving and loading": lost_saved}
    columns = ["phase", "searches", "a second", "p50 ms", "p99 ms", "longest ms"]
    return {**counts, **zero, "error texts": one.errors}, pd.DataFrame(table, columns=columns)


def shown(table: pd.DataFrame) -> Table:
    """Either table for readers, three digits a number."""
    numbers = table.select_dtypes("number").columns
    return Table(table.assign(**{name: table[name].map(lambda value: number(value, 3)) for name in numbers}))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="how long readers and writers work together")
    parser.add_argument("--out", type=Path, help="folder that gets the tables as threads-counts.csv and threads.csv")
    given = parser.parse_args()
    counts, table = run(given.seconds)
    texts = counts.pop("error texts")
    tables = {"threads-counts": pd.DataFrame({"what": counts.keys(), "number": counts.values()}), "threads": table}
    print(*map(shown, tables.values()), sep="\n\n")
    print(f"\n{WRITERS} writers, {READERS} readers, k = {K}, ef = {EF}, {DIMENSION} dimensions")
    print(f"{POINTS:,} points and those of the writers; one more thread compacts and saves")
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores")
    for text in texts:
        print(text, file=sys.stderr)
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        for name, frame in tables.items():
            frame.to_csv(given.out / f"{name}.csv", index=False, float_format="%.4g")
    wrong = ("errors", "points lost", "points lost after saving and loading", "deleted points returned")
    return int(any(counts[name] for name in (*wrong, "points returned twice")))


if __name__ == "__main__":
    sys.exit(main())
