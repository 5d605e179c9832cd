"""The commands `index`: what they make, find and draw, what a stopped one leaves, and what they refuse."""

import json
import signal
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from neighborhood_drift import exact_neighbors
from neighborhood_drift.marks import INSTEAD, MISSED
from neighborhood_drift.retrieval import Collection, asking, disk, filling, searching
from neighborhood_drift.retrieval import cli as commands
from neighborhood_drift.retrieval.opening import open_store
from neighborhood_drift.retrieval.qdrant_store import QdrantStore
from neighborhood_drift.retrieval.store import Hits
from neighborhood_drift.study import cli

PIXELS = ("--encoder", "pixels", "--size", "8")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Vectors, their labels and ids, and a folder and an archive of images, in the working folder."""
    generator = np.random.default_rng(0)
    base = generator.normal(size=(300, 6)).astype(np.float32)
    np.save(tmp_path / "mine.npy", base)
    np.save(tmp_path / "more.npy", base[:20] + 1)
    np.save(tmp_path / "one.npy", base[7])
    np.save(tmp_path / "asked.npy", base[:30] + 0.1)
    np.save(tmp_path / "narrow.npy", base[:, :5])
    (tmp_path / "ids.txt").write_text("".join(f"point {row}\n" for row in range(300)))
    (tmp_path / "labels.txt").write_text("".join(f"{row % 3}\n" for row in range(300)))
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        for row in range(40):
            file = tmp_path / "images" / f"class{row % 2}" / f"{row:02d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(file)
            archive.write(file, f"{file.parent.name}/{file.name}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*words):
    return CliRunner().invoke(cli.app, ["index", *map(str, words)])


def done(*words):
    answer = call(*words)
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def refused(*words):
    answer = call(*words)
    assert answer.exit_code == 2, answer.output
    *before, told = answer.stderr.splitlines()
    assert told.startswith("Error: ") and not any("Error" in line for line in before)
    return told


def document(*words):
    return json.loads(done(words[0], "--json", *words[1:]))


# ---- vectors


def test_a_collection_of_vectors_from_build_to_compact(folder):
    base = np.load("mine.npy")
    assert "300 points added; all holds 300 of 6 dimensions." in done("build", "mine.npy", "--to", "all", "--ef", "20")
    told = document("info", "all")
    assert (told["points"], told["dimension"], told["metric"], told["ef"]) == (300, 6, "l2", 20)
    assert "dimension" in done("info", "all")
    assert document("add", "all", "more.npy") == {"added": 20, "known": 0, "points": 320}
    (query,) = document("search", "all", "one.npy", "--k", 5)["queries"]
    everything = np.concatenate([base, np.load("more.npy")])
    exact = exact_neighbors(everything, base[7:8], k=5)
    assert [hit["id"] for hit in query["hits"]] == exact.ids[0].tolist()
    assert np.allclose([hit["distance"] for hit in query["hits"]], exact.distances[0], atol=1e-5)
    assert [hit["rank"] for hit in query["hits"]] == [1, 2, 3, 4, 5]
    assert document("delete", "all", "7", "319") == {"deleted": 2, "points": 318}
    (query,) = document("search", "all", "one.npy", "--k", 5)["queries"]
    assert [hit["id"] for hit in query["hits"]][:4] == exact.ids[0][1:].tolist()
    assert document("info", "all")["deleted"] == 2
    assert document("compact", "all") == {"freed": 2, "points": 318} and document("info", "all")["deleted"] == 0


def test_ids_and_labels_come_from_files(folder):
    done("build", "mine.npy", "--to", "all", "--ids", "ids.txt", "--labels", "labels.txt")
    (query,) = document("search", "all", "one.npy", "--k", 1)["queries"]
    assert query["hits"][0]["id"] == "point 7" and query["hits"][0]["label"] == "1"
    assert "point 7" in done("search", "all", "one.npy", "--k", 1)
    np.save("numbers.npy", np.arange(-20, 0))
    done("add", "all", "more.npy", "--ids", "numbers.npy")
    assert document("delete", "all", "--", "-20", "point 7") == {"deleted": 2, "points": 318}
    assert "id -20 is not there" in refused("search", "all", "--id=-20")
    for lines in ("only one\n", "same\n" * 300):
        (folder / "ids.txt").write_text(lines)
        refused("build", "mine.npy", "--to", "other", "--ids", "ids.txt")
    assert not (folder / "other").exists()


def test_only_whole_numbers_written_as_such_are_numbers(folder):
    for row, line in enumerate(("007", "1_0", " 5 ", "+3", "-0", "٣", "9" * 40, "9223372036854775808", "")):
        (folder / "few.txt").write_text(f"{line}\n" + "".join(f"{10 + row}\n" for row in range(19)))
        done("build", "more.npy", "--to", f"points-{row}", "--ids", "few.txt", "--labels", "few.txt")
        with open_store(f"points-{row}") as store:
            assert store.ids() == [line, *map(str, range(10, 29))]
            assert store.metadata([line]) == [{"label": line}]
        told = document("search", f"points-{row}", f"--id={line}", "--k", 19)["queries"][0]["hits"]
        assert [hit["id"] for hit in told].count(line) == 0 and len(told) == 19
    (folder / "few.txt").write_text("".join(f"{row - 10}\n" for row in range(20)))
    done("build", "more.npy", "--to", "numbers", "--ids", "few.txt")
    with open_store("numbers") as store:
        assert store.ids() == list(range(-10, 10))


def test_digits_are_a_whole_number_unless_text_is_said(folder):
    np.save("words.npy", np.array([str(row) for row in range(300)]))
    done("build", "mine.npy", "--to", "all", "--ids", "words.npy")
    assert "id 5 is not there" in refused("search", "all", "--id", "5")
    assert len(document("search", "all", "--id", "5", "--text", "--k", 3)["queries"][0]["hits"]) == 3
    assert "nothing" not in refused("delete", "all", "5") and document("info", "all")["points"] == 300
    assert document("delete", "all", "5", "6", "--text")["deleted"] == 2


def test_a_point_is_left_out_of_its_own_answer(folder):
    done("build", "mine.npy", "--to", "all")
    base = np.load("mine.npy")
    (query,) = document("search", "all", "--id", 9, "--k", 10, "--ef", 300)["queries"]
    assert [hit["id"] for hit in query["hits"]] == exact_neighbors(base, k=10).ids[9].tolist()


def test_exact_prints_both_lists_and_what_differs(folder):
    done("build", "mine.npy", "--to", "all", "--M", "2", "--ef-construction", "2")
    told = document("search", "all", "asked.npy", "--k", 10, "--ef", 1, "--exact")
    base, asked = np.load("mine.npy"), np.load("asked.npy")
    exact = exact_neighbors(base, asked, k=10)
    overlaps = []
    for row, query in enumerate(told["queries"]):
        true, got = [[hit["id"] for hit in query[name]] for name in ("exact", "hits")]
        assert true == exact.ids[row].tolist()
        assert query["missed"] == [one for one in true if one not in got]
        assert query["instead"] == [one for one in got if one not in true]
        assert query["overlap"] == pytest.approx(1 - len(query["missed"]) / 10)
        overlaps.append(query["overlap"])
    assert told["overlap"] == pytest.approx(np.mean(overlaps)) and 0 < told["overlap"] < 1
    said = done("search", "all", "asked.npy", "--k", 10, "--ef", 1, "--exact")
    assert "20 more queries" in said and f"mean overlap of 30 queries: {np.mean(overlaps):.4f}" in said
    first = said.split("\n\n")[0]
    assert first.count(MISSED) - 1 == len(told["queries"][0]["missed"])  # one more explains the sign
    assert f"{10 - len(told['queries'][0]['missed'])} of the 10 exact neighbors were found at ef = 1" in first
    done("build", "mine.npy", "--to", "good")
    answer = document("search", "good", "asked.npy", "--k", 10, "--ef", 300, "--exact")
    assert answer["overlap"] == 1 and answer["ef"] == 300


def test_effort_can_be_asked_for_by_what_it_reaches(folder, monkeypatch):
    done("build", "mine.npy", "--to", "all")
    told = document("search", "all", "one.npy", "--k", 5, "--target", "overlap=0.9")
    assert told["ef"] >= 1 and len(told["queries"][0]["hits"]) == 5
    asked, whole = [], Collection.tune

    def tune(self, target, k, *words, **how):
        choice = whole(self, target, k, *words, **how)
        asked.append((k, choice.ef))
        return choice

    monkeypatch.setattr(Collection, "tune", tune)
    told = document("search", "all", "--id", "7", "--k", 5, "--target", "overlap=0.9")
    assert asked == [(5, told["ef"])], "what is left out of its own answer is no neighbor to be certified"
    hits = [hit["id"] for hit in told["queries"][0]["hits"]]
    assert len(hits) == 5 and 7 not in hits
    assert "takes one of them" in refused("search", "all", "one.npy", "--target", "overlap=0.9", "--ef", "3")


def test_fewer_points_than_asked_for_is_said(folder):
    np.save("few.npy", np.eye(3, dtype=np.float32))
    done("build", "few.npy", "--to", "few", "--metric", "cosine")
    said = done("search", "few", "few.npy", "--k", "5")
    assert said.endswith("3 of 3 queries found fewer than k = 5 neighbors, the fewest 3.\n")
    assert "fewer" not in done("search", "few", "few.npy", "--k", "3")
    done("delete", "few", "0", "1", "2")
    told = document("search", "few", "few.npy", "--exact")
    assert told["overlap"] is None and "the fewest 0" in told["note"]
    assert "0 of the 0 exact neighbors" in done("search", "few", "few.npy", "--exact")


# ---- images


def test_a_collection_of_images(folder):
    assert "40 points added" in done("build", "images", "--to", "seen", *PIXELS)
    assert document("info", "seen")["encoder"] == {"name": "pixels", "size": [8, 8], "mode": "L"}
    told = document("search", "seen", "images/class1/07.png", "--k", 3, "--exact")
    (query,) = told["queries"]
    first = query["hits"][0]
    assert (first["id"], first["label"]) == ("class1/07.png", "class1") and first["distance"] == pytest.approx(
        0, abs=1e-3
    )
    assert first["image"] == str(folder / "images" / "class1" / "07.png")
    assert told["overlap"] == 1
    assert document("delete", "seen", "class1/07.png") == {"deleted": 1, "points": 39}
    assert document("add", "seen", "images") == {"added": 1, "known": 39, "points": 40}
    assert document("add", "seen", "images", "--replace") == {"added": 40, "known": 0, "points": 40}


def test_images_in_an_archive_are_the_same_points(folder):
    done("build", "packed.zip", "--to", "one", *PIXELS, "--color")
    done("build", "images", "--to", "two", *PIXELS, "--color")
    with open_store("one") as one, open_store("two") as two:
        assert one.ids() == two.ids() and np.array_equal(one.vectors(one.ids()), two.vectors(one.ids()))
    done("search", "one", "images/class0/00.png", "--picture", "out.png")
    done("search", "two", "packed.zip/class0/00.png", "--picture", "two.png")
    assert np.array_equal(np.asarray(Image.open("out.png")), np.asarray(Image.open("two.png")))


def test_the_picture_shows_query_and_neighbors(folder):
    for row, color in enumerate(("red", "lime", "blue", "white")):
        (folder / "plain").mkdir(exist_ok=True)
        Image.new("RGB", (30, 30), color).save(folder / "plain" / f"{row}.png")
    done("build", "plain", "--to", "plain-ones", *PIXELS, "--color")
    done("search", "plain-ones", "plain/1.png", "--k", 2, "--picture", "out.png")
    pixels = np.asarray(Image.open("out.png").convert("RGB")).reshape(-1, 3)
    drawn = {name: (pixels == color).all(axis=1).sum() for name, color in
             {"red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255)}.items()}  # fmt: skip
    assert drawn["lime"] > 1.8 * max(drawn["red"], drawn["blue"]) > 0  # the query is its own first neighbor
    done("search", "plain-ones", "--id", "1.png", "--k", 2, "--exact", "--picture", "out.svg")
    assert "<svg" in (folder / "out.svg").read_text()


def test_a_picture_marks_what_was_missed_and_what_came_instead(folder):
    from neighborhood_drift.figures.answers import answer

    tile = Image.new("RGB", (8, 8))
    hits = [{"picture": tile, "text": "a", "mark": None}] * 11 + [{"picture": None, "text": "b", "mark": "missed"}]
    figure = answer(None, {"exact": hits, "found": [{"picture": tile, "text": "c", "mark": "instead"}]})
    assert len(figure.axes) == 3 * 11
    signs = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert signs == ["−", "+"] and figure.get_supxlabel() == "− missed by the search,  + came instead"
    assert len(answer(tile, {"found": []}).axes) == 2


def test_images_that_cannot_be_read_are_named_before_the_work(folder):
    (folder / "images" / "class0" / "broken.png").write_bytes(b"no picture")
    assert "1 of 41 images cannot be read: class0/broken.png" in refused("build", "images", "--to", "seen", *PIXELS)
    assert not (folder / "seen").exists()
    assert document("build", "images", "--to", "seen", *PIXELS, "--skip-unreadable")["added"] == 40
    assert "not a picture" in refused("search", "seen", "images/class0/broken.png")


# ---- stopped


def test_a_build_that_was_stopped_goes_on(folder, monkeypatch):
    monkeypatch.setattr(filling, "PART", 50)
    monkeypatch.setattr(filling, "SAVE_EVERY", 0)
    monkeypatch.setattr(filling, "MOST_SAVING", np.inf)
    with monkeypatch.context() as patched:
        whole, seen = Collection.add, []

        def add(*words, **how):
            seen.append(words)
            if len(seen) == 3:
                raise KeyboardInterrupt
            return whole(*words, **how)

        patched.setattr(Collection, "add", add)
        stopped = call("build", "mine.npy", "--to", "all", "--no-progress")
    assert stopped.exit_code == 130 and "100 new points are kept in all" in stopped.stderr
    assert document("info", "all")["points"] == 100
    assert document("build", "mine.npy", "--to", "all") == {"added": 200, "known": 100, "points": 300}
    done("build", "mine.npy", "--to", "whole")
    with open_store("all") as all_, open_store("whole") as whole:
        assert np.array_equal(all_.vectors(range(300)), np.load("mine.npy"))
        asked = np.load("asked.npy")
        assert all_.search(asked, 5).ids == whole.search(asked, 5).ids
    assert document("build", "mine.npy", "--to", "all") == {"added": 0, "known": 300, "points": 300}


def pressed(*_, **__):
    """Ctrl-C."""
    raise KeyboardInterrupt


def test_vectors_are_added_to_a_folder_all_or_none(folder, monkeypatch):
    done("build", "mine.npy", "--to", "all")
    with monkeypatch.context() as patched:
        patched.setattr(Collection, "save", pressed)
        stopped = call("add", "all", "more.npy")
    assert stopped.exit_code == 130 and "0 new points are kept in all; give the same command again" in stopped.stderr
    assert document("add", "all", "more.npy") == {"added": 20, "known": 0, "points": 320}


@pytest.mark.parametrize("words", [("build", "mine.npy", "--to", "all"), ("add", "all", "mine.npy")])
def test_what_was_saved_before_a_stop_is_told_as_kept(words, folder, monkeypatch):
    """The stop comes when CURRENT names the new state, while the older one is removed."""
    done("build", "more.npy", "--to", "all")
    done("delete", "all", *range(20))
    with monkeypatch.context() as patched:
        patched.setattr(disk.shutil, "rmtree", pressed)
        stopped = call(*words)
    assert stopped.exit_code == 130 and "Stopped: 300 new points are kept in all" in stopped.stderr
    assert document("info", "all")["points"] == 300


KILLED = """
import os, signal, sys
import numpy as np
from neighborhood_drift.retrieval import Collection, filling
from neighborhood_drift.study import cli

