"""One process that serves one store: it listens, saves what changed now and then, and stops in order."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from collections.abc import Callable

import uvicorn

from ...checks import InputError
from .limits import BACKGROUND
from .state import State

log = logging.getLogger("neighborhood_drift.service")
GRACE = 30  # seconds that running requests get at the end


class Server(uvicorn.Server):
    """uvicorn, where the first signal finishes what runs, and a second one stops at once."""

    def handle_exit(self, sig, frame):
        """Note that the server has to stop."""
        if self.should_exit:
            os._exit(128 + sig)  # a save that is cut off leaves the old state
        self.should_exit = True


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
    """Serve until a signal comes; then finish what runs, and save what changed.

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
        If the save at the end is refused, by the disk or because another process has saved there since.
    """
    state: State = app.state.service
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=GRACE, ws="none")
    stopped = threading.Event()
    saving = threading.Thread(target=_save_now_and_then, args=(state, every, stopped), name="saves", daemon=True)
    if keep and every > 0:
        saving.start()
    Server(config).run(sockets=[opened])
    stopped.set()
    if saving.is_alive():
        saving.join()
    try:
        if keep and state.changes:
            state.save()
            say("what changed is saved")
    except (InputError, OSError) as error:
        raise InputError(f"what changed since the last save is lost: {error}") from error
    finally:
        state.store.close()
    leave()


def leave() -> None:
    """End the process where a library still works in the background: torn down by Python, it would abort."""
    if any(thread.name.startswith(BACKGROUND) for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _save_now_and_then(state: State, every: float, stopped: threading.Event) -> None:
    while not stopped.wait(every):
        if state.changes:
            try:
                state.save()
            except (InputError, OSError) as error:
                log.error("not saved, the next save tries again: %s", error)
