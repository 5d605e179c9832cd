"""A notebook opened and saved through a real JupyterLab server, as `make lab` starts it, keeps its pair in sync."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from notebook_rules import out_of_sync

ROOT = Path(__file__).parents[1]
START_SECONDS = 60
TOKEN = "only-for-this-test"


def ask(url: str, body: dict | None = None) -> dict:
    """GET ``url``, or PUT ``body`` there, and return the JSON of the answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
    with urlopen(Request(url, data, headers, method="PUT" if body else "GET"), timeout=30) as answer:
        return json.load(answer)


@contextmanager
def jupyterlab(folder: Path):
    """A JupyterLab server over ``folder``; yields the address of its contents."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}"]
    command += [f"--ServerApp.root_dir={folder}"]
    # Settings of the person who runs the tests stay out of it, and what the server writes goes with the folder.
    own = {name: str(folder / ".jupyter") for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    log = folder / "server.log"
    with log.open("w") as stream:
        server = subprocess.Popen(command, cwd=folder, env=os.environ | own, stdout=stream, stderr=subprocess.STDOUT)
    try:
        address = f"http://127.0.0.1:{port}/api"
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                ask(f"{address}/status")
                break
            except (URLError, ConnectionError):
                assert server.poll() is None, f"the server stopped:\n{log.read_text(encoding='utf-8')}"
                assert time.monotonic() < deadline, (
                    f"no answer after {START_SECONDS} s:\n{log.read_text(encoding='utf-8')}"
                )
                time.sleep(0.2)
        yield f"{address}/contents"
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A folder with a copy of the first pair and the project's pairing rules, and a server over it."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "notebooks").mkdir()
    shutil.copy(ROOT / "jupytext.toml", folder)
    first = min((ROOT / "notebooks").glob("*.ipynb"))
    for path in (first, first.with_suffix(".py")):
        shutil.copy(path, folder / "notebooks")
    pair = folder / "notebooks" / first.name
    with jupyterlab(folder) as contents:
        yield pair, f"{contents}/notebooks/{pair.name}"


def changed_later(path: Path) -> None:
    """Make ``path`` look as if it had been written ten seconds from now."""
    os.utime(path, (time.time() + 10,) * 2)


def test_pair_opens_whichever_file_a_clone_wrote_last(server):
    pair, address = server
    for newer in (pair, pair.with_suffix(".py")):
        changed_later(newer)
        assert ask(f"{address}?content=1")["content"]["cells"]
        os.utime(newer)


def test_saving_the_notebook_writes_its_pair(server):
    pair, address = server
    opened = ask(f"{address}?content=1")
    opened["content"]["cells"][0]["source"] += "\n\nA sentence typed in JupyterLab."
    ask(address, {name: opened[name] for name in ("type", "format", "content")})
    assert "A sentence typed in JupyterLab." in pair.with_suffix(".py").read_text(encoding="utf-8")
    assert out_of_sync(pair) == []


def test_editing_the_pair_changes_the_notebook_and_keeps_its_outputs(server):
    pair, address = server
    source = pair.with_suffix(".py")
    before = ask(f"{address}?content=1")["content"]["cells"]
    source.write_text(source.read_text(encoding="utf-8") + "\n# A sentence typed in an editor.\n", encoding="utf-8")
    changed_later(source)
    after = ask(f"{address}?content=1")["content"]["cells"]
    assert after[-1]["source"].endswith("A sentence typed in an editor.")
    assert [cell.get("outputs") for cell in after] == [cell.get("outputs") for cell in before]
