"""The hub's objects as rows of text. A missing or odd value is an empty cell, never an error."""

from typing import Any

from entrepot.cli.output import Column
from entrepot.client.answers import JsonObject
from entrepot.client.names import printable

ENTITLEMENT_COLUMNS = (
    Column("ID", whole=True),
    Column("Type"),
    Column("Product Code", whole=True),
    Column("Product Name"),
    Column("Status"),
    Column("License"),
    Column("Right To"),
    Column("Valid From"),
    Column("Valid To"),
    Column("Qualities"),
    Column("ECCN(s)"),
)
VIRTUAL_COLUMNS = (
    Column("ID", whole=True),
    Column("Product Code", whole=True),
    Column("Product Name"),
    Column("Product URI"),
    Column("Foundries"),
    Column("Process"),
)
RELEASE_COLUMNS = (
    Column("ID", whole=True),
    Column("Entitlement ID", whole=True),
    Column("Release Name"),
    Column("Revision"),
    Column("Patch"),
    Column("Major"),
    Column("Minor"),
    Column("Quality"),
    Column("Type"),
    Column("Available At"),
)
ARTIFACT_COLUMNS = (
    Column("ID", whole=True),
    Column("Name"),
    Column("Description"),
    Column("Type"),
    Column("File Name"),
    Column("File Size"),
    Column("MD5", whole=True),
    Column("SHA-256", whole=True),
)
PRODUCT_COLUMNS = (
    Column("Product Code", whole=True),
    Column("Product Name"),
    Column("Type"),
    Column("Entitlement IDs"),
)


def entitlement_row(entitlement: JsonObject) -> list[str]:
    """One line of `entitlements`."""
    product = _part(entitlement, "product")
    return [
        text(entitlement.get("id")),
        entitlement_kind(entitlement),
        text(product.get("id")),
        text(product.get("name")),
        text(entitlement.get("status")),
        "free" if _part(entitlement, "characteristics").get("free") else "entitled",
        text(entitlement.get("rightTo")),
        text(entitlement.get("validFrom")),
        text(entitlement.get("validTo")),
        _joined(_part(entitlement, "rights").get("qualities"), "quality"),
        _joined(_part(entitlement, "compliance").get("usECCN")),
    ]


def entitlement_kind(entitlement: JsonObject) -> str:
    """Group, virtual or plain."""
    characteristics = _part(entitlement, "characteristics")
    if characteristics.get("grouped"):
        return f"group ({len(virtual_entitlements(entitlement))} entitlements)"
    return "virtual entitlement" if characteristics.get("virtual") else "entitlement"


def virtual_entitlements(entitlement: JsonObject) -> list[JsonObject]:
    """The children of a group."""
    return _objects(entitlement.get("virtualEntitlements"))


def entitlement_details(entitlement: JsonObject) -> list[list[str]]:
    """Title and value of everything `entitlement` shows."""
    product = _part(entitlement, "product")
    rights, compliance = _part(entitlement, "rights"), _part(entitlement, "compliance")
    history = _part(entitlement, "history")
    row = dict(
        zip(
            (column.title for column in ENTITLEMENT_COLUMNS),
            entitlement_row(entitlement),
            strict=True,
        )
    )
    eccns = row.pop("ECCN(s)")
    details = [[title, value] for title, value in row.items()]
    details.insert(4, ["Product URI", text(product.get("uri"))])
    details += [
        ["Allowed Countries", _countries(compliance.get("allowedCountries"))],
        ["Compliance Status", text(compliance.get("status"))],
        ["Compliance Reason", text(compliance.get("statusReason"))],
        ["ECCN Restricted", text(compliance.get("eccnRestricted"))],
        ["ECCN(s)", eccns],
        ["Maintenance From", text(rights.get("maintenanceFrom"))],
        ["Maintenance To", text(rights.get("maintenanceTo"))],
        ["Created At", text(history.get("createdAt"))],
        ["Last Changed", text(history.get("lastChangedAt"))],
    ]
    foundries = _joined(rights.get("designStart"), "foundry")
    return [*details, ["Foundries", foundries]] if foundries else details


def virtual_row(virtual: JsonObject) -> list[str]:
    """One child of a group."""
    product = _part(virtual, "product")
    return [
        text(virtual.get("id")),
        text(product.get("id")),
        text(product.get("name")),
        text(product.get("uri")),
        _joined(product.get("foundry")),
        text(product.get("process")),
    ]


def release_row(release: JsonObject) -> list[str]:
    """One line of `releases`."""
    keys = ("revision", "patch", "majorVersion", "minorVersion", "quality", "type", "availableAt")
    return [
        text(release.get("id")),
        text(_part(release, "entitlement").get("id")),
        text(release.get("name")),
        *(text(release.get(key)) for key in keys),
    ]


def artifact_row(artifact: JsonObject) -> list[str]:
    """One line of `artifacts`."""
    keys = ("id", "name", "description", "type", "fileName")
    return [
        *(text(artifact.get(key)) for key in keys),
        size_text(artifact.get("fileSize")),
        text(artifact.get("md5")),
        text(artifact.get("sha256")),
    ]


def text(value: Any) -> str:
    """One value, exactly as the hub sent it, with control characters made visible."""
    return "" if value is None else printable(str(value))


def size_text(value: Any) -> str:
    """Bytes in decimal units with at most three decimals: 1234567 is 1.235 MB."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return text(value)
    size, unit = float(value), "B"
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if size < 1000 or unit == "PB":
            break
        size /= 1000
    number = f"{size:.3f}"
    return f"{number.rstrip('0').rstrip('.')} {unit}"


def _part(value: JsonObject, key: str) -> JsonObject:
    part = value.get(key)
    return part if isinstance(part, dict) else {}


def _objects(value: Any) -> list[JsonObject]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _joined(value: Any, key: str | None = None) -> str:
    if not isinstance(value, list):
        return ""
    if key is None:
        return ", ".join(text(item) for item in value)
    return ", ".join(text(item.get(key)) for item in _objects(value))


def _countries(value: Any) -> str:
    return "\n".join(
        " - ".join(part for part in (text(c.get("id")).upper(), text(c.get("uri"))) if part)
        for c in _objects(value)
    )
