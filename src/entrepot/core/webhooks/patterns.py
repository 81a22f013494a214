"""How events are called towards receivers, and which of them a subscription asks for.

An event `noun.verb` is the type `noun/verb`; what happens to a download of a product is said of
the product: `product-download.added` is `product/download-added`. A pattern is a type, all of a
noun (`product/*`), or everything (`*`).
"""

import re
from collections.abc import Iterable, Sequence

from entrepot.core.accounts import (
    OPERATOR,
    ORGANISATION_ADMIN,
    PUBLISHER,
    Principal,
)
from entrepot.core.events import TYPES, nearest
from entrepot.errors import Denied, Invalid

PATTERNS_MAX = 32
_PATTERN = re.compile(r"\*|[a-z]+(?:-[a-z]+)*/(?:\*|[a-z]+(?:-[a-z]+)*)")
_LENGTH_MAX = 80
_SAID_OF = {"product-download": ("product", "download-")}

# What the catalogue tells of; these events belong to no organisation.
CATALOGUE = frozenset({"artifact", "asset", "manifest", "product", "release"})
# What an organisation may hear of itself, by the scope that its token needs for it.
OWN = {
    "entitlements": frozenset({"download", "entitlement", "licence", "link"}),
    "orders": frozenset({"download", "order"}),
}


def spell(event_type: str) -> str:
    """The type under which receivers know the event."""
    noun, _, verb = event_type.partition(".")
    said, prefix = _SAID_OF.get(noun, (noun, ""))
    return f"{said}/{prefix}{verb}"


SPELT = frozenset(map(spell, TYPES))
NOUNS = frozenset(each.partition("/")[0] for each in SPELT)


def matches(patterns: Iterable[str], spelt: str) -> bool:
    """Whether a subscription to `patterns` gets events of this type."""
    noun = spelt.partition("/")[0]
    return any(pattern in ("*", spelt, f"{noun}/*") for pattern in patterns)


def check_patterns(patterns: Sequence[str]) -> list[str]:
    """The patterns without repeats, sorted; Invalid names the first that can never match."""
    for fault in pattern_faults(patterns):
        raise fault
    return sorted(set(patterns))


def pattern_faults(patterns: Sequence[str]) -> list[Invalid]:
    """What is wrong with the patterns: one fault for each that can never match."""
    if not 1 <= len(patterns) <= PATTERNS_MAX:
        return [
            Invalid(
                f"A webhook has 1 to {PATTERNS_MAX} patterns of events.",
                field="events",
                remedy='Send a list such as ["product/*", "order/completed"].',
            )
        ]
    faults = (_fault(pattern) for pattern in dict.fromkeys(patterns))
    return [fault for fault in faults if fault is not None]


def _fault(pattern: str) -> Invalid | None:
    """Why no event could ever fit, with the nearest that there are; None where one could."""
    if len(pattern) > _LENGTH_MAX or not _PATTERN.fullmatch(pattern):
        return Invalid(
            f"{pattern[:_LENGTH_MAX]!r} is not a pattern of events.",
            field="events",
            remedy="Write a type (order/completed), all of a noun (order/*), or *.",
        )
    noun, _, verb = pattern.partition("/")
    if noun == "*" or pattern in SPELT or (verb == "*" and noun in NOUNS):
        return None
    if noun in _SAID_OF:
        said, prefix = _SAID_OF[noun]
        instead = f"{said}/{prefix}{verb}"
        told = f"What happens to a {noun} is said of the {said}"
        remedy = f"Subscribe to {instead if instead in SPELT else f'{said}/*'} instead."
    elif noun in NOUNS:
        told = f"No event is called {pattern!r}"
        ours = sorted(each for each in SPELT if each.startswith(f"{noun}/"))
        near = nearest(verb, [each.partition("/")[2] for each in ours])
        remedy = f"Did you mean {noun}/{near[0]}? " if near else ""
        remedy += f"Of {noun} there are: {', '.join(ours)}; {noun}/* is all of them."
    else:
        told = f"No event is about {noun!r}"
        near = nearest(noun, NOUNS)
        remedy = f"Did you mean {near[0]}/{verb}? " if near else ""
        remedy += f"Events are about: {', '.join(sorted(NOUNS))}."
    return Invalid(f"{told}.", field="events", remedy=remedy)


def hears_everything(who: Principal, patterns: Iterable[str]) -> bool:
    """Whether the subscription is to events of every organisation, or of the caller's alone.

    - Publishers and operators whose token carries `publish` or `admin`: every event there is.
    - Publishers and operators with the scope `products`: what happens to the catalogue.
    - Machines and administrators of an organisation: its own orders, downloads, links,
      entitlements and accepted licences, as far as the token's scopes reach.

    Denied for anyone and anything else.
    """
    nouns = {pattern.partition("/")[0] for pattern in patterns}
    staff = bool(who.roles & {PUBLISHER, OPERATOR})
    if staff and who.scopes & {"publish", "admin"}:
        return True
    if staff and "products" in who.scopes and nouns <= CATALOGUE:
        return True
    if who.kind != "client" and ORGANISATION_ADMIN not in who.roles:
        raise Denied(
            "Only an administrator or a machine of an organisation subscribes to its events.",
            code="role-required",
            remedy="Let an administrator of your organisation make the webhook.",
            details={"role": ORGANISATION_ADMIN},
        )
    allowed = frozenset[str]().union(*(OWN[scope] for scope in who.scopes if scope in OWN))
    if nouns <= allowed:
        return False
    catalogue = CATALOGUE if staff and "products" in who.scopes else frozenset[str]()
    beyond = min(nouns - allowed - catalogue or nouns - allowed)
    if catalogue:
        told = "Events of the catalogue and those of an organisation need webhooks of their own."
    else:
        told = "Events of the catalogue need the role publisher and the scope products."
    heard = ", ".join(sorted(allowed | catalogue)) or "nothing so far"
    raise Denied(
        f"This account may not subscribe to events about {beyond!r}, or not beside the others.",
        code="events-not-yours",
        remedy=f"Subscribe to events about: {heard}. {told}",
        details={"events": beyond},
    )


def require_owner(patterns: Iterable[str]) -> None:
    """Invalid where patterns name what belongs to no organisation: nobody would be told."""
    nouns = {pattern.partition("/")[0] for pattern in patterns} - {"*"}
    lost = sorted(nouns & CATALOGUE)
    if lost:
        raise Invalid(
            f"Events about {', '.join(map(repr, lost))} belong to no organisation, so this webhook "
            "would not hear of them.",
            field="events",
            remedy="Let it hear of everything (`--everything`, in the API `everything`), or leave "
            "the pattern out.",
        )
