"""The explorer in the HTML paper: its lists against plain search, its code, its page in a browser and in a paper."""

import base64
import io
import json
import re
from dataclasses import replace

import numpy as np
import oracles
import pytest
import yaml
from browsing import browser  # noqa: F401
from matplotlib.colors import to_hex
from PIL import Image
from pypdf import PdfReader
from test_render import FIGURE, SVG, cell, plain

from neighborhood_drift.checks import InputError
from neighborhood_drift.figures import explorer as draw
from neighborhood_drift.files import write_text
from neighborhood_drift.indexes import build_index
from neighborhood_drift.neighbors import Neighbors
from neighborhood_drift.retrieval import explorer
from neighborhood_drift.retrieval.explored import SEARCHES, START, Explored, explore, facts_of
from neighborhood_drift.retrieval.searched import Searched
from neighborhood_drift.study import direct
from neighborhood_drift.study.project import Project, StudyError
from neighborhood_drift.study.render import copy_sources

KS, EFS, GRAPH = (5, 20, 40), (5, 15), {"M": 4, "ef_construction": 20}
ATTACK = "</script><script>window.hacked=1</script>"
HARD = ("faiss-hnsw", 15, 40)  # what is shown first, where 25 and 50 are not offered


def drawn(points: int = 500, queries: int = 60, *, pictures: bool = True, labels: bool = True) -> Searched:
    """Random points with one plain color a picture."""
    random = np.random.default_rng(0)
    base, asked = (random.normal(size=(count, 12)).astype(np.float32) for count in (points, queries))
    searched = Searched("mine", "", base, asked)
    if labels:
        kinds = {"labels": np.arange(points) % 3, "query_labels": np.arange(queries) % 3}
        searched = replace(searched, **kinds, classes=("cat", "dog", ATTACK))
    if pictures:
        colors = random.integers(40, 216, (points + queries, 1, 1, 3), dtype=np.uint8)
        tiles = np.tile(colors, (1, 32, 32, 1))
        searched = replace(searched, images=tiles[:points], query_images=tiles[points:])
    return searched


@pytest.fixture(scope="module")
def searched() -> Searched:
    return drawn()


@pytest.fixture(scope="module")
def lists(searched) -> Explored:
    return explore(searched.base, searched.queries, ks=KS, efs=EFS, shown=24, **GRAPH)


def data_of(html: str) -> dict:
    (text,) = re.findall(r'<script type="application/json" id="explorer-data">(.*?)</script>', html, re.DOTALL)
    return json.loads(text)


def decoded(data: dict, query: dict) -> dict:
    """What the script reads: (search, ef, k) -> places among the query's points."""
    code, found, at = base64.b64decode(query["l"]), {}, 0
    for search in range(len(data["searches"])):
        for ef in data["efs"]:
            for k in data["ks"]:
                places, place = [], -1
                left, at = code[at], at + 1
                for _ in range(left):
                    while code[at] == 255:
                        place, at = place + 255, at + 1
                    place, at = place + code[at] + 1, at + 1
                    places.append(place)
                found[search, ef, k] = places
    assert at == len(code)
    return found


def test_every_list_is_that_of_its_search_and_the_true_ones_are_true(searched, lists):
    asked = searched.queries[lists.rows]
    ids, _ = oracles.exact_neighbors(searched.base, asked, max(KS))
    assert np.array_equal(lists.exact.ids[:, : max(KS)], ids)
    assert set(lists.found) == {(name, ef, k) for name in SEARCHES for ef in EFS for k in KS}
    for name in SEARCHES:
        index = build_index(name, searched.base, **GRAPH)
        for ef in EFS:
            for k in KS:
                assert np.array_equal(lists.found[name, ef, k].ids, index.search(asked, k, ef=ef).ids)


