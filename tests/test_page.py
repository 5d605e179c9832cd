"""The search page in a real browser, over the real service: what it asks, shows, marks and says."""

from __future__ import annotations

import io
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from browsing import browser  # noqa: F401
from PIL import Image

pytest.importorskip("fastapi", reason="the page needs the extra serve")
httpx = pytest.importorskip("httpx", reason="the tests of the page need the extra test")
playwright = pytest.importorskip("playwright.sync_api", reason="the tests of the page need the extra test")
uvicorn = pytest.importorskip("uvicorn", reason="the page needs the extra serve")

from neighborhood_drift.retrieval.collection import Collection  # noqa: E402
from neighborhood_drift.retrieval.pictures import Thumbnails  # noqa: E402
from neighborhood_drift.retrieval.service.app import create_app  # noqa: E402
from neighborhood_drift.retrieval.service.limits import Limits  # noqa: E402

ROOT = Path(__file__).parents[1]
POINTS, SIDE = 400, 8
WAIT = 20  # seconds until a started service answers
ATTACK = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
# Two of these are one number once they are rounded to float64, as JSON.parse does.
ODD_IDS = [2**53, 2**53 + 1, -(2**63), "5", 5, "", ATTACK, "ä/ö ?&=#\n\"'", "x" * 300]
READY = "#lists[aria-busy=false]:not([hidden])"


@contextmanager
def serving(store, thumbnails=None, **settings):
    """The service over a store, on a free port, with FAISS's graph; yields its address."""
    app = create_app(store, thumbnails, **settings)
    building = None
    if store.count():
        building = app.state.service.engines.prepare()
        store.search(store.vectors(store.ids(0, 1)), 1, exact=True)  # compiles what exact search needs
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + WAIT
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline, "the service did not start"
        time.sleep(0.02)
    if building is not None:
        building.join()
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def drawn() -> np.ndarray:
    """(POINTS, SIDE, SIDE) uint8, gray pictures."""
    return np.random.default_rng(0).integers(0, 256, (POINTS, SIDE, SIDE), dtype=np.uint8)


