"""Why a link would be issued or not: the predicate's checks, and room in the quota.

Nothing is written: no lease, no reservation, no event. Asking is not taking, and a refusal that
was only asked about is no refused download: it would make the log's count of them useless.
"""

from collections.abc import Sequence
from datetime import datetime

from entrepot.core.accounts import Principal
from entrepot.core.delivery.links import link_request, require_room_for
from entrepot.core.delivery.quotas import find_quota
from entrepot.core.entitlements import (
    FAILED,
    NOT_REACHED,
    PASSED,
    ChainFilter,
    Check,
    Explanation,
    Reference,
    explain_artifact,
    find_chains,
    refer,
)
from entrepot.db import Tx
from entrepot.errors import Denied

QUOTA = "quota"


def explain_artifact_link(
    tx: Tx,
    who: Principal,
    *,
    number: str,
    release_id: str,
    artifact_id: str,
    declared_country: str | None,
    embargoed: Sequence[str] = (),
    now: datetime,
) -> Explanation:
    """What `issue_artifact_link` would decide now, check by check.

    It is `allowed` exactly when a link would be issued, its verdict is the reason of the
    refusal otherwise, and NotFound and Invalid are raised for the same requests.
    """
    return _explain(
        tx, who, refer(number), release_id, artifact_id, declared_country, embargoed, now
    )


def explain_links(
    tx: Tx,
    who: Principal,
    wanted: ChainFilter,
    *,
    declared_country: str | None,
    embargoed: Sequence[str] = (),
    now: datetime,
) -> tuple[list[Explanation], int]:
    """The same for up to 100 artifacts that the caller names, by every entitlement to them.

    With them comes how many there are in all. NotFound where there is none.
    """
    chains, total = find_chains(tx, who.organisation_id, wanted, now=now)
    found = [
        _explain(
            tx,
            who,
            chain.reference,
            chain.release_id,
            chain.artifact_id,
            declared_country,
            embargoed,
            now,
        )
        for chain in chains
    ]
    return found, total


def _explain(
    tx: Tx,
    who: Principal,
    reference: Reference,
    release_id: str,
    artifact_id: str,
    declared_country: str | None,
    embargoed: Sequence[str],
    now: datetime,
) -> Explanation:
    request = link_request(who, reference, release_id, artifact_id, declared_country, embargoed)
    found = explain_artifact(tx, request, now=now)
    return found.with_check(_quota_check(tx, who, found, now))


def _quota_check(tx: Tx, who: Principal, found: Explanation, now: datetime) -> Check:
    """Room is looked for only where the predicate has granted, as when a link is issued."""
    if not found.allowed:
        return Check(QUOTA, NOT_REACHED)
    if not found.limited:
        return Check(QUOTA, PASSED, "The entitlement has no quota.")
    try:
        require_room_for(tx, who, found, now=now)
    except Denied as error:
        return Check(
            QUOTA, FAILED, error.message, error.code, error.remedy, facts=dict(error.details)
        )
    quota = find_quota(tx, found.entitlement_id, now=now)
    limits = {
        "downloads": (quota.downloads_max, quota.downloads_used),
        "bytes": (quota.bytes_max, quota.bytes_used),
        "addresses": (quota.addresses_max, quota.addresses_used),
    }
    left = {
        name: (max(0, most - used), most)
        for name, (most, used) in limits.items()
        if most is not None
    }
    told = ", ".join(f"{rest} of {most} {name}" for name, (rest, most) in left.items())
    facts: dict[str, str | int | bool] = {f"{name}_left": rest for name, (rest, _) in left.items()}
    return Check(QUOTA, PASSED, f"The quota has room: {told} left.", facts=facts)