def test_some_queries_are_drawn_at_random_and_the_others_differ_most(searched, lists):
    name, ef, k = HARD
    assert lists.start == (k, ef) and START[0] > max(KS) and START[1] > max(EFS)
    assert (lists.random, len(lists.hardest), lists.examined) == (18, 6, len(searched.queries))
    assert len(set(lists.rows)) == len(lists.rows) == len({*range(18), *lists.hardest})
    found = build_index(name, searched.base, **GRAPH).search(searched.queries, k, ef=ef)
    true, _ = oracles.exact_neighbors(searched.base, searched.queries, k)
    kept = np.array([oracles.overlap(*pair) for pair in zip(true, found.ids, strict=True)])
    assert np.allclose(lists.overlaps(*HARD), kept[lists.rows])
    # among all that were examined, those drawn at random included
    assert np.allclose(kept[lists.rows[lists.hardest]], np.sort(kept)[:6])
    assert kept[lists.rows[lists.first]] == kept.min()
    assert kept.min() < kept.max(), "the searches must lose something, or the test says nothing"
    assert (lists.hardest < 18).any(), "one must be of both kinds, or the test says less"


def test_the_draw_does_not_depend_on_what_the_searches_found(searched, lists):
    better = explore(searched.base, searched.queries, ks=(5,), efs=(5,), shown=24, **GRAPH | {"M": 6})
    assert np.array_equal(better.rows[:18], lists.rows[:18])
    assert not np.array_equal(better.rows[better.hardest], lists.rows[lists.hardest])


def test_points_beyond_the_known_ranks_are_ordered_by_distance_and_ties_are_told():
    """Points on a line, the query at 0; three of them share the distance of the second."""
    exact = Neighbors(np.array([[0, 1, 2]]), np.array([[0.0, 1.0, 1.0]]))
    came = [([0, 60], [0, 60]), ([50, 60], [50, 60]), ([0, 3], [0, 1])]
    found = {(name, 10, 2): Neighbors([ids], [far]) for name, (ids, far) in zip(SEARCHES, came, strict=True)}
    lists = Explored(np.array([0]), 1, np.array([0]), 1, (2,), (10,), (2, 10), exact, found)
    data = data_of(explorer.page(lists, drawn(601, 1, pictures=False, labels=False)).html)
    (query,) = data["queries"]
    points = np.array(data["ids"])[query["m"]]
    for search, (ids, _) in enumerate(came):
        assert points[decoded(data, query)[search, 10, 2]].tolist() == ids
    assert points[: query["t"][0]].tolist() == [0, 1, 3]


def test_what_the_paper_says_is_counted_over_the_queries_drawn_at_random(lists):
    said = facts_of(lists)
    counted = {"queries": len(lists.rows), "random": 18, "hardest": 6, "both": 24 - len(lists.rows), "examined": 60}
    counted |= {"k": 40, "ef": 15, "k_max": 40, "ef_max": 15}
    assert {name: said[f"explorer_{name}"] for name in counted} == counted
    assert said["explorer_first_overlap"] == f"{lists.overlaps(*HARD).min():.2f}"
    for name, word in zip(SEARCHES, ("default", "unbounded", "hnswlib"), strict=True):
        mean = lists.overlaps(name, 15, 40)[:18].mean()
        low, high = map(float, said[f"explorer_overlap_{word}_interval"].split(" to "))
        assert said[f"explorer_overlap_{word}"] == f"{mean:.3f}" and low < mean < high


def test_the_same_seed_gives_the_same_page_and_another_seed_others(searched, lists):
    again = explore(searched.base, searched.queries, ks=KS, efs=EFS, shown=24, **GRAPH)
    assert explorer.page(again, searched).html == explorer.page(lists, searched).html
    other = explore(searched.base, searched.queries, ks=KS, efs=EFS, shown=24, seed=1, **GRAPH)
    assert not np.array_equal(other.rows, lists.rows)


