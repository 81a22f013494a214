"""From what a person types (a product's code, an entitlement's number) to the object meant."""

from entrepot.client.answers import JsonObject
from entrepot.client.client import Client
from entrepot.client.errors import InvalidUse, NotFound

_SHOWN_MAX = 5


def find_entitlement(client: Client, what: str) -> JsonObject:
    """The entitlement with this number, or the one that gives the product with this code.

    Raises NotFound, and InvalidUse where several of equal standing give it.
    """
    if what.isascii() and what.isdigit():
        try:
            return client.entitlement(what)
        except NotFound:
            pass  # there are products whose codes are numbers
    every = client.entitlements(product=what)
    found = [one for one in every if one.get("rightTo", "download") == "download"]
    active = [one for one in found if str(one.get("status", "")).lower() == "active"]
    candidates = active or found
    if not candidates:
        raise NotFound(
            f"Your organisation has no entitlement to download {what[:80]!r}.",
            remedy="List what it has: entrepot entitlements",
        )
    if len(candidates) > 1:
        numbers = ", ".join(str(one.get("id")) for one in candidates[:_SHOWN_MAX])
        raise InvalidUse(
            f"{len(candidates)} entitlements give {what[:80]!r}: {numbers}.",
            remedy="Give the number of one of them instead of the code.",
        )
    return candidates[0]


def find_release(client: Client, entitlement_id: str, release_id: str | None) -> JsonObject:
    """The release with this id, or the newest. Raises NotFound."""
    if release_id:
        return client.release(entitlement_id, release_id)
    found = client.releases(entitlement_id, search={"latestAvailable": True})
    if not found:
        raise NotFound(
            f"Entitlement {entitlement_id} gives no release (yet).",
            remedy="List them: entrepot releases -e " + entitlement_id,
        )
    return found[0]
