"""A collection beside a dict: whatever is done in whatever order, both hold the same and find the same."""

from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from neighborhood_drift import InputError, exact_neighbors
from neighborhood_drift.retrieval import Collection

DIMENSION = 3
ids = st.one_of(st.integers(-3, 12), st.sampled_from(["0", "1", "", "\0", "a", "é"]))
# a coarse grid makes equal points and equal distances; the last 1 keeps a vector from being all zeros
coordinates = st.tuples(st.integers(-2, 2), st.integers(-2, 2), st.just(1))


class CollectionBesideADict(RuleBasedStateMachine):
    """The dict keeps vector and metadata by id, in the order of adding, as a Python dict does."""

    def __init__(self):
        super().__init__()
        self.folder = TemporaryDirectory()
        self.known: dict = {}
        self.kept: dict | None = None

    def teardown(self):
        self.collection.close()
        self.folder.cleanup()

    @initialize(metric=st.sampled_from(["l2", "cosine"]), M=st.integers(2, 6))
    def begin(self, metric, M):
        self.metric = metric
        self.collection = Collection(metric=metric, M=M, ef_construction=8)

    @rule(points=st.dictionaries(ids, coordinates, min_size=1, max_size=6), replace=st.booleans())
    def add(self, points, replace):
        vectors, metadata = np.array(list(points.values()), np.float32), [{"id": one} for one in points]
        if not replace and set(points) & set(self.known):
            with pytest.raises(InputError, match="is there already"):
                self.collection.add(vectors, points, metadata)
            return
        assert self.collection.add(vectors, points, metadata, replace=replace) == list(points)
        for one, vector in points.items():
            self.known.pop(one, None)
            self.known[one] = (vector, {"id": one})

    @rule(count=st.integers(1, 5), vector=coordinates)
    def add_without_ids(self, count, vector):
        first = max([-1, *(one for one in self.known if isinstance(one, int))]) + 1
        wanted = list(range(first, first + count))
        assert self.collection.add(np.array([vector] * count, np.float32)) == wanted
        self.known |= dict.fromkeys(wanted, (vector, {}))

    @rule(gone=st.lists(ids, unique=True, max_size=6))
    def delete(self, gone):
        if set(gone) - set(self.known):
            with pytest.raises(InputError, match="is not there"):
                self.collection.delete(gone)
            return
        assert self.collection.delete(gone) == len(gone)
        for one in gone:
            del self.known[one]

    @rule(share=st.integers(1, 3))
    def delete_many(self, share):
        gone = list(self.known)[::share]
        assert self.collection.delete(gone) == len(gone)
        for one in gone:
            del self.known[one]

    @rule(background=st.booleans())
    def compact(self, background):
        self.collection.compact(background=background)
        self.collection.wait()
        assert self.collection.info()["deleted"] == 0

    @rule()
    def save(self):
        self.collection.save(self.folder.name)
        self.kept = dict(self.known)
        assert not self.collection.changed

    @precondition(lambda self: self.kept is not None)
    @rule(rebuild=st.booleans())
    def load(self, rebuild):
        self.collection.close()
        self.collection = Collection.load(self.folder.name, rebuild=rebuild)
        self.known = dict(self.kept)

    @rule(queries=st.lists(coordinates, min_size=1, max_size=3), k=st.integers(1, 12), ef=st.integers(1, 40))
    def search(self, queries, k, ef):
        queries, order = np.array(queries, np.float32), list(self.known)
        exact = self.collection.search(queries, k, exact=True)
        found = self.collection.search(queries, k, ef=ef)
        if not order:
            assert exact.ids == found.ids == ((),) * len(queries)
            return
        vectors = np.array([vector for vector, _ in self.known.values()], np.float32)
        wanted = exact_neighbors(vectors, queries, k=min(k, len(order)), metric=self.metric)
        assert exact.ids == tuple(tuple(order[row] for row in rows) for rows in wanted.ids)
        for one, distances in zip(found.ids, found.distances, strict=True):
            assert len(one) == len(distances) <= min(k, len(order))
            assert len(set(one)) == len(one) and set(one) <= set(order)
            assert (np.diff(distances) >= 0).all()

    @invariant()
    def both_hold_the_same(self):
        if not hasattr(self, "collection"):
            return
        order = list(self.known)
        assert self.collection.ids() == order and len(self.collection) == len(order)
        assert self.collection.ids(1, 3) == order[1:4]
        assert self.collection.vectors(order).tolist() == [[*map(float, vector)] for vector, _ in self.known.values()]
        assert self.collection.metadata(order) == [metadata for _, metadata in self.known.values()]


TestCollectionBesideADict = CollectionBesideADict.TestCase
TestCollectionBesideADict.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
