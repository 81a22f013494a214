"""What to tell a caller whose right does not hold now: the reason and the remedy."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from entrepot.errors import Denied, Unauthenticated


class Reason(NamedTuple):
    """Message and remedy; `{...}` is filled in from the details."""

    message: str
    remedy: str


REASONS: Mapping[str, Reason] = {
    "account-disabled": Reason(
        "The account that asks is disabled.", "Ask an operator of this hub."
    ),
    "organisation-blocked": Reason(
        "Downloads are blocked for your organisation.", "Contact the publisher."
    ),
    "entitlement-revoked": Reason(
        "The entitlement was revoked.", "Contact the publisher if this is unexpected."
    ),
    "entitlement-not-started": Reason(
        "The entitlement is valid from {valid_from}.", "Come back then."
    ),
    "entitlement-expired": Reason(
        "The entitlement ended on {valid_to}.", "Renew it with the publisher."
    ),
    "compliance-blocked": Reason(
        "The export compliance check of this entitlement ended with a refusal.",
        "Contact the publisher's export office.",
    ),
    "compliance-pending": Reason(
        "The product is export controlled and the compliance check is still open.",
        "Wait for the publisher to finish it.",
    ),
    "release-withdrawn": Reason(
        "The publisher has withdrawn this release.", "Take another release of the product."
    ),
    "before-maintenance": Reason(
        "The release is older than the maintenance period, which began on {maintenance_from}.",
        "{owned}",
    ),
    "maintenance-ended": Reason(
        "The maintenance period ended on {maintenance_to}; this release came later.", "{owned}"
    ),
    "country-not-allowed": Reason(
        "The entitlement does not allow downloads from {country}.",
        "Download from a country that the entitlement allows, or contact the publisher.",
    ),
    "country-embargoed": Reason(
        "Export rules forbid this download from {country}.", "Contact the publisher."
    ),
    "declared-country-required": Reason(
        "This file is controlled: the country it goes to must be declared.",
        "Send the header declared-country-code with the two-letter code of your country.",
    ),
    "declared-country-not-allowed": Reason(
        "The entitlement does not allow this file to go to {declared_country}.",
        "Contact the publisher.",
    ),
    "licence-required": Reason(
        "The licence {licence} (revision {revision}) has to be accepted first.",
        "Read and accept it, then ask again.",
    ),
}


def denial(verdict: str, details: Mapping[str, str | int | bool]) -> Denied:
    """The error for a verdict other than granted."""
    reason = REASONS[verdict]
    kind = Unauthenticated if verdict == "account-disabled" else Denied
    return kind(
        reason.message.format_map(details),
        code=verdict,
        remedy=reason.remedy.format_map(details),
        details=details,
    )


def day(instant: datetime | None) -> str:
    """A date for people, in UTC: 2026-01-31; empty where there is none."""
    return "" if instant is None else instant.date().isoformat()
