"""The SDK for users of a hub: `Client`, what it returns, `sync_folder`, and its errors."""

from entrepot.client.client import Client
from entrepot.client.connections import Times
from entrepot.client.downloader import Downloaded, Watcher
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
