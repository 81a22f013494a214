"""From what a person types (a product's code, a version, a pattern) to the objects meant."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from entrepot.client.answers import JsonObject
from entrepot.client.client import Client
from entrepot.client.errors import BadAnswer, InvalidUse, NotFound

LATEST = "latest"
_SHOWN_MAX = 10
_NUMBERS_SHOWN_MAX = 5
_VERSION_KEYS = ("majorVersion", "minorVersion", "patch")


@dataclass(frozen=True, slots=True)
class Wanted:
    """`DS000B@2022.2` taken apart: a product's code or an entitlement's number, and a version.

    `version` is empty where none was given; `latest` means the newest, as does an empty one.
    """

    what: str
    version: str = ""

    def __str__(self) -> str:
        return f"{self.what}@{self.version}" if self.version else self.what


def parse_wanted(text: str) -> Wanted:
    """Take apart what a person types. Raises InvalidUse."""
    what, at, version = text.strip().partition("@")
    if not what or (at and not version):
        raise InvalidUse(
            f"{text[:80]!r} names no product.",
            remedy="Write it like DS000B, DS000B@2022.2 or DS000B@latest.",
        )
    return Wanted(what, version)


def list_products(client: Client) -> list[JsonObject]:
    """Every product that the entitlements are for, by code: `id`, `name`, `entitlements`.

    `group`: it stands for others, and only their entitlements have releases.
    """
    by_code: dict[str, JsonObject] = {}
    for item in client.entitlements():
        children = item.get("virtualEntitlements")
        for holder in (item, *(children if isinstance(children, list) else ())):
            product = holder.get("product") if isinstance(holder, dict) else None
            if not isinstance(product, dict) or not product.get("id"):
                continue
            code = str(product["id"])
            entry = by_code.setdefault(
                code,
                {"id": code, "name": product.get("name", ""), "group": True, "entitlements": []},
            )
            entry["group"] = entry["group"] and bool(holder.get("virtualEntitlements"))
            if holder.get("id") not in entry["entitlements"]:
                entry["entitlements"].append(holder.get("id"))
    return [by_code[code] for code in sorted(by_code)]


def find_entitlement(client: Client, what: str) -> JsonObject:
    """The entitlement with this number, or the one that gives the product with this code.

    Raises NotFound, and InvalidUse where several of equal standing give it.
    """
    numbered = find_numbered(client, what)
    if numbered is not None:
        return numbered
    # Another product's would be held against that one's keys, or against none.
    every = [one for one in client.entitlements(product=what) if _code_of(one) == what]
    found = [one for one in every if one.get("rightTo", "download") == "download"]
    by_status = {
        wanted: [one for one in found if str(one.get("status", "")).lower() == wanted]
        for wanted in ("active", "lapsed")
    }
    candidates = by_status["active"] or by_status["lapsed"] or found
    if not candidates:
        raise NotFound(
            f"Your organisation has no entitlement to download {what[:80]!r}.",
            remedy="List what it has: entrepot products",
        )
    if len(candidates) > 1:
        numbers = ", ".join(str(one.get("id")) for one in candidates[:_NUMBERS_SHOWN_MAX])
        raise InvalidUse(
            f"{len(candidates)} entitlements give {what[:80]!r}: {numbers}.",
            remedy="Give the number of one of them instead of the code.",
        )
    return candidates[0]


def find_numbered(client: Client, what: str) -> JsonObject | None:
    """The entitlement with this number; None where it is the number of none.

    There are products whose codes are numbers: they are meant where no entitlement is.
    """
    if not (what.isascii() and what.isdigit()):
        return None
    try:
        return client.entitlement(what)
    except NotFound:
        return None


def find_release(client: Client, entitlement_id: str, release_id: str | None) -> JsonObject:
    """The release with this id, or the newest. Raises NotFound, which names a group's members."""
    if release_id:
        with naming_release(entitlement_id, release_id):
            return client.release(entitlement_id, release_id)
    found = client.releases(entitlement_id, search={"latestAvailable": True})
    if not found:
        raise _no_release(client, entitlement_id)
    return found[0]


@contextmanager
def naming_release(
    entitlement_id: str, release_id: str, artifact_id: str | None = None
) -> Iterator[None]:
    """A NotFound in the block says what was not found, and how to list what there is."""
    try:
        yield
    except NotFound as error:
        if artifact_id is not None:
            raise NotFound(
                f"There is no artifact {artifact_id[:80]} in the release {release_id[:80]}, or "
                f"entitlement {entitlement_id[:80]} does not give that release.",
                remedy="List them: "
                f"entrepot artifacts -e {entitlement_id[:80]} -r {release_id[:80]}",
                reason=error.reason,
            ) from error
        raise NotFound(
            f"There is no release {release_id[:80]}, or entitlement {entitlement_id[:80]} does "
            "not give it.",
            remedy=f"List those that it gives: entrepot releases -e {entitlement_id[:80]}",
            reason=error.reason,
        ) from error


def find_version(client: Client, entitlement_id: str, version: str) -> JsonObject:
    """The one release that `version` means: its name, its id, or parts of its version.

    Raises NotFound that names what there is, InvalidUse where several are meant.
    """
    if not version or version.lower() == LATEST:
        return find_release(client, entitlement_id, None)
    found = client.releases(entitlement_id)
    if not found:
        raise _no_release(client, entitlement_id)
    return match_release(found, version, of=entitlement_id)


