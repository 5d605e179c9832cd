"""One process that serves one store: it listens, saves what changed now and then, and stops in order."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from ...checks import InputError
from .limits import BACKGROUND
from .state import State

log = logging.getLogger("neighborhood_drift.service")
GRACE = 30  # seconds that running requests get at the end


class Server(uvicorn.Server):
    """uvicorn, where the first signal saves and finishes what runs, and a second one stops at once."""

    def __init__(self, config: uvicorn.Config, stopped: threading.Event):
        super().__init__(config)
        self._stopped = stopped

    def handle_exit(self, sig, frame):
        """Note that the server has to stop."""
        if self.should_exit:
            os._exit(128 + sig)  # a save that is cut off leaves the old state
        self.should_exit = True
        self._stopped.set()


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens, at a free port for port 0.

    Raises
    ------
    InputError
        If the address is another machine's, or the port is taken.

    Examples
    --------
    >>> with listening("127.0.0.1", 0) as free:
    ...     free.getsockname()[1] > 0
    True
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # elsewhere the option would let two servers share a port
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(address)
            opened.listen(2048)
        except OSError:
            opened.close()
            raise
    except OSError as error:
        raise InputError(f"port {port} of {host} cannot be listened at ({error.strerror}); choose another.") from None
    return opened


def serve(app, opened: socket.socket, *, keep: bool, every: float, say: Callable[[str], None]) -> None:
    """Serve until a signal comes; then save what changed, finish what runs, and save what that changed.

    Parameters
    ----------
    app : FastAPI
        Of `create_app`.
    opened : socket
        Where it listens.
    keep : bool
        Whether changes are saved.
    every : float
        Seconds between two saves of what changed meanwhile; 0: only at the end.
    say : callable
        Gets a line for people.

    Raises
    ------
    InputError
        If the save at the end is refused by the disk, or because another process has saved there since; in that case
        what changed is saved beside it, in a folder that the sentence names.
    """
    state: State = app.state.service
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=GRACE, ws="none")
    stopped = threading.Event()
    saving = threading.Thread(target=_save_now_and_then, args=(state, every, stopped, say), name="saves", daemon=True)
    if keep:
        saving.start()
    running = Server(config, stopped)
    with _hang_up(running):
        running.run(sockets=[opened])
    stopped.set()
    try:
        if keep:
            saving.join()
            _save_at_the_end(state, say)
    finally:
        state.store.close()
    leave()


@contextmanager
def _hang_up(running: Server) -> Iterator[None]:
    """Take the end of a terminal as SIGTERM, except where it is ignored, as under nohup."""
    before = getattr(signal, "SIGHUP", None) and signal.getsignal(signal.SIGHUP)
    if before in (None, signal.SIG_IGN) or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGHUP, running.handle_exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _save_at_the_end(state: State, say: Callable[[str], None]) -> None:
    """Save what changed, or else keep it beside the place where another process has saved."""
    try:
        if state.unsaved:
            state.save()
            say("what changed is saved")
    except OSError as error:
        raise InputError(f"what changed since the last save is lost: {error}") from error
    except InputError as error:
        path = state.store.info().get("path")
        if path is None:
            raise InputError(f"what changed since the last save is lost: {error}") from error
        beside = f"{path}.unsaved-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        try:
            state.store.save(beside)
        except (InputError, OSError) as another:
            raise InputError(f"what changed since the last save is lost: {error} {another}") from another
        raise InputError(f"{error} What this service has is saved in {beside}.") from error


def leave() -> None:
    """End the process where a library still works in the background: torn down by Python, it would abort."""
    if any(thread.name.startswith(BACKGROUND) for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _save_now_and_then(state: State, every: float, stopped: threading.Event, say: Callable[[str], None]) -> None:
    """Save so often, and at once when the service is told to stop: what still runs may take longer than it is given."""
    last = False
    while not last:
        last = stopped.wait(every or None)
        try:
            if state.unsaved:
                state.save()
                if last:
                    say("what changed so far is saved")
        except (InputError, OSError) as error:
            log.error("not saved, the next save tries again: %s", error)