filling.PART, filling.SAVE_EVERY, filling.MOST_SAVING = 10, 0, np.inf
whole, saved = Collection.save, []

def save(self):
    whole(self)
    saved.append(self.count())
    if len(saved) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

Collection.save = save
cli.app(["index", *sys.argv[1:]])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize("source", ["images", "packed.zip"])
def test_a_killed_process_leaves_what_it_saved_and_the_same_command_completes_it(folder, source):
    done("build", "images", "--to", "whole", *PIXELS)
    done("build", "packed.zip", "--to", "seen", *PIXELS)
    done("delete", "seen", *(f"class{row % 2}/{row:02d}.png" for row in range(5, 40)))
    killed = subprocess.run([sys.executable, "-c", KILLED, "add", "seen", source], capture_output=True, timeout=100)
    assert killed.returncode == -signal.SIGKILL
    with open_store("seen") as seen, open_store("whole") as whole:
        held = seen.ids()
        assert len(held) == 25 and np.array_equal(seen.vectors(held), whole.vectors(held))
    command = [sys.executable, "-m", "neighborhood_drift", "index", "add", "seen", source, "--json"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert finished.returncode == 0 and json.loads(finished.stdout) == {"added": 15, "known": 25, "points": 40}
    assert "points" in finished.stderr, "a progress bar"
    with open_store("seen") as seen, open_store("whole") as whole:
        assert set(seen.ids()) == set(whole.ids())
        assert np.array_equal(seen.vectors(whole.ids()), whole.vectors(whole.ids()))


# ---- refused


def test_a_location_that_holds_other_points_is_not_built_over(folder):
    done("build", "mine.npy", "--to", "all")
    before = document("info", "all")
    for words in (("more.npy",), ("mine.npy", "--M", "8"), ("images", *PIXELS)):
        said = refused("build", *words, "--to", "all")
        assert "all" in said
    np.save("other.npy", np.load("mine.npy") + 1)
    assert "holds 300 points of another build; name another location, or add to it" in refused(
        "build", "other.npy", "--to", "all"
    )
    assert "another build, with another M;" in refused("build", "mine.npy", "--to", "all", "--M", "8")
    assert "another build, with another dimension;" in refused("build", "narrow.npy", "--to", "all")
    assert document("info", "all") == before


def test_another_ef_is_no_other_build(folder):
    done("build", "mine.npy", "--to", "all", "--ef", "20")
    done("build", "mine.npy", "--to", "all")
    assert document("info", "all")["ef"] == 20
    done("build", "mine.npy", "--to", "all", "--ef", "30")
    assert document("info", "all")["ef"] == 30


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("build", "nowhere", "--to", "x"), "nowhere is neither vectors (.npy, .npz"),
        (("build", "nowhere.npy", "--to", "x"), "nowhere.npy does not exist"),
        (("build", "images", "--to", "x"), "images need an encoder: --encoder pixels"),
        (("build", "images", "--to", "x", "--encoder", "eyes"), "--encoder is 'eyes'; known are resnet50"),
        (("build", "images", "--to", "x", "--encoder", "pixels", "--size", "a"), "--size is 'a'"),
        (("build", "images", "--to", "x", "--encoder", "pixels", "--size", "0"), "a side of the encoder is 0"),
        (("build", "images", "--to", "x", "--encoder", "pixels", "--size", "1x2x3"), "[width, height]"),
        (("build", "mine.npy", "--to", "x", "--encoder", "pixels"), "the source holds vectors"),
        (("build", "mine.npy", "--to", "x", "--metric", "l1"), "--metric is 'l1'; known are l2, cosine"),
        (("build", "mine.npy", "--to", "x", "--M", "1"), "--M is 1"),
        (("build", "mine.npy", "--to", "all", "--ef", "0"), "--ef is 0"),
        (("build", "mine.npy", "--to", "x", "--ef", "1000001"), "--ef is 1000001; it must be a whole number from 1 to"),
        (("search", "all", "one.npy", "--ef", "1000001"), "--ef is 1000001; it must be a whole number from 1 to"),
        (("build", "mine.npy", "--to", "x", "--ids", "gone.txt"), "--ids gone.txt cannot be read"),
        (("build", "mine.npy", "--to", "x", "--labels", "asked.npy"), "--labels asked.npy has shape (30, 6)"),
        (("build", "mine.npy", "--to", "mine.npy"), "mine.npy"),
        (("build", "mine.npy", "--to", "mine.npy/all"), "mine.npy/all cannot be written"),
        (("build", "mine.npy", "--to", "qdrant+memory:"), "is gone when this command ends"),
        (
            ("build", "mine.npy", "--to", "redis://a/b", "--seed", "3"),
            "--seed is given, but redis builds its graph itself",
        ),
        (("add", "nowhere", "mine.npy"), "nowhere"),
        (("add", "all", "narrow.npy"), "5 dimensions"),
        (("add", "all", "images"), "does not say how an image becomes one of its vectors"),
        (("add", "all", "mine.npy", "--ids", "ids.npy"), "id 0 is there already"),
        (("search", "all"), "a search takes one query"),
        (("search", "all", "one.npy", "--id", "1"), "a search takes one query"),
        (("search", "all", "gone.png"), "gone.png cannot be read"),
        (("search", "all", "images/class0/00.png"), "ask with vectors, or with --id"),
        (("search", "all", "narrow.npy"), "5 dimensions"),
        (("search", "all", "one.npy", "--k", "0"), "--k is 0"),
        (("search", "all", "one.npy", "--ef", "0"), "--ef is 0"),
        (("search", "all", "one.npy", "--target", "beauty=1"), "beauty"),
        (("search", "all", "--id", "999"), "id 999 is not there"),
        (("search", "all", "one.npy", "--picture", "out.gif"), "the ending of --picture is '.gif'"),
        (("search", "all", "one.npy", "--picture", "no/out.png"), "there is no folder no"),
        (("search", "all", "asked.npy", "--picture", "out.png"), "--picture draws one query; asked.npy holds 30"),
        (("search", "all", "one.npy", "--picture", "out.png", "--pictures", "mine.npy"), "has no pictures"),
        (("delete", "all", "1", "999"), "id 999 is not there"),
        (("delete", "all", "1", "1"), "id 1 is given twice"),
        (("compact", "qdrant+memory:", "--rebuild"), "is no folder"),
        (("info", "mine.npy"), "mine.npy"),
    ],
)
def test_bad_input_gets_one_sentence_and_changes_nothing(folder, words, sentence):
    np.save("ids.npy", np.arange(300))
    done("build", "mine.npy", "--to", "all")
    assert sentence in refused(*words)
    assert document("info", "all")["points"] == 300 and not (folder / "x").exists()


