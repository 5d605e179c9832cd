"""The graph of tasks of a search over blocks, handed to the scheduler a part at a time."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from itertools import count

from dask import delayed
from distributed import KilledWorker, as_completed
from tqdm import tqdm

from . import blocks
from .blocks import FAN, Work
from .clients import ClusterError, threads_of

ROUNDS = 2  # of merges within a part of the graph: FAN**ROUNDS blocks of the base


def compute(client, work: Work, progress: bool) -> None:
    """Search all pairs of blocks and merge what they find."""
    pairs = work.asked * work.size
    with tqdm(total=pairs, desc="neighbors", unit="pair", unit_scale=True, disable=not progress) as bar:
        for future in spread(client, graph(client, work)):
            result(future)
            kind, _, i, *node = future.key.split("-")
            if kind == "search":
                bar.update(_size(work.rows(int(i))) * _size(work.columns(int(node[0]))))


def graph(client, work: Work) -> Iterator[list]:
    """Yield lists of futures, submitted as they are taken: one task a pair of blocks, and a tree of merges above.

    The blocks of a query block come in parts of at most FAN**ROUNDS, each with the merges of its own; those above wait
    for the last merge of each part, and hold one task for FAN**ROUNDS blocks and few more.
    """
    run = uuid.uuid4().hex[:8]
    rounds = min(ROUNDS, work.levels)
    for i in range(work.query_blocks):
        ends = []
        for first in range(0, work.base_blocks, FAN**rounds):
            nodes = [
                delayed(blocks.search, pure=False)(work, i, j, dask_key_name=f"search-{run}-{i}-{j}")
                for j in range(first, min(first + FAN**rounds, work.base_blocks))
            ]
            tasks = nodes + _merges(work, run, i, range(1, rounds + 1), first, nodes)
            futures = client.compute(tasks)
            ends.append(futures[-1])
            yield futures
        if work.levels > rounds:
            yield client.compute(_merges(work, run, i, range(rounds + 1, work.levels + 1), 0, ends))


def _merges(work: Work, run: str, i: int, levels: range, first: int, nodes: list) -> list:
    """The merges of some levels above ``nodes``; ``first`` is the block of the base with which they begin."""
    tasks = []
    for level in levels:
        groups = [nodes[start : start + FAN] for start in range(0, len(nodes), FAN)]
        nodes = [
            delayed(blocks.merge, pure=False)(work, level, i, j, group, dask_key_name=f"merge-{run}-{i}-{level}-{j}")
            for j, group in zip(count(first // FAN**level), groups)
        ]
        tasks += nodes
    return tasks


def spread(client, batches: Iterable[list]) -> Iterator:
    """Yield the futures of ``batches`` as they are done; the next batch is taken where less than a few a thread wait.

    So the scheduler holds a bounded number of tasks, however many there are.
    """
    waiting, going, under_way = iter(batches), as_completed(), 0
    while True:
        while under_way < 3 * threads_of(client) and (batch := next(waiting, None)) is not None:
            going.update(batch)
            under_way += len(batch)
        if not under_way:
            return
        future = next(going)
        under_way -= 1
        yield future


def inspected(client, source, slices: list[slice], metric: str, what: str) -> Iterator[tuple[int, tuple]]:
    """Yield the place of each slice and what `blocks.inspect` says of it: of a file there, of an array here."""
    if not isinstance(source, str):
        for place, rows in enumerate(slices):
            yield place, blocks.inspect(source, rows, metric, what)
        return
    places = {}

    def submitted():
        for place, rows in enumerate(slices):
            future = client.submit(blocks.inspect, source, rows, metric, what, pure=False)
            places[future.key] = place
            yield [future]

    for future in spread(client, submitted()):
        yield places.pop(future.key), result(future)


def result(future):
    """A task's result; its worker's refusal as it is, and a worker that keeps dying as one sentence."""
    try:
        return future.result()
    except KilledWorker as error:
        raise ClusterError(
            f"task {error.task} was given up: its workers died, most likely for want of memory; smaller blocks or "
            "fewer workers need less. What was finished is kept, and the same blocks go on from there."
        ) from error


def _size(rows: slice) -> int:
    return rows.stop - rows.start