def png(gray: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(gray).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def address():
    """A service over small pictures, each a point by its pixels."""
    names = [f"{row}.png" for row in range(POINTS)]
    gray = drawn()
    store = Collection(SIDE**2, M=4, ef_construction=20, encoder={"name": "pixels", "size": [SIDE, SIDE], "mode": "L"})
    metadata = [{"label": f"class {row % 7}", "image": name} for row, name in enumerate(names)]
    store.add(gray.reshape(POINTS, -1) / np.float32(255), metadata=metadata)
    large = np.repeat(gray.repeat(4, axis=1).repeat(4, axis=2)[..., None], 3, axis=3)
    with serving(store, Thumbnails(store, large, names), limits=Limits(upload_bytes=20_000)) as at:
        yield at


@pytest.fixture(scope="module")
def odd_address():
    """A service over points whose ids and labels are what a page must not believe."""
    vectors = np.random.default_rng(1).normal(size=(len(ODD_IDS), 3)).astype(np.float32)
    store = Collection(3)
    store.add(vectors, ODD_IDS, [{"label": ATTACK if row % 2 else "y" * 400} for row in range(len(ODD_IDS))])
    with serving(store) as at:
        yield at


@pytest.fixture
def tab(browser):  # noqa: F811
    """A new tab; what the browser complains about fails the test, unless the test empties ``tab.complaints``."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(1000 * WAIT)
    page.complaints = []
    page.on("console", lambda message: message.type == "error" and page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    yield page
    context.close()
    assert page.complaints == []


def visit(tab, address: str, wanted: str = "") -> None:
    tab.goto(f"{address}/{wanted}")
    tab.wait_for_selector(READY)


def ids(tab, which: str, only: str = "") -> list[str]:
    """Ids in one of the lists, as JSON; ``only`` those marked so."""
    return tab.eval_on_selector_all(f"#{which} li{only} button", "all => all.map(one => one.dataset.id)")


def error(tab) -> str:
    tab.wait_for_selector("#error:not([hidden])")
    return tab.inner_text("#sentence")


def change(tab, act) -> dict:
    """Do something, and return the next search's answer once it is shown."""
    with tab.expect_response(lambda response: "/search" in response.url) as response:
        act()
    answer = response.value.json()
    tab.wait_for_selector(READY)
    return answer


def test_it_loads_and_asks_nobody_else(tab, address):
    asked, headers = [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("response", lambda response: headers.append(response.headers.get("content-security-policy", "")))
    visit(tab, address)
    tab.wait_for_load_state("networkidle")
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith((address, "data:"))] == []
    assert "unsafe" not in headers[0] and "default-src 'none'" in headers[0]
    assert f"{POINTS} points" in tab.inner_text("#about")
    assert ids(tab, "stored")[:3] == ["0", "1", "2"]
    assert tab.evaluate("[...document.images].every(one => !one.complete || one.naturalWidth === 32)")


def test_lists_and_marks_are_the_answer(tab, address):
    visit(tab, address, "#id=7&k=24&ef=8&rule=stays")
    asked = {"id": 7, "k": 24, "ef": 8, "rule": "stays", "compare": True}
    answer = httpx.post(f"{address}/search", json=asked).raise_for_status().json()
    assert 0 < len(answer["missed"]) < 24 and answer["instead"]
    for which, hits in [("exact", answer["exact"]["hits"]), ("approximate", answer["hits"])]:
        assert ids(tab, which) == [str(hit["id"]) for hit in hits]
    assert ids(tab, "exact", ".missed") == [str(one) for one in answer["missed"]]
    assert ids(tab, "approximate", ".instead") == [str(one) for one in answer["instead"]]
    assert f"Overlap {answer['overlap']:.3f}:" in tab.inner_text("#overlap")
    assert f"{24 - len(answer['missed'])} of 24" in tab.inner_text("#overlap")
    assert all(tab.inner_text(f"#{which}-about").endswith("s") for which in ("exact", "approximate"))
    # by color, by sign, and by words that are read aloud
    colors = {tab.eval_on_selector(f"{which} .mark", "one => getComputedStyle(one).backgroundColor") for which in
              ("#exact .missed", "#approximate .instead", "#exact li:not(.missed)")}  # fmt: skip
    assert len(colors) == 3
    assert "− missed" in tab.inner_text("#exact .missed >> nth=0")
    assert "+ instead" in tab.inner_text("#approximate .instead >> nth=0")
    first = tab.get_by_role("list", name="Exact").get_by_role("button").first
    assert "id " in first.inner_text()


def test_shared_points_are_linked(tab, address):
    visit(tab, address, "#id=7&k=24&ef=8&rule=stays")
    shared = ids(tab, "approximate", ":not(.instead)")[0]
    tab.focus(f"#approximate [data-id='{shared}']")
    assert tab.eval_on_selector_all(".twin", "all => all.map(one => one.dataset.id)") == [shared, shared]
    place = ids(tab, "exact").index(shared) + 1
    assert f"also rank {place} in the other list" in tab.text_content(f"#approximate [data-id='{shared}']")
    tab.hover(f"#exact [data-id='{ids(tab, 'exact', '.missed')[0]}']")
    assert tab.locator(".twin").count() == 1


def test_sliders_move_by_keyboard(tab, address):
    visit(tab, address, "#id=7&k=10&ef=10")
    tab.focus("#k-range")
    answer = change(tab, lambda: [tab.keyboard.press("ArrowRight") for _ in range(3)])
    assert (answer["k"], tab.input_value("#k")) == (13, "13")
    assert len(ids(tab, "exact")) == len(ids(tab, "approximate")) == 13
    tab.focus("#ef-range")
    answer = change(tab, lambda: tab.keyboard.press("End"))
    assert answer["ef"] == Limits().ef == int(tab.input_value("#ef"))
    assert tab.get_attribute("#ef-range", "aria-valuetext") == str(Limits().ef)
    change(tab, lambda: tab.keyboard.press("Home"))
    before = 1
    for _ in range(5):  # each press is felt
        tab.keyboard.press("ArrowRight")
        assert int(tab.input_value("#ef")) > before
        before = int(tab.input_value("#ef"))


def test_numbers_are_typed_within_their_limits(tab, address):
    visit(tab, address, "#id=7")
    assert change(tab, lambda: tab.fill("#k", "17"))["k"] == 17
    assert tab.input_value("#k-range") == "17"
    tab.fill("#k", "100000")
    assert error(tab) == f"k is a whole number from 1 to {Limits().k}."
    assert change(tab, lambda: tab.keyboard.press("Tab"))["k"] == Limits().k
    assert tab.locator("#error").is_hidden()


def test_rules_change_the_answer(tab, address):
    visit(tab, address, "#id=7&k=50&ef=1&rule=stays")
    low = len(ids(tab, "exact", ".missed"))
    assert "share the effort of 1" in tab.inner_text("#effort")
    tab.focus("[value=stays]")
    answer = change(tab, lambda: tab.keyboard.press("ArrowDown"))
    assert answer["rule"] == "faiss-follows-k"
    assert "the effort follows k" in tab.inner_text("#effort")
    assert len(ids(tab, "exact", ".missed")) == len(answer["missed"]) < low


def test_a_target_takes_the_place_of_ef(tab, address):
    visit(tab, address, "#id=7&k=10&rule=follows-k")
    tab.fill("#target", "overlap=0.5")
    answer = change(tab, lambda: tab.keyboard.press("Tab"))
    assert tab.locator("#ef").is_disabled()
    assert f"ef {answer['ef']}" in tab.inner_text("#approximate-about")
    tab.fill("#target", "nonsense")
    tab.keyboard.press("Tab")
    assert "nonsense" in error(tab)
    tab.complaints.clear()  # the browser notes the status 400
    tab.fill("#target", "")
    change(tab, lambda: tab.keyboard.press("Tab"))
    assert tab.locator("#error").is_hidden() and tab.locator("#ef").is_enabled()


def test_an_error_is_said_and_goes_away(tab, address):
    visit(tab, address)
    tab.fill("#wanted", str(POINTS))
    tab.press("#wanted", "Enter")
    assert error(tab) == f"There is no point {POINTS}."
    assert tab.locator("#lists").is_hidden() and tab.inner_text("#overlap") == ""
    tab.complaints.clear()  # the browser notes the status 404
    tab.fill("#wanted", "3")
    change(tab, lambda: tab.click("#by-id button"))
    assert tab.locator("#error").is_hidden()
    assert tab.inner_text("#query").endswith("id 3")


@pytest.mark.parametrize("odd", ODD_IDS, ids=range(len(ODD_IDS)))
def test_labels_and_ids_are_shown_as_text(tab, odd_address, odd):
    """Markup in them is no element and runs nothing, and the id that is pressed is the id that is asked for."""
    visit(tab, odd_address, "#k=5")
    place = ODD_IDS.index(odd)
    with tab.expect_request(lambda request: request.url.endswith("/search")) as sent:
        tab.locator("#stored button").nth(place).click()
    assert sent.value.post_data_json["id"] == odd and type(sent.value.post_data_json["id"]) is type(odd)
    tab.wait_for_selector(READY)
    assert ids(tab, "exact") and tab.locator("#error").is_hidden()
    assert tab.evaluate("window.hacked") is None
    assert tab.locator("#lists img, #lists script, .query img").count() == 0
    assert ATTACK in tab.text_content("#lists") + tab.text_content("#stored")
    tab.reload()
    tab.wait_for_selector(READY)
    seen = f'"{odd}"' if odd in ("5", "") else odd
    assert tab.text_content("#query").endswith(f"id {seen}")


@pytest.mark.parametrize("which", ["address", "odd_address"])
def test_it_fits_a_phone(tab, request, which):
    tab.set_viewport_size({"width": 360, "height": 700})
    visit(tab, request.getfixturevalue(which), "#k=5")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    beyond = "[...document.querySelectorAll('button, input, p, h2, li')].filter(one => !one.closest('.hide'))"
    assert tab.evaluate(f"Math.max(...{beyond}.map(one => one.getBoundingClientRect().right))") <= 360
    tab.locator("#stored button").last.click()  # the answer comes into view below what was pressed
    playwright.expect(tab.locator("#answer")).to_be_in_viewport()
    left, right = (tab.locator(f"#{one}").bounding_box() for one in ("exact", "approximate"))
    assert left["y"] == right["y"] and left["x"] + left["width"] <= right["x"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_schemes(tab, address, scheme):
    """Contrast of at least 4.5, as WCAG 2.2 asks of text (success criterion 1.4.3)."""
    tab.emulate_media(color_scheme=scheme)
    visit(tab, address, "#id=7&k=24&ef=8&rule=stays")
    colors = """one => { const own = getComputedStyle(one); let behind = one;
        while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
        return [own.color, getComputedStyle(behind).backgroundColor] }"""

    def light(color: str) -> float:
        share = np.array([int(part) for part in color[4:-1].split(",")]) / 255
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    tab.hover("#exact li:not(.missed)")
    pages = set()
    for place in (
        "body",
        ".quiet",
        "#overlap",
        "#next",
        ".hits .rank",
        ".twin .rank",
        ".missed .mark",
        ".instead .mark",
        "#k",
    ):
        ink, behind = (light(color) for color in tab.eval_on_selector(place, colors))
        assert (max(ink, behind) + 0.05) / (min(ink, behind) + 0.05) >= 4.5, place
        pages.add(behind < 0.5)
    assert (scheme == "dark") in pages


def dropped(tab, data: bytes, kind: str) -> None:
    """Drop or paste a file, as a person's hand would."""
    tab.evaluate(
        """([bytes, kind]) => { const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "mine.png", { type: "image/png" }));
        const how = { bubbles: true, cancelable: true };
        document.querySelector("#drop").dispatchEvent(kind === "paste"
            ? new ClipboardEvent("paste", { ...how, clipboardData: data })
            : new DragEvent("drop", { ...how, dataTransfer: data })); }""",
        [list(data), kind],
    )


@pytest.mark.parametrize("way", ["choose", "drop", "paste"])
def test_an_image_is_searched(tab, address, way):
    visit(tab, address, "#k=5")
    data = png(drawn()[42])
    file = {"name": "mine.png", "mimeType": "image/png", "buffer": data}
    choose = (lambda: tab.set_input_files("#file", file)) if way == "choose" else lambda: dropped(tab, data, way)
    answer = change(tab, choose)
    nearest = answer["exact"]["hits"][0]
    assert nearest["id"] == 42 and nearest["distance"] < 1e-6
    assert ids(tab, "exact")[0] == "42" and len(ids(tab, "exact")) == 5
    assert "mine.png" in tab.inner_text("#query") and tab.locator("#picture canvas").count() == 1
    tab.focus("#k-range")  # the image stays the query
    assert change(tab, lambda: tab.keyboard.press("ArrowRight"))["exact"]["hits"][0]["id"] == 42


def test_an_encoder_that_is_loaded_later_is_noted(tab, address):
    def loading(route):
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"image_search": {"ready": False, "reason": "Not yet."}})

    tab.route("**/info", times=1, handler=loading)
    visit(tab, address)
    assert tab.inner_text("#drop-note") == "Not yet."
    tab.hover("#drop")
    playwright.expect(tab.locator("#drop-note")).to_contain_text("at most 19.5 KiB")