def test_a_lost_graph_is_built_again(folder):
    done("build", "mine.npy", "--to", "all")
    before = document("search", "all", "one.npy", "--exact")["queries"]
    (graph,) = (folder / "all").rglob("graph.hnsw")
    graph.unlink()
    assert "rebuild" in refused("search", "all", "one.npy")
    done("compact", "all", "--rebuild")
    assert document("search", "all", "one.npy", "--exact")["queries"] == before


@pytest.fixture
def server(monkeypatch):
    """A server's address, with a password in it, behind which all commands find one store in memory."""
    pytest.importorskip("qdrant_client", reason="qdrant-client is not installed (the extra: stores)")
    store = QdrantStore(":memory:", "points")
    monkeypatch.setattr(store, "close", lambda: None)
    monkeypatch.setattr(store, "save", lambda: None)

    def opened(location, **how):
        store.encoder = how.get("encoder", store.encoder)
        return store

    for module in (commands, searching):
        monkeypatch.setattr(module, "open_store", opened)
    return "qdrant+http://me:secret@host:6333/points?password=secret"


def test_the_same_commands_work_on_a_server_and_none_repeats_its_password(server, folder):
    told = [
        done("build", "images", "--to", server, *PIXELS),
        done("add", server, "images"),
        done("search", server, "images/class1/07.png", "--k", 3, "--exact"),
        done("search", "--json", server, "images/class1/07.png", "--k", 3, "--exact"),
        done("delete", server, "class1/07.png"),
        done("compact", server),
        done("info", server),
        refused("compact", server, "--rebuild"),
        refused("build", "mine.npy", "--to", server),
        refused("build", "mine.npy", "--to", server, "--seed", 3),
        refused("search", server, "mine.npy"),
    ]
    assert not any("secret" in one for one in told)
    shown = "qdrant+http://host:6333/points"
    assert f"40 points added; {shown}" in told[0] and "(40 were there already)" in told[1]
    hits = json.loads(told[3])
    assert hits["queries"][0]["hits"][0]["id"] == "class1/07.png" and hits["overlap"] == 1
    assert hits["location"].startswith(shown)
    assert f"1 points deleted; {shown}" in told[4] and f"{shown}?password=... holds 39" in told[5]


