"""Licences that the command line names by their revision, accepted where a download needs them."""

from collections.abc import Sequence
from dataclasses import replace

from entrepot.cli.progress import Report
from entrepot.client import Client, LicenceNeeded, NotFound
from entrepot.client.licences import Licence, Named


def accept_named(
    client: Client, entitlement_id: str, named: Sequence[Named], report: Report
) -> LicenceNeeded | None:
    """Accept what an entitlement asks for if it is named; else the error that tells what is not.

    Raises every other ClientError.
    """
    try:
        wanted = client.licences.required(entitlement_id)
    except NotFound as error:
        return LicenceNeeded(
            "This hub takes an acceptance only on the licence's page.",
            agreement_url="",
            remedy=error.remedy,
        )
    mine = [one for one in named if one.is_of(wanted.code)]
    match = next((one for one in mine if one.revision == wanted.revision), None)
    if match is None:
        return _other(wanted, mine)
    try:
        done = client.licences.accept(entitlement_id, replace(match, code=wanted.code))
    except LicenceNeeded as error:
        return error
    report.say(f"Accepted {done.name}: {done.code}@{done.revision} (SHA-256 {done.sha256})")
    report.tell("licence_accepted", licence=done.code, revision=done.revision, sha256=done.sha256)
    return None


def _other(wanted: Licence, mine: Sequence[Named]) -> LicenceNeeded:
    current = f"{wanted.code}@{wanted.revision}"
    said = ", ".join(f"{one.code or wanted.code}@{one.revision}" for one in mine)
    return LicenceNeeded(
        f"The licence that has to be accepted is {current}"
        + (f", not {said}." if said else ", which --accept-licence does not name."),
        agreement_url=wanted.url,
        remedy=f"Read it, then name it: --accept-licence {current}",
        reason="licence-required",
    )
