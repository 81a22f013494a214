"""A release as one ZIP: its name and its entries, which are its files as they are."""

import hashlib

from entrepot.core.delivery.packages import Package
from entrepot.core.entitlements import PermittedArtifacts
from entrepot.core.orders.packages import PackageEntry, encode_package
from entrepot.errors import Invalid
from entrepot.kit.file_names import FILE_NAME_BYTES_MAX, check_file_name

_SPELT = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+ ")


def release_file_name(granted: PermittedArtifacts, ending: str = ".zip") -> str:
    """`<product code>-<release name>.zip`, what is not safe in a file name replaced by `_`."""
    whole = f"{granted.product_code}-{granted.release_name}"
    stem = whole.encode()[: FILE_NAME_BYTES_MAX - len(ending)].decode(errors="ignore")
    try:
        return check_file_name(stem + ending, field="name")
    except Invalid:
        plain = "".join(char if char in _SPELT else "_" for char in stem)
        return check_file_name(plain.strip(" .") + ending, field="name")


def release_package(granted: PermittedArtifacts) -> Package:
    """What the ZIP holds: the files in the publisher's order, stamped when they came out."""
    entries = [
        PackageEntry(file.file_name, file.size, file.crc32, file.sha256) for file in granted.files
    ]
    digest = hashlib.sha256(encode_package(entries)).hexdigest()
    return Package(digest, granted.available_at, tuple(entries))
