"""Download orders: selections, plans, and the package that comes of them."""

from entrepot.core.orders import tables as _tables  # noqa: F401 - part of the metadata
from entrepot.core.orders.changing import (
    cancel_order,
    expire_orders,
    fail_order,
    is_cancelled,
    is_planning,
    list_stranded,
    purge_orders,
    retry_order,
)
from entrepot.core.orders.delivering import OrderPackage, permitted_package
from entrepot.core.orders.packages import PackageEntry, decode_package, encode_package
from entrepot.core.orders.packaging import complete_order
from entrepot.core.orders.placing import OrderJob, PlacedOrder, place_order
from entrepot.core.orders.planning import PLAN_TAKE, plan_some
from entrepot.core.orders.progress import (
    ATTEMPTS_MAX,
    PendingConversion,
    begin_conversion,
    fail_conversion,
    give_back_conversion,
    is_settled,
    list_pending,
    settle_conversion,
)
from entrepot.core.orders.requests import OrderRequest, parse_order_request
from entrepot.core.orders.selections import (
    DEFINITION_NAME,
    SELECTION_IDS_MAX,
    Change,
    Selection,
    SelectionKey,
    change_selection,
    clear_selection,
    list_selections,
    parse_changes,
    parse_key,
    read_selection,
)

__all__ = [
    "ATTEMPTS_MAX",
    "DEFINITION_NAME",
    "PLAN_TAKE",
    "SELECTION_IDS_MAX",
    "Change",
    "OrderJob",
    "OrderPackage",
    "OrderRequest",
    "PackageEntry",
    "PendingConversion",
    "PlacedOrder",
    "Selection",
    "SelectionKey",
    "begin_conversion",
    "cancel_order",
    "change_selection",
    "clear_selection",
    "complete_order",
    "decode_package",
    "encode_package",
    "expire_orders",
    "fail_conversion",
    "fail_order",
    "give_back_conversion",
    "is_cancelled",
    "is_planning",
    "is_settled",
    "list_pending",
    "list_selections",
    "list_stranded",
    "parse_changes",
    "parse_key",
    "parse_order_request",
    "permitted_package",
    "place_order",
    "plan_some",
    "purge_orders",
    "read_selection",
    "retry_order",
    "settle_conversion",
]
