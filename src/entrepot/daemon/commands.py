"""The commands of `entrepotd`, in the order of its help page: where each is, and what it does.

Said here as well, so that the help page imports none of them; a test compares the two.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Listed(NamedTuple):
    """The module of a command, and the first sentence of its own help."""

    module: str
    does: str


COMMANDS: Mapping[str, Listed] = {
    "init": Listed(
        "starting", "Make a hub in the folder --data, with a secret key; harmless when repeated."
    ),
    "serve": Listed("serve", "Serve the hub in the folder --data until SIGTERM or Ctrl-C."),
    "work": Listed("work", "Convert and pack what is ordered, until SIGTERM or Ctrl-C."),
    "migrate": Listed(
        "starting",
        "Bring folders, database and keys to what this version expects; harmless when repeated.",
    ),
    "check": Listed(
        "check", "Print the settings in force, and test database, keys, stored files and disk."
    ),
    "keys": Listed(
        "keys",
        "List and rotate the keys that sign tokens and links; make those that sign releases.",
    ),
    "organisation": Listed("organisations", "Add, list, block and unblock organisations."),
    "user": Listed("users", "Add and list people, set passwords and roles, disable and enable."),
    "client": Listed("clients", "Add, list, disable and enable programs; give them new secrets."),
    "token": Listed(
        "tokens",
        "Print a fresh access token of a person (number or mail address) or machine (client id).",
    ),
    "personal-tokens": Listed(
        "personal_tokens", "Make, list and revoke people's access tokens for CI."
    ),
    "licence": Listed("licences", "Add, revise, list and show licences."),
    "product": Listed("products", "Add, change, list and show products."),
    "publish": Listed(
        "publish",
        "Publish VERSION of PRODUCT (code or number) with its files; prints the release.",
    ),
    "import": Listed(
        "importing",
        "Import the releases of FILE.tar, which `entrepot bundle` made at another hub.",
    ),
    "sign": Listed(
        "sign",
        "Sign the releases of PRODUCT (code or number) that are not signed yet, or each RELEASE.",
    ),
    "releases": Listed(
        "releases", "List the releases of PRODUCT (code or number) in any state, newest first."
    ),
    "withdraw": Listed(
        "releases",
        "Withdraw RELEASE (its UUID): links die in seconds, running downloads go on to their end.",
    ),
    "assets": Listed("assets", "Add, list, show, change and delete media assets."),
    "grant": Listed(
        "grants",
        "Give ORGANISATION (number or name) PRODUCT (code or number); prints the entitlement.",
    ),
    "revoke": Listed(
        "grants",
        "End ENTITLEMENT (its number): links die in seconds, running downloads go on to their end.",
    ),
    "entitlement": Listed(
        "grants", "List and show entitlements; `grant` and `revoke` make and end them."
    ),
    "downloads": Listed(
        "downloads",
        "List downloads, newest first: who, what, how many bytes, and when it was complete.",
    ),
    "contacts": Listed("contacts", "List visitors who left their contact, and forget them."),
    "webhooks": Listed(
        "webhooks", "Subscribe receivers to events; see, repeat and test deliveries."
    ),
    "audit": Listed("audit", "Export the log of every change, decision and download."),
    "sweep": Listed(
        "sweep",
        "Remove stored files that nothing refers to, deleted assets, and what killed runs left.",
    ),
    "sandbox": Listed(
        "sample_world",
        "Print what the sandbox in --data holds: users, passwords, clients, products, files.",
    ),
    "version": Listed("starting", "Print the versions of Entrepot, Python and SQLite."),
}
ALIASES: Mapping[str, str] = {
    "asset": "assets",
    "clients": "client",
    "contact": "contacts",
    "download": "downloads",
    "entitlements": "entitlement",
    "key": "keys",
    "license": "licence",
    "licences": "licence",
    "organisations": "organisation",
    "organization": "organisation",
    "personal-token": "personal-tokens",
    "products": "product",
    "release": "releases",
    "tokens": "personal-tokens",
    "users": "user",
    "webhook": "webhooks",
}
