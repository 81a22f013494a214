"""Download orders: selections, plans, and the package that comes of them."""

from entrepot.core.orders import tables as _tables  # noqa: F401 - part of the metadata
from entrepot.core.orders.packages import PackageEntry, decode_package, encode_package

__all__ = ["PackageEntry", "decode_package", "encode_package"]