@pytest.mark.parametrize(("points", "queries", "ks"), [(3, 1, (5, 10)), (60, 2, (10, 100)), (20, 7, (20,))])
def test_few_points_or_queries_are_enough(points, queries, ks):
    few = drawn(points, queries)
    lists = explore(few.base, few.queries, ks=ks, efs=(10,), metric="cosine", **GRAPH)
    assert max(lists.ks) <= points and 0.75 * queries - 1 <= len(lists.rows) <= queries
    assert len(data_of(explorer.page(lists, few).html)["queries"]) == len(lists.rows)
    assert draw.still(lists, few).axes


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"efs": ()}, "efs is empty"),
        ({"ks": (0,)}, "k is 0"),
        ({"ks": (300,)}, "k is 300; it must be a whole number from 1 to 250"),
        ({"shown": 0}, "shown is 0"),
        ({"metric": "l3"}, "metric is 'l3'"),
    ],
)
def test_what_cannot_be_used_is_named(searched, given, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)):
        explore(searched.base, searched.queries, **given)


def test_the_page_holds_each_list_with_its_true_ranks_pictures_and_labels(searched, lists):
    data = data_of(explorer.page(lists, searched).html)
    assert [search["name"] for search in data["searches"]] == ["FAISS, default", "FAISS, unbounded", "hnswlib"]
    assert data["rows"] == lists.rows.tolist()
    assert [data["names"][code] for code in data["labels"]] == [
        searched.classes[code] for code in np.r_[searched.labels[data["ids"]], searched.query_labels[lists.rows]]
    ]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(data["sheet"]))), dtype=int)
    pictures = np.concatenate([searched.images[data["ids"]], searched.query_images[lists.rows]])
    for tile, picture in enumerate(pictures):
        y, x = tile // data["columns"] * 32, tile % data["columns"] * 32
        # one color a picture: what JPEG changes is rounding, and no neighbor bleeds into it
        assert np.abs(sheet[y : y + 32, x : x + 32] - picture).max() <= 4
    for number, query in enumerate(data["queries"]):
        points = np.array(data["ids"])[query["m"]]
        assert np.array_equal(points[: max(KS)], lists.exact.ids[number, : max(KS)])
        rank = {one: place for place, one in enumerate(lists.exact.ids[number], start=1)}
        assert query["r"] == [rank.get(one, 0) for one in points[max(KS) :]]
        for (search, ef, k), places in decoded(data, query).items():
            assert places == sorted(places)
            found = lists.found[list(SEARCHES)[search], ef, k].ids[number]
            assert set(points[places]) == {one for one in found if one >= 0}


def listed(ids) -> Neighbors:
    """Ids that are their own distances."""
    return Neighbors([[*ids]], [[one if one >= 0 else np.inf for one in ids]])


def test_missing_neighbors_far_ranks_and_unknown_ranks_survive_the_code():
    exact = Neighbors(np.array([np.arange(400)]), np.array([np.arange(400.0)]))
    given = [[0, 399, -1], [1, 500, 600], [-1, -1, -1]]
    found = {(name, 10, 3): listed(ids) for name, ids in zip(SEARCHES, given, strict=True)}
    # these hold all ranks up to 400, so that the lists above skip more of them than a byte counts
    starts = zip(SEARCHES, (0, 100, 150), strict=True)
    wide = {(name, 10, 250): listed(range(start, start + 250)) for name, start in starts}
    lists = Explored(np.array([0]), 1, np.array([0]), 1, (3, 250), (10,), (3, 10), exact, found | wide)
    plain_points = drawn(601, 1, pictures=False, labels=False)
    data = data_of(explorer.page(lists, plain_points).html)
    (query,) = data["queries"]
    points, places = np.array(data["ids"])[query["m"]], decoded(data, query)
    for (name, ef, k), came in lists.found.items():
        got = points[places[list(SEARCHES).index(name), ef, k]].tolist()
        assert got == [one for one in came.ids[0] if one >= 0]
    assert query["r"] == [*range(251, 401), 0, 0]
    assert data["labels"] is None and data["sheet"] == ""


