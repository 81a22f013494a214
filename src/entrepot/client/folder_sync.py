"""The SDK's one call for a whole folder. What does it is loaded when it is called: few need it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from entrepot.client.client import Client
from entrepot.client.conditions import Watcher

if TYPE_CHECKING:
    from entrepot.client.batch import Outcome
    from entrepot.client.choices import Choice
    from entrepot.client.lock_files import LockFile
    from entrepot.client.mirroring import Synced
    from entrepot.client.syncing import Manner
    from entrepot.client.trust import Trust


def sync_folder(
    client: Client,
    folder: str | Path,
    *,
    choices: "Sequence[Choice] | None" = None,
    lock: "LockFile | None" = None,
    trust: "Trust | None" = None,
    manner: "Manner | None" = None,
    remove: bool = False,
    check: bool = False,
    dry_run: bool = False,
    planned: "Callable[[Synced], None] | None" = None,
    watcher: Watcher | None = None,
    done: "Callable[[Outcome], None] | None" = None,
) -> "Synced":
    """Bring into `folder`, as CODE/RELEASE/FILE, what the client's entitlements give.

    `choices` say what of it; without them `entrepot.toml` in the folder does, else everything is
    wanted. With a `lock` exactly what that pins is brought, or nothing. `remove` takes away what
    is wanted no more, `check` reads every file, `dry_run` does nothing. Signed products are
    verified by `trust`, by default what the command trusts on this machine.

    `planned` hears what there is to do before it is done, `done` of each file, from its thread.
    One file that fails does not stop the others: see `error` of the result. Raises what ends it
    all: NotSignedIn, Unreachable for the lists, Corrupt and Untrusted for a lock that does not
    hold, InvalidUse, LocalFileError, DiskFull, Cancelled.
    """
    from entrepot.client.mirroring import bring_in_step

    return bring_in_step(
        client,
        Path(folder).absolute(),
        choices=choices,
        lock=lock,
        trust=trust,
        manner=manner,
        remove=remove,
        check=check,
        dry_run=dry_run,
        planned=planned,
        watcher=watcher,
        done=done,
    )
