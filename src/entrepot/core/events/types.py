"""Every type of event that there is: what can be looked for in the log, and be subscribed to."""

import difflib
from collections.abc import Collection, Mapping, Sequence

from entrepot.errors import Invalid

_VERBS: Mapping[str, str] = {
    "admin": "denied",
    "artifact": "added removed",
    "asset": "added changed deleted replaced",
    "client": "added disabled enabled secret-rotated",
    "consent": "given withdrawn",
    "contact": "added forgotten",
    "device": "approved denied",
    "download": "completed",
    "entitlement": "changed denied granted revoked",
    "events": "purged",
    "family": "revoked",
    "identity": "added joined",
    "key": "rotated",
    "licence": "accepted revised",
    "link": "denied issued",
    "manifest": "root signed",
    "order": "cancelled completed denied expired failed placed progress",
    "organisation": "added blocked unblocked",
    "page": "denied",
    "personal-token": "made revoked",
    "product": "added changed",
    "product-download": "added changed denied removed",
    "release": "available created discarded imported withdrawn",
    "rendition": "kept",
    "sign-in": "failed",
    "token": "denied issued revoked",
    "user": (
        "added disabled enabled invited password-dropped password-set roles-set signed-in "
        "signed-out-everywhere"
    ),
    "webhook": "added changed denied disabled enabled pinged redelivered removed secret-rotated",
}
TYPES = frozenset(f"{noun}.{verb}" for noun, verbs in _VERBS.items() for verb in verbs.split())
_NEAR_MAX = 3
_ALIKE = 0.7
_SHOWN_MAX = 80


def nearest(told: str, known: Collection[str]) -> Sequence[str]:
    """Those of `known` that `told` may have meant, the best first; at most three."""
    return difflib.get_close_matches(told, sorted(known), n=_NEAR_MAX, cutoff=_ALIKE)


def check_type(text: str) -> tuple[str, str]:
    """Noun and verb of a type, as a filter has it; the verb `*` is every verb of the noun.

    Invalid, with the nearest that there are, where no event is of this type.
    """
    noun, dot, verb = text.partition(".")
    if dot and (text in TYPES or (verb == "*" and noun in _VERBS)):
        return noun, verb
    if "/" in text:
        remedy = f"The log spells it with a dot: {text.replace('/', '.')[:_SHOWN_MAX]}."
    elif noun in _VERBS:
        remedy = f"Of {noun} there are: {_listed(noun)}; {noun}.* is all of them."
    elif near := nearest(text, TYPES | {f"{each}.*" for each in _VERBS}):
        remedy = f"Did you mean {' or '.join(near)}?"
    else:
        remedy = f"Write noun.verb, or noun.* for all of a noun: {', '.join(sorted(_VERBS))}."
    raise Invalid(f"No event is of the type {text[:_SHOWN_MAX]!r}.", field="type", remedy=remedy)


def _listed(noun: str) -> str:
    return ", ".join(f"{noun}.{verb}" for verb in _VERBS[noun].split())
