"""The picture of the search page in README: `python benchmarks/screenshot.py report/published/page.png`.

It starts the service on the bundled sample as `make serve` does, asks for the neighbors of the points that the page
offers first, and shows the one whose two lists differ as much as they do in the median. The picture has 256 colors.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from PIL import Image
from playwright.sync_api import sync_playwright

VIEW = {"k": 24, "ef": 10, "rule": "stays"}
OFFERED = 30  # points that the page shows first
WIDTH, HEIGHT = 1280, 900
START_SECONDS = 600


@contextmanager
def serving():
    """The service on the bundled sample, in a process of its own; yields its address."""
    command = [sys.executable, "-m", "neighborhood_drift", "serve", "--read-only", "--engines", "--port", "0"]
    # appended to: the two share one position in the file, which reading moves
    with TemporaryFile("a+") as said, subprocess.Popen(command, stderr=said) as process:
        try:
            yield _address(said, process)
        finally:
            process.terminate()


def _address(said, process) -> str:
    """Where the service says that it listens."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        said.seek(0)
        text = said.read()
        if found := re.search(r"http://127\.0\.0\.1:\d+", text):
            return found[0]
        if process.poll() is not None:
            raise SystemExit(f"The service stopped with status {process.returncode}:\n{text}")
        time.sleep(0.1)
    raise SystemExit(f"The service did not listen within {START_SECONDS} seconds.")


def overlap(address: str, point: int) -> float:
    """Overlap of the two lists of a point, once the service has what it searches."""
    body = json.dumps({"id": point, "compare": True} | VIEW).encode()
    request = Request(f"{address}/search", body, {"Content-Type": "application/json"})
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urlopen(request) as answer:
                return json.load(answer)["overlap"]
        except URLError as error:
            waits = not isinstance(error, HTTPError) or error.code == 503
            if not waits or time.monotonic() > deadline:
                raise
            time.sleep(1)


def picture(address: str) -> bytes:
    """The page, as a PNG file."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    # Chromium's sandbox refuses to run as root, as in a container.
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(address)
        page.wait_for_selector("#lists[aria-busy=false]:not([hidden])")
        height = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": WIDTH, "height": height})  # pictures further down are loaded when in sight
        page.wait_for_load_state("networkidle")
        print(page.inner_text("#query"), page.inner_text("#overlap"), sep=": ")
        shot = page.screenshot()
        browser.close()
    return shot


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("python benchmarks/screenshot.py FILE.png")
    with serving() as service:
        found = sorted((overlap(service, point), point) for point in range(OFFERED))
        middle, chosen = found[len(found) // 2]
        print(f"overlap of {OFFERED} points: {found[0][0]:.3f} to {found[-1][0]:.3f}, median {middle:.3f}")
        shot = picture(f"{service}/#{urlencode({'id': chosen} | VIEW)}")
    colors = Image.open(io.BytesIO(shot)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    colors.save(sys.argv[1], optimize=True)
    print(f"{sys.argv[1]}: {Path(sys.argv[1]).stat().st_size / 1024:.0f} KiB")
