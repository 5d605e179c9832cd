"""A service in a process of its own, as users start it, over a small collection of pictures."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from neighborhood_drift import Collection

SIDE, POINTS, CLASSES = 4, 240, 3
TOKEN = "a-token-of-the-tests"
LONGEST = 60  # seconds until a service has started or stopped, on a busy machine


def signals_as_at_a_terminal():
    """Heed SIGINT and SIGHUP, which whoever runs the tests in the background may have us ignore."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)


def pictured(folder, points=POINTS) -> Path:
    """Save a collection of random gray pictures, with their files and labels, below ``folder``; returns its place."""
    files, place = Path(folder) / "pictures", Path(folder) / "collection"
    files.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (points, SIDE, SIDE), dtype=np.uint8)
    names = [files / f"{row}.png" for row in range(points)]
    for name, one in zip(names, pixels, strict=True):
        Image.fromarray(one).save(name)
    encoder = {"name": "pixels", "size": [SIDE, SIDE], "mode": "L"}
    collection = Collection(SIDE * SIDE, encoder=encoder, M=8, ef_construction=40, ef=20)
    about = [{"label": f"class {row % CLASSES}", "image": str(name)} for row, name in enumerate(names)]
    collection.add(pixels.reshape(points, -1) / np.float32(255), metadata=about)
    collection.save(place)
    return place


class Service:
    """The command ``serve`` at a free port; its address, and what it says."""

    def __init__(self, folder, *words, log):
        self.folder, self.log = Path(folder), Path(log)
        environment = {name: value for name, value in os.environ.items() if name != "NEIGHBORHOOD_DRIFT_TOKEN"}
        command = [sys.executable, "-m", "neighborhood_drift", "serve", str(folder), "--port", "0", *words]
        with self.log.open("w", encoding="utf-8") as said:
            heed = signals_as_at_a_terminal if os.name == "posix" else None
            self.process = subprocess.Popen(command, stderr=said, stdout=said, env=environment, preexec_fn=heed)
        self.port = self._port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, timeout=LONGEST)

    def _port(self) -> int:
        ends = time.monotonic() + LONGEST
        while time.monotonic() < ends:
            found = re.search(r"points at http://[^ ]*:(\d+)/", self.said())
            if found:
                return int(found.group(1))
            assert self.process.poll() is None, self.said()
            time.sleep(0.05)
        self.process.kill()
        raise AssertionError(f"the service did not start: {self.said()}")

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def post(self, path, body=None, **more):
        return self.http.post(path, json=body, **more)

    def stop(self) -> int:
        """End it as Ctrl-C in a terminal or a supervisor does; returns its exit status."""
        self.http.close()
        self.process.terminate()
        return self.process.wait(LONGEST)
