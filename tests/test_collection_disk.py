"""A collection on disk: what is kept, what damage says, and what a kill leaves."""

import json
import os
import pickle
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from neighborhood_drift import InputError
from neighborhood_drift.files import sha256
from neighborhood_drift.retrieval import Collection, disk, open_store

IDS = [5, -1, "", "\0", "a\0b", "5", "é", 2**62, -(2**63), "日本", "a", 0]


def points(count, dimension=6, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)


def filled(**settings):
    """A collection with ids of all kinds, metadata, deleted and replaced points."""
    collection = Collection(**settings)
    collection.add(points(len(IDS)), IDS, [{"label": f"{one}"[:3], "n": [row, None]} for row, one in enumerate(IDS)])
    collection.add(points(300, seed=1), range(100, 400))
    collection.add(points(2, seed=2), ["5", 101], [{"label": "moved"}, None], replace=True)
    collection.delete(["a", *range(200, 250)])
    return collection


def content(collection):
    """All that a user can see of a collection's points."""
    ids = collection.ids()
    return ids, collection.vectors(ids).tolist(), collection.metadata(ids)


def answers(collection):
    queries = points(20, seed=3)
    found = [collection.search(queries, 8, ef=8), collection.search(queries, 400, exact=True)]
    return [(one.ids, [far.tolist() for far in one.distances]) for one in found]


def state_folder(path):
    return Path(path) / (Path(path) / "CURRENT").read_text().split()[0]


