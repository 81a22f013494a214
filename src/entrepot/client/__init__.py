"""The SDK for users of a hub: `Client`, what it returns, and its errors."""

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
    InvalidUse,
    LicenceNeeded,
    LocalFileError,
    NotFound,
    NotSignedIn,
    Unreachable,
)
from entrepot.client.retries import Backoff
from entrepot.client.stop import Stop

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
    "InvalidUse",
    "LicenceNeeded",
    "LocalFileError",
    "NotFound",
    "NotSignedIn",
    "Stop",
    "Times",
    "Unreachable",
    "Watcher",
]