def test_a_bad_file_is_refused(tab, address):
    visit(tab, address)
    file = {"name": "mine.png", "mimeType": "image/png", "buffer": b"no image at all"}
    with tab.expect_response(lambda response: response.url.endswith("/search/image")) as refused:
        tab.set_input_files("#file", file)
    assert error(tab) == refused.value.json()["detail"]
    tab.complaints.clear()  # the browser notes the status 415
    sent = []
    tab.on("request", lambda request: sent.append(request.url))
    tab.set_input_files("#file", file | {"buffer": bytes(20_001)})
    playwright.expect(tab.locator("#sentence")).to_contain_text("at most")
    assert "19.5 KiB" in error(tab) and sent == []


def test_a_service_that_is_gone_is_said(tab, address):
    visit(tab, address)
    for pressed in ("#random", "#stored li:nth-child(2) button"):  # asks for a point, and for neighbors
        tab.context.set_offline(True)
        tab.click(pressed)
        assert "does not answer" in error(tab)
        tab.complaints.clear()  # the browser notes the failed request
        tab.context.set_offline(False)
        change(tab, lambda: tab.click("#again"))
        assert tab.locator("#error").is_hidden()


def test_an_engine_that_is_not_ready_is_asked_again(tab, address):
    visit(tab, address)
    sentence = "FAISS's graph is being built."
    tab.route("**/search", times=1, handler=lambda route: route.fulfill(
        status=503, json={"detail": sentence}, headers={"Retry-After": "2"}))  # fmt: skip
    tab.check("[value=stays]")
    assert error(tab) == f"{sentence} Trying again by itself."
    tab.wait_for_selector(READY)
    assert tab.locator("#error").is_hidden() and "stays" in tab.inner_text("#approximate-about")
    tab.complaints.clear()  # the browser notes the status 503


