"""Where the work goes: worker processes of this machine, started and ended here, or a scheduler that somebody runs.

A script that starts workers does so below the guard, since each worker begins by reading the script::

    if __name__ == "__main__":
        found = cluster.neighbors("mine.npy", k=100)
"""

from __future__ import annotations

import logging
import multiprocessing
import tempfile
from contextlib import contextmanager

import dask
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster

from ..checks import InputError, whole_number

HERE = "127.0.0.1"  # local workers and their scheduler are heard on this machine alone
PATIENCE = 20  # seconds until a scheduler that does not answer, or has no worker, is given up
_SILENT = logging.CRITICAL
# How many threads the libraries take that a block runs through, set before a worker loads them.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_SPAWN = "distributed.nanny.pre-spawn-environ"


class ClusterError(RuntimeError):
    """The workers could not do the work although the input was sound."""


@contextmanager
def connected(scheduler: str | None = None, workers: int | None = None):
    """Yield a Dask client: of a user's scheduler, or of worker processes that live as long as the block.

    Parameters
    ----------
    scheduler : str, optional
        Address of a running scheduler, such as ``tcp://10.0.0.5:8786``. Its workers need this package, and see files
        under the same paths. They are left as they are.
    workers : int, optional
        Without a scheduler: processes of this machine, by default one a core; cores that are left are shared among
        them as threads. They listen on the loopback device alone, have no dashboard, and end with the block.

    Raises
    ------
    InputError
        If both are given, no scheduler answers, or it has no workers.
    ClusterError
        If its workers lack this package, or processes could not be started, as in a script without the guard
        ``if __name__ == "__main__":`` (see this module).

    Examples
    --------
    >>> with connected("tcp://127.0.0.1:8786", workers=2):
    ...     pass
    Traceback (most recent call last):
    neighborhood_drift.checks.InputError: both a scheduler and a number of workers are given; a scheduler has its own.
    """
    if scheduler and workers is not None:
        raise InputError("both a scheduler and a number of workers are given; a scheduler has its own workers.")
    if scheduler:
        with _theirs(scheduler) as client:
            yield client
        return
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(1)  # a worker that reads a script without the guard; who started it tells
    workers = whole_number(CPU_COUNT if workers is None else workers, "number of workers", 1)
    threads = dict.fromkeys(_THREADS, str(max(1, CPU_COUNT // workers)))
    with (
        dask.config.set({_SPAWN: {**dask.config.get(_SPAWN, {}), **threads}}),
        tempfile.TemporaryDirectory(prefix="neighborhood-drift-") as scratch,
        _started(workers, scratch) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _started(workers: int, scratch: str) -> LocalCluster:
    try:
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host=HERE,
            dashboard_address=f"{HERE}:0",
            scheduler_kwargs={"dashboard": False},
            local_directory=scratch,
            silence_logs=_SILENT,
        )
    except RuntimeError as error:
        raise ClusterError(
            'the worker processes did not start; a script must start them below `if __name__ == "__main__":`, since '
            "each begins by reading the script."
        ) from error


@contextmanager
def _theirs(address: str):
    def has_package():  # within a function, so that its code travels: a name could not be looked up where it is absent
        import importlib.util

        return importlib.util.find_spec("neighborhood_drift") is not None

    try:
        client = Client(address, timeout=PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(
            f"no scheduler answers at {address}; give the address that `dask scheduler` prints, such as "
            "tcp://10.0.0.5:8786."
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            raise InputError(f"the scheduler at {address} has no workers; start some with `dask worker`.") from error
        lacking = [worker for worker, known in client.run(has_package).items() if not known]
        if lacking:
            raise ClusterError(f"{len(lacking)} workers lack neighborhood_drift, first {lacking[0]}; install it there.")
        yield client


def threads_of(client) -> int:
    """How many tasks the workers of ``client`` run at a time."""
    return max(1, sum(client.nthreads().values()))
