"""Closed-loop HTTP clients: each sends its next request once the last one is answered. It imports nothing heavy."""

from __future__ import annotations

import http.client
import multiprocessing
import threading
import time
from concurrent.futures import ProcessPoolExecutor

PROCESSES = 2  # clients are threads of so many processes, which themselves need processor time
WARM_UP = 1.0  # seconds that are not counted
HEADERS = {"Content-Type": "application/json"}


def load(
    address: tuple[str, int], requests, clients: int, seconds: float, pause: float = 0.0
) -> tuple[list[float], int, float]:
    """Send requests from many clients at once.

    Parameters
    ----------
    address : (str, int)
        Host and port.
    requests : list of (path, body)
        Sent by POST in turn, each client beginning at another one; bodies are bytes of JSON.
    clients : int
    seconds : float
        How long, after a warm-up that is not counted.
    pause : float
        Seconds that a client waits after an answer.

    Returns
    -------
    latencies : list of float
        Seconds from the first byte sent to the last one read, of the requests that were begun and answered in time.
    errors : int
        Answers with another status than 200, and broken connections, the warm-up's included.
    seconds : float
    """
    shares = [clients // PROCESSES + (i < clients % PROCESSES) for i in range(min(PROCESSES, clients))]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(shares), mp_context=context) as pool:
        list(pool.map(time.sleep, [0.2] * len(shares)))  # both processes are there before the clock starts
        begin = time.time() + 0.3
        jobs = [
            pool.submit(_process, address, requests, share, begin, seconds, pause, sum(shares[:at]))
            for at, share in enumerate(shares)
        ]
        parts = [job.result() for job in jobs]
    return [one for latencies, _ in parts for one in latencies], sum(errors for _, errors in parts), seconds


def first_turn(number: int) -> int:
    """The request that a client begins with, far from those of others: side by side they would ask the same at once.

    >>> len({first_turn(number) % 1000 for number in range(32)})
    32
    """
    return number * 7919


def _process(address, requests, count, begin, seconds, pause, offset):
    results = [([], [0]) for _ in range(count)]
    threads = [
        threading.Thread(target=_client, args=(address, requests, begin, seconds, pause, offset + i, *results[i]))
        for i in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [one for latencies, _ in results for one in latencies], sum(errors[0] for _, errors in results)


def _client(address, requests, begin, seconds, pause, number, latencies, errors):
    connection = http.client.HTTPConnection(*address, timeout=60)
    time.sleep(max(0.0, begin - time.time()))
    counted, ends = begin + WARM_UP, begin + WARM_UP + seconds
    turn = first_turn(number)
    while (now := time.time()) < ends:
        path, body = requests[turn % len(requests)]
        turn += 1
        started = time.perf_counter()
        try:
            connection.request("POST", path, body=body, headers=HEADERS)
            answer = connection.getresponse()
            answer.read()
            failed = answer.status != 200
        except (OSError, http.client.HTTPException):
            connection.close()
            failed = True
        took = time.perf_counter() - started
        errors[0] += failed
        if not failed and now >= counted and now + took <= ends:
            latencies.append(took)
        time.sleep(pause)
    connection.close()
