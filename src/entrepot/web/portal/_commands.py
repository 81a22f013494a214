"""How a release is fetched from a command line: lines to paste into a shell."""

from dataclasses import dataclass
from shlex import quote

from entrepot.core.catalogue.repositories import is_controlled
from entrepot.core.entitlements import Entitlement, Release

# The entitlement API's address (contract 1); doors do not know each other.
ENTITLEMENTS_PATH = "/e-product-entitlement-customer/v1/entitlements"


@dataclass(frozen=True, slots=True)
class Commands:
    """By what, and the line: our own command, curl, and aria2c by the release's Metalink.

    Where a country has to be declared, it is the shell's variable COUNTRY.
    """

    lines: tuple[tuple[str, str], ...]
    declare_country: bool


def asks_for_country(release: Release) -> bool:
    """Whether it is asked for some file of the release to which country it goes."""
    return any(is_controlled(artifact.repository) for artifact in release.artifacts)


def release_commands(public_url: str, entitlement: Entitlement, release: Release) -> Commands:
    """The lines that fetch all files of the release."""
    controlled = asks_for_country(release)
    ours = f"entrepot --url {quote(public_url)}"
    named = quote(f"{entitlement.product.code}@{release.name}")
    country = ' --country "$COUNTRY"' if controlled else ""
    header = ' -H "declared-country-code: $COUNTRY"' if controlled else ""
    path = f"{ENTITLEMENTS_PATH}/{entitlement.number}/rights/download/releases/{release.id}"
    metalink = quote(f"{public_url}{path}/metalink")
    bearer = '-H "Authorization: Bearer $ENTREPOT_TOKEN"'
    lines = (
        ("entrepot", f"{ours} download {named}{country}"),
        ("curl", f"{ours} links {named}{country} | sh"),
        ("aria2c", f"curl -fsS {bearer}{header} {metalink} | aria2c --metalink-file=-"),
    )
    return Commands(lines, controlled)