def test_where_the_page_would_be_too_large_fewer_queries_of_both_kinds_are_shown(searched, lists):
    whole = explorer.page(lists, searched)
    fewer = explorer.page(lists, searched, most_bytes=len(whole.html) - 1)
    few = fewer.lists
    assert len(whole.lists.rows) == len(lists.rows) and len(fewer.html) < len(whole.html)
    assert (few.random, len(few.hardest)) == (11, 4) and len(few.rows) == len(set(few.rows)) <= 15
    assert np.array_equal(few.rows[:11], lists.rows[:11])
    assert np.array_equal(few.rows[few.hardest], lists.rows[lists.hardest[:4]])
    where = [lists.rows.tolist().index(row) for row in few.rows]
    assert np.array_equal(few.overlaps(*HARD), lists.overlaps(*HARD)[where])
    assert data_of(fewer.html)["random"] == 11


def test_names_of_classes_cannot_end_the_script(searched, lists):
    html = explorer.page(lists, searched).html
    assert ATTACK not in html and html.count("<script") == html.count("</script>") == 2
    assert ATTACK in data_of(html)["names"]
    assert "\n```" not in html and ":::" not in html, "both would end the block that holds it in the paper"


@pytest.mark.parametrize("pictures", [True, False])
def test_the_still_marks_what_differs(lists, pictures):
    figure = draw.still(lists, drawn(pictures=pictures))
    overlap, k = lists.overlaps(*HARD)[lists.first], HARD[2]
    assert f"overlap {overlap:.2f}" in " ".join(text.get_text() for text in figure.axes[1].texts)
    for axes, (color, sign) in zip(figure.axes[2:], (draw.MISSED, draw.INSTEAD), strict=True):
        marks = [text for text in axes.texts if text.get_text() == sign]
        frames = [patch for patch in axes.patches if to_hex(patch.get_edgecolor()) == color.lower()]
        assert len(marks) == len(frames) == round(k * (1 - overlap)) > 0
        assert len(axes.images) == pictures


PAPER = """\
---
title: "A small paper"
---

Before it.

{{< include explorer/fragment.qmd >}}

After it, @fig-line.

{{< embed notebooks/11-retrieval.ipynb#fig-line >}}
"""


@pytest.fixture
def project(tmp_path, lists, searched) -> Project:
    """A paper with an explorer, made in a folder of its own beside that of its source."""
    project = Project(tmp_path, tmp_path / "runs" / "mine")
    write_text(project.sources / "index.qmd", PAPER)
    write_text(project.sources / "explorer" / "fragment.qmd", "That of another run.")
    notebook = {"cells": [cell(FIGURE, SVG)], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    write_text(project.executed("11-retrieval"), json.dumps(notebook))
    write_text(project.out / "_variables.yml", yaml.safe_dump({"retrieval": {}}))
    assert explorer.write(explorer.page(lists, searched), project.out).is_relative_to(project.out)
    return project


def test_the_html_paper_holds_it_once_and_whole_and_the_pdf_its_still(project, lists, searched):
    html_file, pdf_file = direct.render(project)
    html, fragment = html_file.read_text(), explorer.page(lists, searched).html
    assert html.count(fragment) == 1 and html.count('id="explorer"') == 1
    assert not re.search(r"<(?:img|script|link)\b[^>]*\b(?:src|href)=[\"']?https?:", html)
    assert "another run" not in html
    printed = " ".join(page.extract_text() for page in PdfReader(pdf_file).pages).replace("\u00a0", " ")
    assert "Before it." in printed and "Figure 1" in printed and "Exact neighbors" not in printed
    assert "Exact neighbors" in plain(html)


def test_quarto_is_given_the_same_block_in_one_piece(project, lists, searched):
    copy_sources(project)
    source = (project.out / "index.qmd").read_text()
    assert source.count(f"```{{=html}}\n{explorer.page(lists, searched).html}\n```\n") == 1
    assert "{{< include" not in source


def test_a_paper_without_its_explorer_is_named(project):
    (project.out / explorer.FRAGMENT).unlink()
    with pytest.raises(StudyError, match=r"Included file explorer/fragment\.qmd is not there; .*run --force"):
        direct.check(project)


def test_nothing_is_written_without_a_folder(lists, searched):
    assert explorer.write(explorer.page(lists, searched)) is None


def page_of(made: explorer.Page) -> str:
    style = "<style>body { margin: 1rem; font: 17px/1.6 serif; }</style>"
    return f'<!DOCTYPE html><html lang="en"><meta charset="utf-8">{style}<h1>Paper</h1>{made.html}<p>After</p></html>'


@pytest.fixture
def tab(browser, tmp_path):  # noqa: F811
    """A function that opens an explorer in a new tab; a complaint of the browser, or a request elsewhere, fails."""
    contexts, complaints = [], []

    def opened(made: explorer.Page, *, width: int = 1000, **settings):
        path = write_text(tmp_path / "paper.html", page_of(made))
        contexts.append(browser.new_context(viewport={"width": width, "height": 800}, **settings))
        page = contexts[-1].new_page()
        page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: asked.url.startswith(("file:", "blob:")) or complaints.append(asked.url))
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def marked(page) -> tuple[list[int], list[int]]:
    """True ranks below the pictures that are marked as missed, and as come instead."""
    script = "all => all.map(one => Number(one.children[1].textContent.replace(',', '')))"
    return tuple(page.eval_on_selector_all(f"#explorer li.nx-{kind}", script) for kind in ("missed", "instead"))