def test_only_the_latest_search_counts(tab, address):
    visit(tab, address, "#id=7&k=5")
    held = []
    with tab.expect_request("**/search"):
        tab.route("**/search", times=1, handler=lambda route: held.append(route))
        tab.locator("#stored button").nth(1).click()
    with tab.expect_event("requestfailed") as ended:
        change(tab, lambda: tab.locator("#stored button").nth(2).click())
    assert ended.value.post_data_json["id"] == 1 and "ABORTED" in ended.value.failure
    assert tab.inner_text("#query").endswith("id 2") and tab.locator("#error").is_hidden()


def test_everything_is_reached_by_keyboard(tab, address):
    visit(tab, address, "#id=7&k=24")
    tab.evaluate("document.activeElement.blur()")
    reached = []
    describe = """() => { const one = document.activeElement, own = getComputedStyle(one);
        return [one.id || one.value || one.closest('ol, ul, form')?.id, own.outlineStyle !== 'none'] }"""
    for _ in range(30):
        tab.keyboard.press("Tab")
        name, outlined = tab.evaluate(describe)
        if name in reached or name is None:
            break
        assert outlined, name
        reached.append(name)
    assert {"file", "wanted", "by-id", "stored", "next", "random", "k", "k-range", "ef", "ef-range"} <= {*reached}
    assert {"follows-k", "target", "exact", "approximate"} <= {*reached}
    tab.focus("#exact button")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowDown")
    place = tab.evaluate("[...document.querySelectorAll('#exact button')].indexOf(document.activeElement)")
    wanted = ids(tab, "exact")[place]
    tops = tab.eval_on_selector_all("#exact li", "all => all.map(one => one.offsetTop)")
    assert place == tops.count(tops[0]) + 1
    change(tab, lambda: tab.keyboard.press("Enter"))
    assert tab.inner_text("#query").endswith(f"id {wanted}")
    assert tab.evaluate("document.activeElement === document.querySelector('#exact button')")


