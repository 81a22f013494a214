"""`entrepotd serve`: one command from a folder to a hub that answers."""

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import socket

import click

from entrepot.assembly import assemble, prepare
from entrepot.daemon.console import say
from entrepot.daemon.desk import Desk, note_served, read_served
from entrepot.daemon.listening import open_listener, raise_descriptor_limit
from entrepot.daemon.options import hub_command, remember
from entrepot.daemon.sandbox import load_world, refuse_mixing
from entrepot.daemon.sole import sole_server
from entrepot.daemon.supervisor import Role, Supervisor
from entrepot.daemon.work import worker_role
from entrepot.kit import log
from entrepot.settings import Settings

GRACE_SECONDS_MAX = 3600
_METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_METRICS_PREFIX = "entrepot-metrics-"


@click.command()
@click.option(
    "--bind",
    metavar="HOST:PORT",
    expose_value=False,
    callback=remember("bind"),
    help="Where to listen; port 0: any free one.  [default: ENTREPOT_BIND, else 127.0.0.1:8080]",
)
@click.option(
    "--public-url",
    metavar="URL",
    expose_value=False,
    callback=remember("public_url"),
    help="The address that people and programs use.  [default: ENTREPOT_PUBLIC_URL]",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
    expose_value=False,
    callback=remember("web_processes"),
    help="Web processes.  [default: ENTREPOT_WEB_PROCESSES, else one per core]",
)
@click.option(
    "--workers",
    type=click.IntRange(0, 64),
    expose_value=False,
    callback=remember("workers"),
    help="Workers beside them, which convert and pack orders.  [default: ENTREPOT_WORKERS, else 1]",
)
@click.option(
    "--sandbox",
    is_flag=True,
    expose_value=False,
    callback=remember("sandbox"),
    help="Load a sample world, with its generated secrets readable in --data.",
)
@click.option(
    "--grace",
    "grace_seconds",
    type=click.IntRange(0, GRACE_SECONDS_MAX),
    metavar="SECONDS",
    default=30,
    show_default=True,
    help="Time that running downloads have to end after SIGTERM or Ctrl-C.",
)
@hub_command
def serve(desk: Desk, grace_seconds: int) -> int:
    """Serve the hub in the folder --data until SIGTERM or Ctrl-C.

    Brings the database up to date first. Prints one line with the address once requests are
    answered. A web process that dies is replaced.
    """
    if desk.told("sandbox").lower() in ("1", "true", "yes", "on"):
        desk.make_secret()
    listener, settings = open_listener(desk)
    with listener:
        log.configure(settings.log_level, form=settings.log_format)
        for chatty in ("alembic", "uvicorn"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
        raise_descriptor_limit()
        with sole_server(settings.data):
            return _serve(settings, listener, grace_seconds)


def _serve(settings: Settings, listener: socket, grace_seconds: int) -> int:
    refuse_mixing(settings.data, sandbox=settings.sandbox)
    prepare(settings)
    _open_once(settings)
    with _shared_metrics(settings) as folder:
        note_served(settings, metrics=str(folder or ""))
        return _supervise(settings, listener, grace_seconds)


def _open_once(settings: Settings) -> None:
    """Find out here what would stop every web process, and fill a sandbox."""
    hub = assemble(settings)
    try:
        hub.keys.current.import_keys()  # the processes that are forked from this one share them
        if settings.sandbox:
            load_world(hub, settings.data)
            refuse_mixing(settings.data, sandbox=True, made=True)
    finally:
        hub.close()


@contextmanager
def _shared_metrics(settings: Settings) -> Iterator[Path | None]:
    """A folder where the processes add up their counters; one alone needs none.

    It lies in memory where that is possible: a counter mapped to a full disk would kill its
    process.
    """
    left = Path(str(read_served(settings.data).get("metrics", "")))
    if left.name.startswith(_METRICS_PREFIX):
        shutil.rmtree(left, ignore_errors=True)
    if settings.web_processes == 1:
        os.environ.pop(_METRICS_VARIABLE, None)
        yield None
        return
    memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a private folder in it
    place = memory if memory.is_dir() and os.access(memory, os.W_OK) else settings.data
    folder = Path(tempfile.mkdtemp(prefix=_METRICS_PREFIX, dir=place))
    os.environ[_METRICS_VARIABLE] = str(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _supervise(settings: Settings, listener: socket, grace_seconds: int) -> int:
    # Imported late: what counts requests looks at the environment when it is loaded.
    from entrepot.daemon.web_process import serve_requests
    from entrepot.web.http.metrics import forget_process

    _pass_on(settings)

    def child(ready: int, lifeline: int) -> int:
        from entrepot.daemon.app import report

        try:
            return serve_requests(
                settings, listener, ready=ready, lifeline=lifeline, grace_seconds=grace_seconds
            )
        except Exception as error:
            logging.getLogger(__name__).debug("web process cannot start", exc_info=error)
            return report(error)

    roles = [Role("web", child, settings.web_processes)]
    if settings.workers:
        roles.append(worker_role(settings, settings.workers, vital=False))
    farewell = f"Stopping: running downloads have {grace_seconds} s. Again: stop now."
    supervisor = Supervisor(roles, grace_seconds, listener, farewell, on_death=forget_process)
    return supervisor.run(lambda: _announce(settings))


def _pass_on(settings: Settings) -> None:
    """Put what was told on the command line into the environment of the web processes."""
    told = {
        "DATA": str(settings.data),
        "BIND": str(settings.bind),
        "PUBLIC_URL": settings.public_url,
        "WEB_PROCESSES": str(settings.web_processes),
        "WORKERS": str(settings.workers),
        "SANDBOX": "on" if settings.sandbox else "off",
    }
    if settings.secret_key_file is not None:
        told["SECRET_KEY_FILE"] = str(settings.secret_key_file)
    os.environ.update({f"ENTREPOT_{name}": value for name, value in told.items()})


def _announce(settings: Settings) -> None:
    bound = str(settings.bind)
    extra = "" if settings.public_url.endswith(bound) else f" (listening on {bound})"
    with suppress(BrokenPipeError):
        print(f"Entrepot serves {settings.public_url}{extra}", flush=True)
    if sys.stdout.isatty():
        say("Ctrl-C stops it.")