def expected(lists: Explored, number: int, name: str, ef: int, k: int) -> tuple[list[int], list[int]]:
    rank = {one: place for place, one in enumerate(lists.exact.ids[number], start=1)}
    ranks = sorted(rank[one] for one in lists.found[name, ef, k].ids[number])
    return sorted(set(range(1, k + 1)) - set(ranks)), [place for place in ranks if place > k]


def test_it_shows_both_lists_and_what_differs_as_keys_change_query_search_k_and_ef(tab, searched, lists):
    page = tab(explorer.page(lists, searched))
    first, second = lists.hardest[:2]
    assert marked(page) == expected(lists, first, *HARD)
    overlap = lists.overlaps(*HARD)[first]
    assert f"Overlap {overlap:.2f}: {round(40 * overlap)} of the 40" in page.inner_text("[role=status]")
    assert page.locator("#explorer ol").first.locator("li").count() == 40

    page.focus("[name=nx-query]:checked")
    page.keyboard.press("ArrowRight")
    assert marked(page) == expected(lists, second, *HARD)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    assert marked(page) == expected(lists, second, "faiss-hnsw-unbounded", 15, 40)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    assert page.locator("[data-nx=k]").get_attribute("aria-valuetext") == "k 20"
    assert marked(page) == expected(lists, second, "faiss-hnsw-unbounded", 15, 20)
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    assert marked(page) == expected(lists, second, "faiss-hnsw-unbounded", 5, 20)
    assert page.locator("#explorer .nx-set b").all_inner_texts() == ["20", "5"]
    shares = [f"{lists.overlaps(name, 5, 20)[second]:.2f}" for name in SEARCHES]
    assert [text.split(": ")[1] for text in page.locator(".nx-searches small").all_inner_texts()] == shares


def test_each_query_can_be_chosen_once_and_those_of_both_kinds_are_told(tab, searched, lists):
    page = tab(explorer.page(lists, searched))
    values = page.eval_on_selector_all("[name=nx-query]", "all => all.map(one => Number(one.value))")
    assert sorted(values) == list(range(len(lists.rows)))
    assert values[-6:] == lists.hardest.tolist()
    drawn, hardest = page.locator(".nx-group").all_inner_texts()
    both = 24 - len(lists.rows)
    assert f"at random from 60: 18, of which {both} stand" in drawn
    assert hardest.startswith("Lists differ most") and hardest.endswith("among the same 60: 6")