def test_the_address_keeps_the_view(tab, address):
    visit(tab, address, "#id=7&k=13&ef=21&rule=stays")
    change(tab, lambda: tab.locator("#stored button").nth(3).click())
    assert "id=3" in tab.url
    tab.reload()
    tab.wait_for_selector(READY)
    assert [tab.input_value(f"#{one}") for one in ("k", "ef")] == ["13", "21"]
    assert tab.is_checked("[value=stays]") and tab.inner_text("#query").endswith("id 3")
    change(tab, tab.go_back)
    assert tab.inner_text("#query").endswith("id 7")


def test_back_and_links_to_a_view_bring_all_of_it(tab, address):
    def view() -> list[str]:
        rule = tab.input_value("[name=rule]:checked")
        return [*(tab.input_value(f"#{one}") for one in ("k", "ef", "target")), rule, tab.inner_text("#query")[-4:]]

    visit(tab, address, "#id=7&k=13&ef=21&rule=stays")
    change(tab, lambda: tab.locator("#stored button").nth(3).click())
    change(tab, lambda: tab.fill("#k", "40"))
    assert (sent := change(tab, tab.go_back))["k"] == 13 and (sent["rule"], sent["ef"]) == ("stays", 21)
    assert view() == ["13", "21", "", "stays", "id 7"]
    assert change(tab, tab.go_forward)["k"] == 40
    link = "#id=9&k=77&ef=5&rule=faiss-follows-k"
    answer = change(tab, lambda: tab.evaluate("link => { location.hash = link }", link))
    assert (answer["k"], answer["ef"], answer["rule"]) == (77, 5, "faiss-follows-k")
    assert view() == ["77", "5", "", "faiss-follows-k", "id 9"]
    link = "#id=9&k=10&rule=follows-k&target=overlap%3D0.5"
    change(tab, lambda: tab.evaluate("link => { location.hash = link }", link))
    assert tab.input_value("#target") == "overlap=0.5" and tab.locator("#ef").is_disabled()
    change(tab, tab.go_back)
    assert tab.input_value("#target") == "" and tab.locator("#ef").is_enabled()
    assert view()[-1] == "id 9" and "k=77" in tab.url


