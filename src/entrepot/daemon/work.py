"""`entrepotd work`: workers, as many as wanted and on as many machines."""

import logging
import os
import select
import signal
import threading
import time
from contextlib import suppress

import click

from entrepot.assembly import assemble, prepare
from entrepot.daemon.console import say
from entrepot.daemon.desk import Desk
from entrepot.daemon.listening import raise_descriptor_limit
from entrepot.daemon.options import hub_command, remember
from entrepot.daemon.supervisor import ALIVE, READY, Role, Supervisor
from entrepot.kit import log
from entrepot.settings import Settings

_PULSE_SECONDS = 1.0
_POLL_SECONDS = 0.1


@click.command()
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Workers on this machine.",
)
@click.option(
    "--slots",
    type=click.IntRange(1, 256),
    expose_value=False,
    callback=remember("worker_slots"),
    help="Conversions at once for each.  [default: ENTREPOT_WORKER_SLOTS, else one per core]",
)
@hub_command
def work(desk: Desk, processes: int) -> int:
    """Convert and pack what is ordered, until SIGTERM or Ctrl-C.

    `entrepotd serve` runs one worker by itself; this runs more of them, on this machine or, with
    a PostgreSQL database and shared storage, on others. A worker that dies is replaced; what it
    had begun is done by the others.
    """
    settings = desk.settings()
    log.configure(settings.log_level, form=settings.log_format)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    raise_descriptor_limit()
    prepare(settings)
    roles = [worker_role(settings, processes, vital=True)]
    supervisor = Supervisor(roles, grace_seconds=0, farewell="Stopping.")
    return supervisor.run(lambda: say(f"Working, {processes} at it."))


def worker_role(settings: Settings, count: int, *, vital: bool) -> Role:
    """Workers for a supervisor."""

    def child(ready: int, lifeline: int) -> int:
        from entrepot.daemon.app import report

        try:
            return _work(settings, ready, lifeline)
        except Exception as error:
            logging.getLogger(__name__).debug("worker cannot start", exc_info=error)
            return report(error)

    return Role("worker", child, count, vital=vital, beats=True)


def _work(settings: Settings, ready: int, lifeline: int) -> int:
    """Work until SIGTERM, or until the other end of `lifeline` is closed."""
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers to Ctrl-C
    threading.Thread(target=_pulse, args=(ready,), daemon=True).start()
    from entrepot.worker import Worker

    hub = assemble(settings)
    worker = Worker(hub, slots=settings.worker_slots, scratch=settings.data)
    worker.start()
    os.write(ready, READY)
    while not told.is_set() and not select.select([lifeline], [], [], _POLL_SECONDS)[0]:
        pass
    worker.stop()
    return 0  # the caller ends the process, whatever threads still run


def _pulse(ready: int) -> None:
    """Show the parent that this process is not frozen."""
    with suppress(OSError):
        while True:
            os.write(ready, ALIVE)
            time.sleep(_PULSE_SECONDS)
