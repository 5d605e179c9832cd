"""Works of several threads are finished in order, and an error or an end leaves nothing behind."""

from concurrent.futures import ThreadPoolExecutor
from time import sleep

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from neighborhood_drift.exact import exact_neighbors
from neighborhood_drift.turns import _BLAS, InTurn


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_works_that_share_a_key_are_finished_in_the_order_they_were_begun(workers):
    generator = np.random.default_rng(workers)
    begun, done = {key: [] for key in range(4)}, {key: [] for key in range(4)}

    def first(number, wait):
        sleep(wait)
        return number

    with InTurn(workers) as turns:
        for number in range(60):
            keys = set(generator.choice(4, generator.integers(1, 4), replace=False).tolist())
            for key in keys:
                begun[key].append(number)

            def second(made, keys=keys):
                for key in keys:
                    done[key].append(made)

            wait = float(generator.choice([0.0, 0.003]))
            turns.begin(lambda number=number, wait=wait: first(number, wait), second, keys)
    assert done == begun


def test_blas_has_one_thread_meanwhile_and_its_own_afterwards():
    before, inside = blas_threads(), []
    with InTurn(2) as turns:
        turns.begin(blas_threads, inside.append, {0})
    assert inside == [[1] * len(before)] and blas_threads() == before and not _BLAS.locked()


@pytest.mark.parametrize("step", ["first", "second", "outside"])
def test_an_error_is_raised_and_what_waits_is_dropped(step):
    def fail(_=None):
        raise ArithmeticError("lost")

    before, done = blas_threads(), []
    with pytest.raises(ArithmeticError, match="lost"), InTurn(2) as turns:
        turns.begin(fail if step == "first" else dict, fail if step == "second" else done.append, {0})
        if step == "outside":
            fail()
        for _ in range(100):
            turns.begin(dict, done.append, {0})
    assert len(done) <= 1 and blas_threads() == before and not _BLAS.locked()


def test_searches_at_once_do_not_disturb_each_other():
    before, base = blas_threads(), np.random.default_rng(0).normal(size=(1500, 8)).astype(np.float32)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda k: exact_neighbors(base, k=k, block=200).ids, [3, 5, 7, 9]))
    assert all((ids == found[-1][:, : ids.shape[1]]).all() for ids in found) and blas_threads() == before
