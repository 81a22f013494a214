"""A line on each command, so that the help and a Tab need not import them all."""

from collections.abc import Mapping

SUMMARIES: Mapping[str, str] = {
    "login": "Sign in: shows a page and a code to type there.",
    "logout": "End the sign-in at the hub, and delete the saved token.",
    "show-config": "Print the configuration in use as JSON, without tokens.",
    "entitlements": "List what your organisation is entitled to.",
    "entitlement": "Show one entitlement, with the children of a group.",
    "products": "List the products that your entitlements are for.",
    "releases": "List the releases of a product, or of an entitlement.",
    "artifacts": "List the files of a release.",
    "download": "Download a release of a product, and verify it.",
    "download-artifacts": "Download a release by its ids, and verify it.",
    "links": "Print fresh links to the files of a release, for other programs.",
    "bundle": "Write releases into one file for a hub without a network.",
    "sync": "Keep a folder in step with what your entitlements give.",
    "lock": "Pin releases, and their files by digest, in a file.",
    "verify": "Say which files of a folder are as published, without the hub.",
    "why": "Say why something may be downloaded, or not, and what to do.",
    "select": "Pick assets for an order.",
    "order": "Order assets, converted where you wish, as one ZIP.",
    "profile": "Hubs by name, each with its own sign-in.",
    "completion": "Print what makes a shell complete commands and products.",
    "doctor": "Look at all that a download depends on, and say what to do.",
    "trust": "Whose signatures count, product by product.",
}