def interrupted(monkeypatch, store, at, *words):
    """Call a command whose store is interrupted as it writes its ``at``-th batch."""
    with monkeypatch.context() as patched:
        whole, written = store._put, []

        def put(self, *batch):
            written.append(batch)
            if len(written) == at:
                raise KeyboardInterrupt
            return whole(self, *batch)

        patched.setattr(store, "_put", put)
        stopped = call(*words, "--no-progress")
    assert stopped.exit_code == 130 and "secret" not in stopped.stderr
    return stopped.stderr


def test_what_a_server_got_before_a_stop_is_kept_and_told(server, folder, monkeypatch):
    monkeypatch.setattr(QdrantStore, "batch", 50)
    monkeypatch.setattr(filling, "PART", 50)
    said = interrupted(monkeypatch, QdrantStore, 3, "build", "mine.npy", "--to", server)
    assert "Stopped: 100 new points are kept in qdrant+http://host" in said and "the same command again for the" in said
    assert document("build", "mine.npy", "--to", server) == {"added": 200, "known": 100, "points": 300}
    base = np.load("mine.npy")
    np.save("next.npy", base + 1)
    np.save("next-ids.npy", np.arange(1000, 1300))
    said = interrupted(monkeypatch, QdrantStore, 5, "add", server, "next.npy", "--ids", "next-ids.npy")
    assert "Stopped: 200 new points are kept" in said and "again for the rest, with --replace." in said
    assert document("add", server, "next.npy", "--ids", "next-ids.npy", "--replace")["points"] == 600
    said = interrupted(monkeypatch, QdrantStore, 2, "add", server, "next.npy")
    assert "Stopped: 50 new points are kept" in said and "the first of the source: the same command would add" in said
    np.save("rest.npy", base[50:] + 1)
    assert document("add", server, "rest.npy")["points"] == 900
    said = interrupted(monkeypatch, QdrantStore, 1, "add", server, "next.npy")
    assert "Stopped: 0 new points" in said and "give the same command again for the rest.\n" in said


def test_help_names_every_command():
    assert all(word in call("--help").output for word in ("build", "add", "search", "delete", "compact", "info"))
    assert "index" in CliRunner().invoke(cli.app, ["--help"]).output


def test_ids_of_two_kinds_that_look_alike_are_told_apart():
    class Points:
        def metadata(self, ids):
            return [{} for _ in ids]

    far = (np.array([1.0]),)
    exact, found = (Hits(((one,),), far, k=1, ef=5, seconds=0.0) for one in (5, "5"))
    (told,) = asking.answers(Points(), ["a"], found, exact)
    assert told["missed"] == [5] and told["instead"] == ["5"] and told["overlap"] == 0
    assert MISSED in asking.as_table(told) and INSTEAD in asking.as_table(told)


def test_answers_take_time_in_proportion_to_the_queries(monkeypatch):
    compared = []
    monkeypatch.setattr(asking, "overlap_of_hits", lambda true, got: compared.append(1) or np.zeros(len(true.ids)))
    empty = Hits(((),) * 50, (np.empty(0),) * 50, k=1, ef=5, seconds=0.0)
    assert len(asking.answers(None, ["a"] * 50, empty, empty)) == 50 and len(compared) == 1
