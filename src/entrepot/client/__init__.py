"""The SDK for users of a hub: `Client`, what it returns, `sync_folder`, and its errors.

Each name is imported when it is first used: a command that fetches one file needs a third of them.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from entrepot.client.client import Client
    from entrepot.client.conditions import Watcher
    from entrepot.client.connections import Times
    from entrepot.client.downloader import Downloaded
    from entrepot.client.errors import (
        BadAnswer,
        Cancelled,
        ClientError,
        Corrupt,
        Denied,
        DiskFull,
        ExitCode,
        Incomplete,
        InvalidUse,
        LicenceNeeded,
        LocalFileError,
        NotFound,
        NotSignedIn,
        OrderEnded,
        Unreachable,
        Untrusted,
    )
    from entrepot.client.folder_sync import sync_folder
    from entrepot.client.licences import Licences
    from entrepot.client.order_events import OrderEvent
    from entrepot.client.order_requests import Wishes
    from entrepot.client.orders import Orders
    from entrepot.client.rates import RateLimit
    from entrepot.client.retries import Backoff
    from entrepot.client.selections import Selections
    from entrepot.client.stop import Stop
    from entrepot.client.verification import Expected

__all__ = [
    "Backoff",
    "BadAnswer",
    "Cancelled",
    "Client",
    "ClientError",
    "Corrupt",
    "Denied",
    "DiskFull",
    "Downloaded",
    "ExitCode",
    "Expected",
    "Incomplete",
    "InvalidUse",
    "LicenceNeeded",
    "Licences",
    "LocalFileError",
    "NotFound",
    "NotSignedIn",
    "OrderEnded",
    "OrderEvent",
    "Orders",
    "RateLimit",
    "Selections",
    "Stop",
    "Times",
    "Unreachable",
    "Untrusted",
    "Watcher",
    "Wishes",
    "sync_folder",
]

# Where each name lives; the type checker reads the imports above.
_HOMES = {
    "Backoff": "retries",
    "BadAnswer": "errors",
    "Cancelled": "errors",
    "Client": "client",
    "ClientError": "errors",
    "Corrupt": "errors",
    "Denied": "errors",
    "DiskFull": "errors",
    "Downloaded": "downloader",
    "ExitCode": "errors",
    "Expected": "verification",
    "Incomplete": "errors",
    "InvalidUse": "errors",
    "LicenceNeeded": "errors",
    "Licences": "licences",
    "LocalFileError": "errors",
    "NotFound": "errors",
    "NotSignedIn": "errors",
    "OrderEnded": "errors",
    "OrderEvent": "order_events",
    "Orders": "orders",
    "RateLimit": "rates",
    "Selections": "selections",
    "Stop": "stop",
    "Times": "connections",
    "Unreachable": "errors",
    "Untrusted": "errors",
    "Watcher": "conditions",
    "Wishes": "order_requests",
    "sync_folder": "folder_sync",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
