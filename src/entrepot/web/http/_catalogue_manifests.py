"""Codes of what signs releases; part of the error catalogue."""

from collections.abc import Mapping

from entrepot.web.http._catalogue_entry import Entry

MANIFESTS: Mapping[str, Entry] = {
    "manifest-key-unknown": Entry(
        400,
        "The key is none of those that sign this for the product.",
        "`entrepotd keys list PRODUCT` says which keys count.",
    ),
    "manifest-root-missing": Entry(
        409,
        "The product has no signing keys yet.",
        "`entrepotd keys root PRODUCT --help` says how it gets some.",
    ),
    "manifest-unsigned": Entry(
        409,
        "What was to be put in force lacks signatures.",
        "Sign it by more of the keys that the root asks for.",
    ),
    "manifest-overtaken": Entry(
        409,
        "Something newer was signed for the product in between.",
        "Prepare and sign it again.",
    ),
    "manifest-too-many": Entry(
        409,
        "The product has more releases than can be signed.",
        "Withdraw old ones, or go on under another product.",
    ),
    "manifest-online-key-missing": Entry(
        503,
        "The hub does not hold the key that signs snapshots and timestamps of the product.",
        "Make another one: `entrepotd keys root PRODUCT --renew-online --key FILE`.",
    ),
}
