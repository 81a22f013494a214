"""Emptying a sandbox, so that the sample world can be loaded anew.

Only what a hub makes in a sandbox's own folder is removed, and only while nothing serves it. The
secrets go last, by being replaced: a folder whose reset was interrupted is still a sandbox's.
"""

import shutil
from pathlib import Path

from sqlalchemy.engine import make_url

from entrepot.assembly import assemble, prepare
from entrepot.daemon.sandbox._loading import load_world
from entrepot.daemon.sandbox._secrets import read_secrets
from entrepot.daemon.sole import sole_server
from entrepot.errors import Conflict, Unavailable
from entrepot.settings import Settings

_BESIDE = ("", "-wal", "-shm", "-journal")


def reset_world(settings: Settings) -> None:
    """Remove everything that the sandbox holds, and load the sample world as on the first day.

    Numbers begin where they began; UUIDs, passwords, secrets and signing keys are new.

    Conflict: the folder is no sandbox, or is being served, or its database or files lie
    elsewhere. Unavailable: a file cannot be removed.
    """
    data = settings.data
    read_secrets(data)
    database = _inside(settings, data)
    with sole_server(data):
        try:
            for ending in _BESIDE:
                database.with_name(database.name + ending).unlink(missing_ok=True)
            shutil.rmtree(settings.blobs_dir)
        except FileNotFoundError:
            pass  # a reset before this one came so far
        except OSError as error:
            raise Unavailable(
                f"The sandbox in {data} cannot be emptied: {error}.",
                code="folder-not-writable",
                remedy="Run the command as the user that the sandbox belongs to.",
            ) from error
        prepare(settings)
        hub = assemble(settings)
        try:
            load_world(hub, data)
        finally:
            hub.close()


def _inside(settings: Settings, data: Path) -> Path:
    """The database's file. Nothing outside of the sandbox's own folder is ever removed."""
    url = make_url(settings.database_url)
    file = Path(url.database or "")
    inside = data.resolve()
    if (
        url.get_backend_name() == "sqlite"
        and file.resolve().parent == inside
        and settings.blobs_dir.resolve().parent == inside
    ):
        return file
    raise Conflict(
        f"The database or the files of the sandbox {data} lie outside of its folder.",
        code="sandbox-elsewhere",
        remedy="Empty them yourself, remove the folder, and start the sandbox again.",
    )