def match_release(releases: Sequence[JsonObject], version: str, *, of: str = "CODE") -> JsonObject:
    """As `find_version`, among releases that are known, `of` a product or an entitlement."""
    found = next((some for some in _by_closeness(releases, version) if some), None)
    if found is None:
        raise NotFound(
            f"There is no release {version[:80]!r}. " + _listed("There are", releases),
            remedy="Give one of these names, or `latest`. Why another is not among them: "
            f"entrepot why {of[:80]}@{version[:80]}",
        )
    if len(found) > 1:
        raise InvalidUse(
            f"{version[:80]!r} can be {len(found)} releases. " + _listed("They are", found),
            remedy="Give the name or the id of one.",
        )
    return found[0]


def match_artifacts(artifacts: Sequence[JsonObject], patterns: Sequence[str]) -> list[JsonObject]:
    """The artifacts that any pattern means, in their order; all of them without a pattern.

    A pattern is a file name or a name, with `*`, `?` and `[...]`, in any letter case; or an id.
    Raises NotFound for a pattern that means none, naming what there is, and BadAnswer where the
    hub lists what is no artifact.
    """
    if not all(isinstance(each, Mapping) for each in artifacts):
        raise BadAnswer("The hub lists what is no artifact.")
    chosen: set[int] = set()
    for pattern in patterns:
        hits = {at for at, artifact in enumerate(artifacts) if _is_meant(artifact, pattern)}
        if not hits:
            names = [str(artifact.get("fileName") or artifact.get("id")) for artifact in artifacts]
            raise NotFound(
                f"No artifact is like {pattern[:80]!r}. " + _named("There are", names),
                remedy="Give a file name, or a pattern such as '*.tar.gz' (in quotes).",
            )
        chosen |= hits
    return [one for at, one in enumerate(artifacts) if not patterns or at in chosen]


def product_code(entitlement: Mapping[str, Any]) -> str:
    """The code of the product that an entitlement is for. Raises BadAnswer."""
    code = _code_of(entitlement)
    if not code:
        raise BadAnswer("The hub's answer names no product.")
    return code


def version_of(release: Mapping[str, Any]) -> str:
    """What a person would type to mean this release: its name, else its id."""
    return str(release.get("name") or release.get("id") or "")


def _code_of(entitlement: Mapping[str, Any]) -> str:
    product = entitlement.get("product")
    code = product.get("id") if isinstance(product, dict) else None
    return code if isinstance(code, str) else ""


def _no_release(client: Client, entitlement_id: str) -> NotFound:
    """That an entitlement has no release; of a group, which entitlements have them."""
    children = client.entitlement(entitlement_id).get("virtualEntitlements")
    members = (
        [one for one in children if isinstance(one, dict)] if isinstance(children, list) else []
    )
    if not members:
        return NotFound(
            f"Entitlement {entitlement_id} gives no release (yet).",
            remedy=f"List them: entrepot releases -e {entitlement_id}",
        )
    names = [f"{_code_of(one)} ({one.get('id')})" for one in members]
    return NotFound(
        f"Entitlement {entitlement_id} is a group: its members have the releases. "
        + _named("They are", names),
        remedy="Give the code or the number of one of them.",
    )


def _by_closeness(releases: Sequence[JsonObject], version: str) -> list[list[JsonObject]]:
    """What matches, the closest way of matching first."""
    folded = version.casefold()
    ways: tuple[Callable[[JsonObject], bool], ...] = (
        lambda one: str(one.get("id", "")).casefold() == folded,
        lambda one: one.get("name") == version,
        lambda one: str(one.get("name", "")).casefold() == folded,
        lambda one: folded in (_whole_version(one), str(one.get("revision", "")).casefold()),
        lambda one: folded in _beginnings(one),
    )
    return [[one for one in releases if way(one)] for way in ways]


def _parts(release: Mapping[str, Any]) -> list[str]:
    parts = []
    for key in _VERSION_KEYS:
        value = release.get(key)
        if value in (None, ""):
            break
        parts.append(str(value).casefold())
    return parts


def _whole_version(release: Mapping[str, Any]) -> str:
    return ".".join(_parts(release)) or "\0"


def _beginnings(release: Mapping[str, Any]) -> set[str]:
    """`1`, `1.10` and `1.10.3` of 1.10.3."""
    parts = _parts(release)
    return {".".join(parts[:count]) for count in range(1, len(parts) + 1)}


def _is_meant(artifact: Mapping[str, Any], pattern: str) -> bool:
    folded = pattern.casefold()
    texts = (artifact.get(key) for key in ("fileName", "name", "id"))
    return any(fnmatchcase(text.casefold(), folded) for text in texts if isinstance(text, str))


def _listed(head: str, releases: Sequence[JsonObject]) -> str:
    return _named(head, [f"{version_of(one)} ({one.get('id')})" for one in releases])


def _named(head: str, names: Sequence[str]) -> str:
    if not names:
        return f"{head} none."
    more = len(names) - _SHOWN_MAX
    return f"{head} " + ", ".join(names[:_SHOWN_MAX]) + (f" and {more} more." if more > 0 else ".")
