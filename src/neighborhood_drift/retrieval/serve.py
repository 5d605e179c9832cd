"""The command ``serve``: the search service and its page over a collection, by default the bundled sample."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..checks import InputError, whole_number

SAMPLE = "cifar10-resnet50"
TOKEN = "NEIGHBORHOOD_DRIFT_TOKEN"


def serve(
    location: Annotated[
        str | None,
        typer.Argument(
            help="The collection: a folder, or another store's address. Changes are kept there.  [default: none, "
            "a data set is served from memory]"
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"Without a location: vectors, by name or path.  [default: {SAMPLE}]"),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", metavar="FOLDER", help="Data sets that are not bundled, such as fashion-mnist/."),
    ] = None,
    points: Annotated[int, typer.Option(help="Without a location: the first points of the data; 0: all.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0: from every machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0: a free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(envvar=TOKEN, help="What changes must show, as Authorization: Bearer TOKEN; best by variable."),
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Take no changes.")] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="A name by which browsers ask for it; repeatable."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Weights of the encoder, where they are not at hand.")
    ] = None,
    save_every: Annotated[
        float, typer.Option(metavar="SECONDS", help="Save what changed so often; 0: only at the end.")
    ] = 60,
    engines: Annotated[
        bool, typer.Option("--engines", help="Build FAISS's graph at the start, not at the first search for it.")
    ] = False,
) -> None:
    """Serve a collection: a page to search it, and an API.

    Stop it with Ctrl-C (SIGINT) or SIGTERM: running requests are finished, changes are saved.
    """
    whole_number(port, "port", 0, 65_535)
    if location is not None and (data is not None or data_dir is not None or points):
        raise InputError("a location is given, and data too; a service has one collection: name one of them.")
    if token is not None and (not token.isascii() or not token.isprintable() or not token.strip()):
        raise InputError("the token is empty or has characters that no header takes; use printable ASCII.")
    try:
        from .service.app import create_app
        from .service.guard import is_loopback
        from .service.server import listening
        from .service.server import serve as run
    except ImportError as error:
        raise InputError(
            f"the service needs the package {error.name}, which is missing; in a clone: pip install -e '.[serve]'."
        ) from error
    logging.basicConfig(format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("neighborhood_drift.service").setLevel(logging.INFO)
    with listening(host, port) as opened:
        store, thumbnails = _opened(location, data, data_dir, points)
        hosts = (host, *(allow_host or ()))
        app = create_app(store, thumbnails, token=token, read_only=read_only, hosts=hosts, weights=weights)
        app.state.service.warm_up()
        if engines:
            app.state.service.engines.prepare()
        if not is_loopback(host) and token is None and not read_only:
            _say("Warning: other machines can change this collection; set a --token, or --read-only.")
        if location is None and not read_only:
            _say("Changes stay in memory and end with the service; name a location to keep them.")
        name = f"[{host}]" if ":" in host else host
        _say(f"{store.count():,} points at http://{name}:{opened.getsockname()[1]}/, its API at /docs; Ctrl-C stops it")
        run(app, opened, keep=location is not None and not read_only, every=save_every, say=_say)


def _opened(location, data, data_dir, points):
    if location is None:
        from .bundled import sample_collection

        store, thumbnails, _ = sample_collection(data or SAMPLE, points=points, data_dir=data_dir, progress=True)
        return store, thumbnails
    from .opening import open_store
    from .pictures import Thumbnails

    store = open_store(location, create=False)
    return store, Thumbnails(store)


def _say(line: str) -> None:
    typer.echo(line, err=True)
    sys.stderr.flush()
