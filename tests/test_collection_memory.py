"""What a collection holds in memory after many compactions, in a process of its own."""

import ctypes
import json
import os
import subprocess
import sys

import pytest

COMPACTING = """
import json, sys, threading
import numpy as np, psutil
from neighborhood_drift.retrieval import Collection, compacting

if sys.argv[1] == "kept":
    compacting._give_back = lambda old: None
base = np.random.default_rng(0).random((5_000, 784), dtype=np.float32)  # 16 MB: no pages of their own to the library
collection, held = Collection(M=4, ef_construction=4, ef=4), []
collection.add(base)

def change(name):
    ids = [f"{name} {row}" for row in range(4)]
    collection.add(base[:4], ids)
    collection.delete(ids)

for turn in range(8):
    threads = [threading.Thread(target=change, args=(f"{turn} {one}",)) for one in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    collection.compact(background=True)
    collection.wait()
    held.append(psutil.Process().memory_info().rss / 2**20)
print(json.dumps(held))
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="a C library that can give back"
)
def test_compactions_give_back_the_memory_of_the_graphs_before():
    """Twice, beside the same work without giving back: what a run keeps differs by a graph or two between runs.

    Eight runs of each kind, two at a time on two cores, grew by 11 to 42 MiB and by 97 to 146 MiB.
    """
    grown = {"given": 0.0, "kept": 0.0}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    for what in 2 * list(grown):
        command = [sys.executable, "-c", COMPACTING, what]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        held = json.loads(done.stdout)
        grown[what] += max(held) - held[0]
    assert grown["given"] < 0.6 * grown["kept"], grown
