"""The graph read out of an index against the library's own memory, and reachability against a plain search."""

import faiss
import numpy as np
import pytest

from neighborhood_drift.checks import InputError
from neighborhood_drift.graph import Graph, anatomy, common_links, degree_table, level_table, stack_levels
from neighborhood_drift.indexes import build_index

N, M = 400, 4


@pytest.fixture(scope="module")
def base():
    return np.random.default_rng(1).normal(size=(N, 8)).astype(np.float32)


@pytest.fixture(scope="module", params=["faiss-hnsw", "hnswlib", "hnswlib, shuffled"])
def index(request, base):
    name, _, shuffled = request.param.partition(", ")
    # a shuffled insertion makes the library's internal numbers differ from the ids
    extra = {"insertion_seed": 5} if shuffled else {}
    return build_index(name, base, M=M, ef_construction=40, seed=3, **extra)


def links_by_hand(index):
    """{level: {point: set of targets}} read slot by slot, as the library's source lays them out."""
    if index.engine == "hnswlib":
        (state,) = index.native.__getstate__()
        ground, upper = state["data_level0"].tobytes(), state["link_lists"].tobytes()
        label = dict(zip(state["label_lookup_internal"].tolist(), state["label_lookup_external"].tolist(), strict=True))
        result, cursor = {}, 0
        for point, top in enumerate(state["element_levels"].tolist()):
            starts = [(ground, point * state["size_data_per_element"])]
            starts += [(upper, cursor + level * state["size_links_per_element"]) for level in range(top)]
            cursor += top * state["size_links_per_element"]
            for level, (memory, start) in enumerate(starts):
                count = int.from_bytes(memory[start : start + 2], "little")
                slots = np.frombuffer(memory, np.uint32, count, start + 4)
                result.setdefault(level, {})[label[point]] = {label[slot] for slot in slots.tolist()}
        return result
    hnsw, result = index.native.hnsw, {}
    slots = faiss.vector_to_array(hnsw.neighbors)
    for point in range(N):
        for level in range(hnsw.levels.at(point)):
            begin = hnsw.offsets.at(point) + hnsw.cum_nb_neighbors(level)
            end = hnsw.offsets.at(point) + hnsw.cum_nb_neighbors(level + 1)
            targets = {int(target) for target in slots[begin:end] if target >= 0}
            result.setdefault(level, {})[point] = targets
    return result


def test_every_link_of_the_library_is_in_the_graph_and_no_other(index):
    graph, links = index.graph(), links_by_hand(index)
    assert len(graph.links) == len(links)
    for level, by_point in links.items():
        matrix = graph.neighbors(level)
        assert sorted(by_point) == graph.points(level).tolist()
        for point, targets in by_point.items():
            row = matrix.indices[matrix.indptr[point] : matrix.indptr[point + 1]]
            assert set(row.tolist()) == targets


def test_degrees_counts_and_capacity(index):
    graph, links = index.graph(), links_by_hand(index)
    for level, by_point in links.items():
        out = [len(by_point[point]) for point in sorted(by_point)]
        into = [sum(point in targets for targets in by_point.values()) for point in sorted(by_point)]
        assert graph.out_degree(level).tolist() == out and graph.in_degree(level).tolist() == into
        assert max(out) <= (2 * M if level == 0 else M)
    assert graph.level_counts().tolist() == [len(links[level]) for level in sorted(links)]
    assert graph.levels[graph.entry_point] == graph.levels.max()


def reached_by_hand(links, entry):
    """Points that a walk from the entry point can meet, level by level, with sets and a list."""
    reached = {entry}
    for level in sorted(links, reverse=True):
        stack = list(reached)
        while stack:
            for target in links[level][stack.pop()] - reached:
                reached.add(target)
                stack.append(target)
    return reached


def test_unreachable_is_what_a_plain_walk_does_not_meet(index):
    graph = index.graph()
    lost = set(range(N)) - reached_by_hand(links_by_hand(index), graph.entry_point)
    assert set(graph.unreachable().tolist()) == lost