def sealed(path):
    """Write the checksums of a state anew, as somebody who means harm could."""
    folder = state_folder(path)
    about = json.loads((folder / "collection.json").read_text())
    for name in about["files"]:
        about["files"][name] = {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
    (folder / "collection.json").write_text(json.dumps(about))
    (Path(path) / "CURRENT").write_text(f"{folder.name} {sha256(folder / 'collection.json')}\n")


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_what_is_saved_is_loaded(tmp_path, metric):
    encoder = {"name": "pixels", "size": [28, 28], "mode": "L"}
    collection = filled(metric=metric, M=5, ef_construction=30, ef=40, seed=7, encoder=encoder, target="overlap=0.9")
    collection.tune("overlap=0.9", 3)
    collection.delete([300])
    collection.save(tmp_path / "kept")
    again = Collection.load(tmp_path / "kept")
    assert content(again) == content(collection) and answers(again) == answers(collection)
    assert again.info() | {"changes": 0} == collection.info() | {"changes": 0}
    assert again.info()["chosen"][0]["changes"] == 1 and again.encoder == encoder
    again.add(points(5, seed=5))
    again.delete([-1])
    again.compact()
    assert -1 not in again.ids() and len(again) == len(collection) + 4


def test_a_rebuilt_graph_is_that_of_a_new_collection(tmp_path):
    collection, new = filled(M=4), Collection(M=4)
    collection.save(tmp_path)
    (state_folder(tmp_path) / "graph.hnsw").unlink()
    with pytest.raises(InputError, match=r"graph.hnsw is missing; Collection.load\(path, rebuild=True\) makes"):
        Collection.load(tmp_path)
    again = Collection.load(tmp_path, rebuild=True)
    new.add(collection.vectors(collection.ids()), collection.ids())
    assert content(again) == content(collection) and answers(again) == answers(new) and again.changed
    again.save()
    assert content(Collection.load(tmp_path)) == content(collection)


def test_collections_without_points_are_kept(tmp_path):
    for number, collection in enumerate((Collection(), Collection(4, metric="cosine"), filled())):
        collection.delete(collection.ids())
        collection.compact()
        collection.save(tmp_path / str(number))
        again = Collection.load(tmp_path / str(number))
        assert again.info() | {"changes": 0} == collection.info() | {"changes": 0} and not len(again)
        assert again.add(points(2, again.dimension or 3)) == [0, 1]


def test_a_save_keeps_one_state_and_tells_what_is_not_saved(tmp_path):
    collection = filled()
    assert collection.changed
    for number in range(3):
        collection.save(tmp_path if number == 0 else None)
        assert not collection.changed and collection.info()["saved"]
        assert sorted(one.name for one in tmp_path.iterdir()) == [".lock", "CURRENT", f"state-{number + 1:06d}"]
        collection.add(points(1))
        assert collection.changed
    assert Collection.load(tmp_path).changed is False


def test_nobody_elses_state_is_replaced_unasked(tmp_path):
    mine, other = filled(), Collection()
    mine.save(tmp_path / "kept")
    theirs = Collection.load(tmp_path / "kept")
    theirs.add(points(1), ["theirs"])
    theirs.save()
    for refused, where in ((mine, None), (mine, tmp_path / "kept"), (other, tmp_path / "kept")):
        with pytest.raises(InputError, match="holds another collection, or this one as another process has saved it"):
            refused.save(where)
    assert "theirs" in Collection.load(tmp_path / "kept").ids()
    mine.save(overwrite=True)
    assert "theirs" not in Collection.load(tmp_path / "kept").ids()
    (tmp_path / "file").write_text("text")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_bytes(b"")
    with pytest.raises(InputError, match="is a file; a collection is kept in a folder"):
        mine.save(tmp_path / "file")
    with pytest.raises(InputError, match=r"is not empty and no collection, as it holds cat\.png"):
        mine.save(tmp_path / "photos")
    assert [one.name for one in (tmp_path / "photos").iterdir() if one.name != ".lock"] == ["cat.png"]
    shutil.rmtree(tmp_path / "kept")
    mine.save()
    assert content(Collection.load(tmp_path / "kept")) == content(mine)


def test_a_save_that_fails_after_the_new_state_counts_leaves_a_collection_that_saves_again(tmp_path, monkeypatch):
    collection = filled()
    collection.save(tmp_path)

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    for number in range(3):
        collection.add(points(1), [f"new {number}"])
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(disk.shutil, "rmtree", interrupt)
            collection.save()
        assert f"new {number}" in Collection.load(tmp_path).ids()
    elsewhere = tmp_path / "elsewhere"
    with monkeypatch.context() as patched, pytest.raises(OSError, match="broken"):
        sync = disk._sync

        def broken(path):
            sync(path)
            if disk.pointer(elsewhere) is not None:
                raise OSError(5, "broken")

        patched.setattr(disk, "_sync", broken)
        collection.save(elsewhere)
    for path in (elsewhere, tmp_path / "third"):
        collection.save(path)
        assert content(Collection.load(path)) == content(collection)


def test_a_folder_is_the_same_by_any_name(tmp_path, monkeypatch):
    collection = filled()
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    monkeypatch.chdir(tmp_path)
    for name in ("kept", tmp_path / "sub" / ".." / "kept", "link", tmp_path / "link"):
        collection.add(points(1))
        collection.save(name)
        collection = Collection.load(name)
        collection.save(tmp_path / "kept")
    assert collection.info()["path"] == str((tmp_path / "kept").resolve())


def test_what_names_a_folder_is_on_the_disk_after_it(tmp_path, monkeypatch):
    """A power cut keeps what was synced: the folders first, each in the one above it, then CURRENT."""
    collection, path, synced = filled(), tmp_path.resolve() / "new" / "kept", []
    sync = disk._sync
    monkeypatch.setattr(disk, "_sync", lambda one: (synced.append((one, (path / "CURRENT").exists())), sync(one)))
    collection.save(path)
    before = [one for one, named in synced if not named]
    assert path.parent in before and path.parent.parent in before
    assert before.index(state_folder(path)) < before.index(path)
    assert synced[-1] == (path, True)


def test_two_do_not_save_to_one_folder_at_once(tmp_path, monkeypatch):
    one, other, inside, go_on = filled(), filled(), threading.Event(), threading.Event()
    write_parts = disk.write_parts

    def slow(*args):
        write_parts(*args)
        inside.set()
        assert go_on.wait(20)

    monkeypatch.setattr(disk, "write_parts", slow)
    thread = threading.Thread(target=one.save, args=(tmp_path,))
    thread.start()
    assert inside.wait(20)
    assert one.search(points(1), 3, ef=50).found == 3  # searches go on
    with pytest.raises(InputError, match="Another run is at work"):
        other.save(tmp_path)
    go_on.set()
    thread.join()
    assert content(Collection.load(tmp_path)) == content(one)


def test_a_full_disk_leaves_the_state_before(tmp_path, monkeypatch):
    collection = filled()
    collection.save(tmp_path)
    before = content(collection)
    collection.add(points(1), ["new"])

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    for name in ("write_parts", "_sync", "replacing"):
        with monkeypatch.context() as patched:
            patched.setattr(disk, name, full)
            with pytest.raises(OSError, match="No space left"):
                collection.save()
        assert content(Collection.load(tmp_path)) == before and collection.changed
        assert len(list(tmp_path.glob("state-*"))) == 1
    collection.save()
    assert "new" in Collection.load(tmp_path).ids()


def test_a_reader_that_loses_its_state_to_a_save_reads_the_new_one(tmp_path, monkeypatch):
    collection = filled()
    collection.save(tmp_path)
    read_parts, calls = disk.read_parts, []

    def overtaken(*args):
        calls.append(1)
        if len(calls) < 3:
            collection.add(points(1))
            collection.save()
        return read_parts(*args)

    monkeypatch.setattr(disk, "read_parts", overtaken)
    assert content(Collection.load(tmp_path)) == content(collection) and len(calls) == 3


def test_readers_and_a_writer_at_one_folder_at_once(tmp_path):
    """Each load gives a state that was saved: for each new point one is gone."""
    collection, done = filled(), threading.Event()
    collection.save(tmp_path)
    before = len(collection)

    def save():
        for number in range(40):
            collection.add(points(1), [f"new {number}"])
            collection.delete([250 + number])
            collection.save()
        done.set()

    thread = threading.Thread(target=save)
    thread.start()
    while not done.is_set():
        again = Collection.load(tmp_path)
        new = sum(str(one).startswith("new") for one in again.ids())
        assert len(again) == before
        assert not set(range(250, 250 + new)) & set(again.ids()) and (new == 40 or 250 + new in again.ids())
    thread.join()
    assert content(Collection.load(tmp_path)) == content(collection)


def test_what_a_killed_first_save_leaves_is_no_collection_and_no_hindrance(tmp_path):
    (tmp_path / "state-000001").mkdir()
    (tmp_path / "state-000001" / "vectors.npy").write_bytes(b"half")
    (tmp_path / ".part-CURRENT-x").write_bytes(b"")
    with pytest.raises(InputError, match="holds no collection"):
        Collection.load(tmp_path)
    collection = filled()
    collection.save(tmp_path)
    assert content(Collection.load(tmp_path)) == content(collection)
    assert sorted(one.name for one in tmp_path.iterdir()) == [".lock", "CURRENT", "state-000002"]


def test_a_whole_state_that_nothing_names_is_taken_up_and_never_removed_unasked(tmp_path):
    kept = filled()
    kept.save(tmp_path)
    (tmp_path / "CURRENT").unlink()
    (tmp_path / "state-000002").mkdir()
    (tmp_path / "state-000002" / "vectors.npy").write_bytes(b"half")
    with pytest.raises(InputError, match="holds another collection"):
        filled(seed=1).save(tmp_path)
    assert content(Collection.load(tmp_path)) == content(kept)
    with open_store(tmp_path) as store:
        assert content(store) == content(kept)
        store.delete(store.ids(0, 1))
        store.save()
        assert content(Collection.load(tmp_path)) == content(store)


NAMES = [
    "CURRENT", "collection.json", "deleted.npy", "graph.hnsw", "ids_are_text.npy", "ids_text.npy", "ids_text_ends.npy",
    "ids_whole.npy", "metadata.jsonl", "vectors.npy",
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A collection's folder, and its files in it."""
    path = tmp_path_factory.mktemp("whole")
    filled().save(path)
    return path, [one.relative_to(path) for one in sorted(path.rglob("*")) if one.is_file() and one.name != ".lock"]


def test_the_form_has_these_files(whole):
    assert [one.name for one in whole[1]] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_damage_to_any_file_is_told_in_a_sentence(whole, name, tmp_path):
    path = tmp_path / "kept"
    shutil.copytree(whole[0], path)
    file = next(path / one for one in whole[1] if one.name == name)
    data, generator = file.read_bytes(), np.random.default_rng(NAMES.index(name))
    harms = {"empty": b"", "half": data[: len(data) // 2], "longer": data + b"\0", "text": b"not this"}
    for row, at in enumerate(generator.integers(len(data), size=8)):
        harms[f"bit {row}"] = data[:at] + bytes([data[at] ^ 1 << generator.integers(8)]) + data[at + 1 :]
    for harmed in harms.values():
        file.write_bytes(harmed)
        with pytest.raises(InputError, match=str(path)) as told:
            Collection.load(path)
        assert name in str(told.value) and "\n" not in str(told.value)
    file.unlink()
    if name == "CURRENT":
        assert content(Collection.load(path)) == content(Collection.load(whole[0]))
    else:
        with pytest.raises(InputError, match=r"is missing|holds no collection"):
            Collection.load(path)
    file.mkdir()
    with pytest.raises(InputError, match=name):
        Collection.load(path)
    file.rmdir()
    for other in whole[1]:
        if other.name != name:
            shutil.copy(path / other, file)
            with pytest.raises(InputError, match=name):
                Collection.load(path)
    file.write_bytes(data)
    assert len(Collection.load(path)) == 261


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("CURRENT", "collection.json")])
def test_files_that_do_not_fit_together_are_refused_whatever_their_checksums(whole, name, tmp_path):
    path = tmp_path / "kept"
    shutil.copytree(whole[0], path)
    file = state_folder(path) / name
    data = file.read_bytes()
    others = [b"", data[:-1] if name != "metadata.jsonl" else data[:-20], b"{", pickle.dumps([1, 2])]
    if name.endswith(".npy"):
        array = np.load(file)
        for wrong in (array[:-1], array.astype("f8"), np.array([{}], dtype=object), array[None]):
            np.save(file, wrong)
            others.append(file.read_bytes())
    for wrong in others:
        file.write_bytes(wrong)
        sealed(path)
        with pytest.raises(InputError, match="is damaged"):
            Collection.load(path)
    file.write_bytes(data)
    sealed(path)
    assert len(Collection.load(path)) == 261


def test_no_file_is_a_pickle(whole):
    path, names = whole
    for one in names:
        if one.suffix == ".npy":
            np.load(path / one, allow_pickle=False)
        with (path / one).open("rb") as stream, pytest.raises((pickle.UnpicklingError, EOFError, ValueError, KeyError)):
            pickle.load(stream)


def test_what_is_not_a_collection_is_told(tmp_path):
    with pytest.raises(InputError, match="holds no collection; its file CURRENT is missing"):
        Collection.load(tmp_path)
    with pytest.raises(InputError, match="holds no collection"):
        Collection.load(tmp_path / "nowhere")
    (tmp_path / "CURRENT").write_text("MANIFEST-000004\n")
    for said in ("MANIFEST-000004\n", f"state-../../etc {'0' * 64}\n", "é"):
        (tmp_path / "CURRENT").write_text(said)
        with pytest.raises(InputError, match="is no collection or damaged"):
            Collection.load(tmp_path)
    (tmp_path / "CURRENT").unlink()
    (tmp_path / "CURRENT").mkdir()
    with pytest.raises(InputError, match="is no collection or damaged"):
        Collection.load(tmp_path)


def test_a_newer_format_asks_for_a_newer_version(tmp_path):
    filled().save(tmp_path)
    file = state_folder(tmp_path) / "collection.json"
    about = json.loads(file.read_text())
    file.write_text(json.dumps(about | {"format": disk.FORMAT + 1}))
    (tmp_path / "CURRENT").write_text(f"{file.parent.name} {sha256(file)}\n")
    with pytest.raises(InputError, match="a newer version is needed"):
        Collection.load(tmp_path)
    del about["chosen"]
    file.write_text(json.dumps(about))
    (tmp_path / "CURRENT").write_text(f"{file.parent.name} {sha256(file)}\n")
    with pytest.raises(InputError, match="does not say chosen"):
        Collection.load(tmp_path)


KILLS = 50


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kill -9 of a forked process")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_kill_at_any_moment_leaves_the_old_state_or_the_new_one(tmp_path):
    """50 kills of a process that saves, at moments drawn over twice the time that a save seems to take just now."""
    base = Collection()
    base.add(points(1_000, 16), range(1_000))
    base.save(tmp_path)
    began = time.perf_counter()
    base.save()
    lasts = time.perf_counter() - began
    seen = {"old": 0, "new": 0, "two states": 0}
    for number, moment in enumerate(np.random.default_rng(0).uniform(0, 2, KILLS)):
        collection = Collection.load(tmp_path)
        old = content(collection)
        collection.add(points(3, 16, seed=number), [f"new {number} {row}" for row in range(3)])
        collection.delete(old[0][:2])
        new = content(collection)
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.write(writing, b"!")
            collection.save()
            signal.pause()
        os.read(reading, 1)
        time.sleep(moment * lasts)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)
        seen["two states"] += len(list(tmp_path.glob("state-*"))) > 1
        found = content(Collection.load(tmp_path))
        assert found in (old, new)
        seen["old" if found == old else "new"] += 1
        if (found == new) != (moment > 1):  # saves take longer, or less long, than it seemed
            lasts *= 1.3 if found == old else 1 / 1.3
    assert min(seen.values()) > 0, seen  # kills fell before the moment that counts, after it, and between files
    Collection.load(tmp_path).save()
    assert len(list(tmp_path.iterdir())) == 3  # what killed processes left is gone