def test_equal_distances_are_told_as_ties(tab):
    """Ten copies of each point: a search that returns others of them returns nothing farther."""
    points = np.repeat(np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32), 10, axis=0)
    copies = Searched("mine", "", points, points[:8] + np.float32(0.25))
    lists = explore(copies.base, copies.queries, ks=(5, 15), efs=(5,), shown=8, **GRAPH)
    page, number, k = tab(explorer.page(lists, copies)), lists.first, 15
    came = lists.found["faiss-hnsw", 5, k].ids[number]
    away = np.linalg.norm(points.astype(float) - copies.queries[lists.rows[number]], axis=1)
    instead = np.setdiff1d(came[came >= 0], lists.exact.ids[number, :k])
    tied = (away[instead] <= np.sort(away)[k - 1] * (1 + 1e-6)).sum()
    assert tied > 0, "the search must return such a copy, or the test says nothing"
    assert f"{len(instead)} came instead, of them {tied} as near as the last" in page.inner_text("[role=status]")
    told = page.eval_on_selector_all("#explorer li.nx-instead", "all => all.map(one => one.title)")
    assert sum("as near as the last true neighbor" in one for one in told) == tied
    assert "a nearer one" not in page.content()


def test_both_lists_are_read_aloud_by_name_with_the_place_in_the_other(tab, searched, lists):
    page = tab(explorer.page(lists, searched))
    exact, found = (page.get_by_role("list", name=f"{name} neighbors") for name in ("Exact", "Approximate"))
    shared = exact.locator("li:not(.nx-missed)").last
    place = found.locator("li").evaluate_all(
        "(all, wanted) => all.findIndex(one => one.dataset.place === wanted)", shared.get_attribute("data-place")
    )
    assert shared.text_content().endswith(f"number {place + 1} of the other list")
    rank = int(shared.get_attribute("data-place")) + 1
    assert found.locator("li").nth(place).text_content().endswith(f"number {rank} of the other list")


def test_names_of_classes_stay_text_and_pictures_are_those_of_the_points(tab, searched, lists):
    page = tab(explorer.page(lists, searched))
    titles = page.eval_on_selector_all("#explorer li", "all => all.map(one => one.title)")
    assert any(ATTACK in title for title in titles)
    assert page.evaluate("window.hacked") is None
    first = page.locator("#explorer li .nx-pic").first
    first.scroll_into_view_if_needed()
    shown = np.asarray(Image.open(io.BytesIO(first.screenshot())).convert("RGB"), dtype=int)
    wanted = searched.images[lists.exact.ids[lists.first, 0], 0, 0]
    assert np.abs(shown[18:22, 18:22] - wanted).max() <= 6


@pytest.mark.parametrize("labels", [True, False])
def test_without_pictures_labels_or_ids_stand_in_their_places(tab, lists, labels):
    page = tab(explorer.page(lists, drawn(pictures=False, labels=labels)))
    nearest = int(lists.exact.ids[lists.first, 0])
    wanted = drawn().classes[nearest % 3] if labels else f"id {nearest}"
    assert page.locator("#explorer li .nx-pic").first.inner_text() == wanted
    assert ("Of the query's class" in page.inner_text("[role=status]")) is labels


def test_it_fits_a_phone_and_is_as_dark_as_the_paper(tab, searched, lists):
    page = tab(explorer.page(lists, searched), width=360)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.evaluate("document.body.style.cssText = 'background: black; color: white'")
    colors = "all => [...new Set(all.map(one => getComputedStyle(one).color))]"
    assert page.eval_on_selector_all("#explorer p, #explorer label, #explorer li, #explorer legend", colors) == [
        "rgb(255, 255, 255)"
    ]


def test_it_leaves_the_rest_of_the_paper_alone(tab, searched, lists):
    look = "['h1', 'body > p'].map(one => JSON.stringify([...getComputedStyle(document.querySelector(one))].map("
    look += "name => name + getComputedStyle(document.querySelector(one)).getPropertyValue(name)).filter("
    look += "line => !/^(block-size|height|inline-size|width|perspective|transform)/.test(line))))"
    made = explorer.page(lists, searched)
    with_it = tab(made).evaluate(look)
    assert with_it == tab(explorer.Page(lists, "")).evaluate(look)


def test_without_scripts_a_sentence_stands_in_its_place(tab, searched, lists):
    page = tab(explorer.page(lists, searched), java_script_enabled=False)
    assert "needs JavaScript" in page.inner_text("body")
    assert not page.locator("#explorer").is_visible()