@pytest.mark.parametrize("engine", ["faiss-hnsw", "hnswlib"])
def test_a_point_called_unreachable_is_never_returned(engine):
    rng = np.random.default_rng(0)
    base = np.vstack([rng.normal(size=(60, 3)), rng.normal(size=(300, 3)) + 1e4]).astype(np.float32)
    index = build_index(engine, base, M=2, ef_construction=2)
    lost = index.graph().unreachable()
    assert lost.size
    assert not np.isin(index.search(base, k=len(base), ef=len(base)).ids, lost).any()


def test_unreachable_of_a_graph_made_by_hand():
    # level 1: 0 -> 1; level 0: 1 -> 2 -> 3, and 4, 5 point at each other and at 0; 6 stands alone
    links = stack_levels([([1, 2, 4, 4, 5], [2, 3, 0, 5, 4]), ([0], [1])], 7)
    graph = Graph(np.array([1, 1, 0, 0, 0, 0, 0]), links, entry_point=0)
    assert graph.unreachable().tolist() == [4, 5, 6]
    assert graph.in_degree().tolist() == [1, 0, 1, 1, 1, 1, 0]
    # 1 has no link to it at level 0 and is reached from above
    assert Graph(np.zeros(7, dtype=int), links[:1], 0).unreachable().tolist() == [1, 2, 3, 4, 5, 6]


def test_levels_and_links_must_agree():
    with pytest.raises(InputError, match="1 levels of links for points up to level 1"):
        Graph(np.array([1, 0]), stack_levels([([0], [1])], 2), 0)


def test_common_links(base):
    one, other = (build_index(name, base, M=M, seed=0).graph() for name in ("faiss-hnsw", "hnswlib"))
    same = common_links(one, one)
    assert same["jaccard"] == same["of_one"] == 1 and same["shared"] == one.neighbors().nnz
    both = common_links(one, other)
    pairs = [set(zip(*graph.neighbors().nonzero(), strict=True)) for graph in (one, other)]
    assert both["shared"] == len(pairs[0] & pairs[1])
    assert both["jaccard"] == pytest.approx(len(pairs[0] & pairs[1]) / len(pairs[0] | pairs[1]))


def test_faiss_keeps_all_candidates_where_the_construction_list_is_shorter_than_its_slots(base):
    """The pruning is skipped for a list shorter than the 2M slots of level 0, so a smaller effort links more."""
    degree = {
        effort: build_index("faiss-hnsw", base, M=16, ef_construction=effort).graph().out_degree().mean()
        for effort in (31, 32, 100)
    }
    assert degree[31] > 1.5 * degree[32] and degree[31] > 1.5 * degree[100]


def test_level_law(base):
    """Each level holds 1 / M of the one below; n is large enough that 5 standard deviations are a tight band."""
    many = np.random.default_rng(2).normal(size=(20_000, 2)).astype(np.float32)
    graphs = {name: build_index(name, many, M=8, ef_construction=8).graph() for name in ("faiss-hnsw", "hnswlib")}
    table = level_table(graphs, 8)
    assert table.loc[table["level"] == 1, "expected"].tolist() == [2500, 2500]
    assert ((table["points"] - table["expected"]).abs() <= 5 * table["spread"] + 1).all()


def test_degree_table_and_anatomy(index):
    graph = index.graph()
    table = degree_table({"x": graph})
    for direction, degree in (("out", graph.out_degree()), ("in", graph.in_degree())):
        part = table[table["direction"] == direction]
        assert part["share"].tolist() == [(degree >= d).mean() for d in part["degree"]]
    row = anatomy({"x": graph}).iloc[0]
    assert row["links"] == graph.neighbors().nnz / N and row["largest_in"] == graph.in_degree().max()
    assert row["unlinked"] == (graph.in_degree() == 0).sum() and row["unreachable"] == len(graph.unreachable())


def test_renamed_graph_has_the_same_links_under_other_names(index):
    graph = index.graph()
    names = np.random.default_rng(0).permutation(N)
    renamed = graph.renamed(names)
    np.testing.assert_array_equal(renamed.in_degree()[names], graph.in_degree())
    assert renamed.entry_point == names[graph.entry_point]
    assert set(renamed.unreachable()) == set(names[graph.unreachable()])
    back = np.argsort(names)
    assert common_links(renamed.renamed(back), graph)["jaccard"] == 1
    with pytest.raises(InputError, match="permutation"):
        graph.renamed(np.zeros(N, dtype=int))