def test_a_page_that_tries_again_has_the_same_sliders(tab, address):
    visit(tab, address)
    most = tab.get_attribute("#ef-range", "max")
    tab.route("**/points?*", times=1, handler=lambda route: route.abort())
    tab.reload()
    assert "does not answer" in error(tab)
    tab.complaints.clear()  # the browser notes the failed request
    change(tab, lambda: tab.click("#again"))
    assert tab.get_attribute("#ef-range", "max") == most
    tab.focus("#ef-range")
    assert change(tab, lambda: tab.keyboard.press("End"))["ef"] == Limits().ef
    change(tab, lambda: tab.keyboard.press("ArrowLeft"))
    assert Limits().ef / 1.1 < int(tab.input_value("#ef")) < Limits().ef


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_copies_at_the_last_distance_are_told_as_ties(tab, metric):
    """Twenty copies of each point: a search that returns others of them returns nothing farther."""
    points = np.repeat(np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32), 20, axis=0)
    store = Collection(4, metric=metric)
    store.add(points)
    with serving(store) as at:
        for rule in ("follows-k", "stays"):
            tab.goto("about:blank")
            with tab.expect_response("**/search") as given:
                visit(tab, at, f"#id=3&k=10&ef=100&rule={rule}")
            if given.value.json()["instead"]:
                break
        answer = given.value.json()
        others = len(answer["instead"])
        assert others > 0, "a search must return other copies, or the test says nothing"
        assert f"Overlap {answer['overlap']:.3f}" in tab.inner_text("#overlap")
        said = tab.inner_text("#detail")
        assert said.startswith(f"{others} of the {others} that came instead") and "overlap is 1.000." in said
        assert tab.locator("#approximate .mark", has_text="= instead").count() == others
        assert tab.locator("#approximate .mark", has_text="+ instead").count() == 0


def test_what_came_from_farther_away_is_no_tie(tab, address):
    visit(tab, address, "#id=7&k=24&ef=8&rule=stays")
    assert ids(tab, "approximate", ".instead") and tab.inner_text("#detail") == ""


def test_what_ef_does_in_a_store_with_its_own_search_is_left_to_it(tab, address):
    def other(route):
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"kind": "Qdrant"})

    tab.route("**/info", times=1, handler=other)
    visit(tab, address, "#id=7&k=10&ef=50&rule=follows-k")
    assert "the store (Qdrant)" in tab.inner_text("#effort") and "every rule" not in tab.inner_text("#effort")
    change(tab, lambda: tab.check("[value=stays]"))
    assert tab.inner_text("#effort") == "ef exceeds k: both searches of FAISS search with ef = 50."
    change(tab, lambda: tab.fill("#ef", "5"))
    assert "share the effort of 5" in tab.inner_text("#effort")


def test_a_notice_of_the_service_is_text_with_its_link(tab, address):
    notice = f"Pictures: {ATTACK} see https://example.org/a?b=1&c=2."

    def noted(route):
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"notice": notice})

    visit(tab, address)
    assert tab.locator("#notice").is_hidden()
    tab.route("**/info", times=1, handler=noted)
    tab.reload()
    tab.wait_for_selector(READY)
    assert tab.inner_text("#notice") == notice and tab.evaluate("window.hacked") is None
    assert tab.get_attribute("#notice a", "href") == "https://example.org/a?b=1&c=2"
    assert tab.locator("#notice *").count() == 1


def test_pictures_are_found_beside_the_page_wherever_it_is(tab, address):
    """Behind a proxy that hands over a folder of its own, where addresses of pictures are relative."""
    host = f"{address}/behind/"

    def beneath(route):
        answer = route.fetch(url=route.request.url.replace("/behind/", "/"))
        text = answer.text().replace('"/image?', '"image?') if "json" in answer.headers["content-type"] else None
        route.fulfill(response=answer, **({"body": text} if text else {}))

    tab.route("**/behind/**", beneath)
    asked = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(host)
    tab.wait_for_selector(READY)
    tab.wait_for_load_state("networkidle")
    assert any("/image?" in one for one in asked) and all(one.startswith((host, "data:")) for one in asked)
    assert tab.evaluate("[...document.querySelectorAll('#exact img')].every(one => one.naturalWidth > 0)")


def test_stored_points_are_paged(tab, address):
    visit(tab, address)
    first = ids(tab, "stored")
    tab.click("#next")
    tab.wait_for_selector(f"#stored li:first-child [data-id='{len(first)}']")
    assert tab.inner_text("#where") == f"{len(first) + 1} to {2 * len(first)} of {POINTS}"
    tab.click("#previous")
    tab.wait_for_selector("#stored li:first-child [data-id='0']")
    assert tab.locator("#previous").is_disabled()


def test_the_readme_shows_the_page():
    shown = ROOT / "report" / "published" / "page.png"
    assert "](report/published/page.png)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert shown.stat().st_size <= 250_000
    with Image.open(shown) as picture:
        picture.verify()


def test_few_points_and_none_are_said(tab, odd_address):
    visit(tab, odd_address, "#k=100")
    assert len(ids(tab, "exact")) == len(ODD_IDS) - 1
    assert "fewer than k = 100" in tab.inner_text("#detail")
    with serving(Collection(3)) as empty:
        tab.goto(empty)
        playwright.expect(tab.locator("#overlap")).to_contain_text("no points yet")
