"""Errors of the entitlement API (contract, section 3): shape, reason, remedy, and who sees what."""

import dataclasses
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from edmgr.client import _handle_eula_error, _handle_response

from entrepot.assembly import Hub
from entrepot.core import accounts, catalogue, entitlements
from entrepot.db import Tx, connect
from entrepot.errors import EntrepotError, StorageFull, TooMany, Unavailable
from entrepot.web.entitlement_api import create_router
from tests import factories
from tests.doors.entitlement_world import (
    DAY,
    MISSING,
    NOT_FOUND,
    ROOT,
    URL,
    Offer,
    add_offer,
    artifact_path,
    open_door,
    release_path,
    releases_path,
)

Made: TypeAlias = Mapping[str, Any]
FAULT_KEYS = {"errorCode", "errorDescription", "reason", "remedy"}


def _block(tx: Tx, offer: Offer, now: datetime) -> None:
    accounts.block_organisation(
        tx, offer.who.organisation_id, blocked=True, actor="operator", now=now
    )


def _revoke(tx: Tx, offer: Offer, now: datetime) -> None:
    entitlements.revoke(tx, offer.number, actor="operator", now=now)


def _withdraw(tx: Tx, offer: Offer, now: datetime) -> None:
    catalogue.withdraw_release(tx, offer.release.id, actor="operator", now=now)


def _disable(tx: Tx, offer: Offer, now: datetime) -> None:
    accounts.disable_user(tx, offer.who.id, actor="operator", now=now)


def _nothing(_tx: Tx, _offer: Offer, _now: datetime) -> None:
    pass


Change: TypeAlias = Callable[[Tx, Offer, datetime], None]
# verdict -> how the offer differs, what happens to it, the operator's embargo, the declaration
CASES: Mapping[str, tuple[Callable[[datetime], Made], Change, tuple[str, ...], str | None]] = {
    "account-disabled": (lambda _: {}, _disable, (), None),
    "organisation-blocked": (lambda _: {}, _block, (), None),
    "entitlement-revoked": (lambda _: {}, _revoke, (), None),
    "entitlement-not-started": (
        lambda now: {"grant": {"valid_from": now + DAY}}, _nothing, (), None,
    ),
    "entitlement-expired": (lambda now: {"grant": {"valid_to": now - DAY}}, _nothing, (), None),
    "compliance-blocked": (lambda _: {"grant": {"compliance": "blocked"}}, _nothing, (), None),
    "compliance-pending": (
        lambda _: {"grant": {"compliance": "pending"}, "product": {"eccn_restricted": True}},
        _nothing, (), None,
    ),
    "release-withdrawn": (lambda _: {}, _withdraw, (), None),
    "before-maintenance": (
        lambda now: {"grant": {"maintenance_from": now - 5 * DAY}}, _nothing, (), None,
    ),
    "maintenance-ended": (
        lambda now: {"grant": {"maintenance_to": now - 20 * DAY}}, _nothing, (), None,
    ),
    "country-not-allowed": (
        lambda _: {"grant": {"allowed_countries": ("FR",)}}, _nothing, (), None,
    ),
    "country-embargoed": (lambda _: {}, _nothing, ("DE",), None),
    "declared-country-required": (
        lambda _: {"release": {"repository": "controlled-ip"}}, _nothing, (), None,
    ),
    "declared-country-not-allowed": (
        lambda _: {
            "release": {"repository": "controlled-ip"},
            "grant": {"allowed_countries": ("DE",)},
        },
        _nothing, (), "FR",
    ),
    "licence-required": (lambda _: {"product": {"licence_code": "TOOLS"}}, _nothing, (), None),
}  # fmt: skip


def test_every_reason_has_a_case() -> None:
    assert set(CASES) == set(entitlements.REASONS)


def test_every_verdict_is_told_with_its_remedy(hub: Hub) -> None:
    with hub.database.write() as tx:
        _add_licence(tx, hub.now())
    for verdict, (made, change, embargoed, declared) in CASES.items():
        with open_door(hub, embargoed=embargoed) as door:
            with hub.database.write() as tx:
                offer = add_offer(tx, now=hub.now(), **made(hub.now()))
            token = door.token(offer.who)
            assert door.get("", token).status_code == 200  # the token is known from here on
            with hub.database.write() as tx:
                change(tx, offer, hub.now())
            headers = {} if declared is None else {"declared-country-code": declared}
            for mode in ("http", "fasp"):
                answer = door.get(f"{offer.artifact}/{mode}", token, headers=headers)
                _check_refusal(answer.json(), answer.status_code, verdict)
                assert answer.headers["cache-control"] == "private, no-store"
            if verdict == "account-disabled":
                assert answer.headers["www-authenticate"].startswith("Bearer")
                door.edge.forget_tokens()  # as after 5 s: the door itself shuts the account out
                shut = door.get("", token)
                assert (shut.status_code, shut.json()["reason"]) == (401, verdict)


def _add_licence(tx: Tx, now: datetime) -> None:
    catalogue.add_licence(tx, code="TOOLS", name="Tools", text="One.", actor="operator", now=now)


def _check_refusal(body: Made, status: int, verdict: str) -> None:
    licence = verdict == "licence-required"
    assert status == (401 if verdict == "account-disabled" else 403)
    more = {"errorName", "agreementUrl"} if licence else set()
    assert set(body) == FAULT_KEYS | {"details"} | more
    if licence:
        assert (body["details"]["licence"], body["details"]["revision"]) == ("TOOLS", 1)
    if verdict == "entitlement-expired":
        assert body["details"]["valid_to"] in body["errorDescription"]
    assert (body["errorCode"], body["reason"]) == (status, verdict)
    assert body["remedy"]
    assert body["errorDescription"].endswith(f" {body['remedy']}")
    assert "{" not in body["errorDescription"]


RELEASE_VERDICTS = [
    "organisation-blocked",
    "entitlement-revoked",
    "entitlement-not-started",
    "entitlement-expired",
    "compliance-blocked",
    "compliance-pending",
    "release-withdrawn",
    "before-maintenance",
    "maintenance-ended",
]


def test_releases_and_artifacts_are_refused_for_the_same_reasons(hub: Hub) -> None:
    with open_door(hub) as door:
        for verdict in RELEASE_VERDICTS:
            made, change, _, _ = CASES[verdict]
            with hub.database.write() as tx:
                offer = add_offer(tx, now=hub.now(), **made(hub.now()))
                change(tx, offer, hub.now())
            token = door.token(offer.who)
            for path in (release_path(offer.number, offer.release.id), offer.artifact):
                answer = door.get(path, token)
                _check_refusal(answer.json(), answer.status_code, verdict)
            listed = door.get(releases_path(offer.number), token)
            if verdict in ("release-withdrawn", "before-maintenance", "maintenance-ended"):
                assert listed.json() == {"totalNumberOfItems": 0, "items": []}
            else:
                _check_refusal(listed.json(), listed.status_code, verdict)
            assert door.get(f"/{offer.number}", token).status_code == 200


def test_lapsed_maintenance_names_the_newest_release_that_is_still_owned(hub: Hub) -> None:
    now = hub.now()
    with open_door(hub) as door:
        with hub.database.write() as tx:
            window = {"maintenance_from": now - 300 * DAY, "maintenance_to": now - 100 * DAY}
            offer = add_offer(
                tx, now=now, grant=window, release={"name": "2.0", "available_at": now - DAY}
            )
            ages = {"1.0": 200, "1.1": 150, "0.9": 400, "2.1": 2}
            owned = {
                name: factories.add_release(
                    tx, offer.product, name=name, available_at=now - age * DAY
                ).id
                for name, age in ages.items()
            }
        token = door.token(offer.who)
        assert door.get("", token).json()["items"][0]["status"] == "Lapsed"
        listed = door.get(releases_path(offer.number), token).json()
        assert [item["name"] for item in listed["items"]] == ["1.1", "1.0"]
        assert door.get(release_path(offer.number, owned["1.0"]), token).status_code == 200
        for path, reason in (
            (offer.artifact + "/http", "maintenance-ended"),
            (release_path(offer.number, owned["2.1"]), "maintenance-ended"),
            (release_path(offer.number, owned["0.9"]), "before-maintenance"),
        ):
            refused = door.get(path, token)
            assert (refused.status_code, refused.json()["reason"]) == (403, reason)
            assert f"1.1 ({owned['1.1']})" in refused.json()["remedy"]


def test_a_licence_is_accepted_on_the_page_that_the_refusal_names(hub: Hub) -> None:
    now = hub.now()
    with open_door(hub) as door:
        with hub.database.write() as tx:
            _add_licence(tx, now)
            catalogue.revise_licence(tx, code="TOOLS", text="Two.", actor="operator", now=now)
            offer = add_offer(tx, now=now, product={"licence_code": "TOOLS"})
            machine, _ = factories.add_client(tx, offer.who.organisation_id)
        token, machines = door.token(offer.who), door.token(machine)
        assert door.get(offer.artifact, token).status_code == 200  # to look is free
        body = door.get(f"{offer.artifact}/http", token).json()
        assert body["errorName"] == "download-error-eula-required"
        page = urlsplit(body["agreementUrl"])
        assert f"{page.scheme}://{page.netloc}{page.path}" == f"{URL}/licences/TOOLS"
        assert parse_qs(page.query) == {
            "revision": ["2"],
            "return": [f"/entitlements/{offer.number}"],
        }
        for whole, granted in ((False, token), (True, machines)):
            assert door.get(f"{offer.artifact}/http", granted).status_code == 403
            with hub.database.write() as tx:
                entitlements.accept_licence(
                    tx, offer.who, code="TOOLS", revision=2, for_organisation=whole, now=now
                )
            assert door.get(f"{offer.artifact}/http", granted).status_code == 200
        with hub.database.write() as tx:
            catalogue.revise_licence(tx, code="TOOLS", text="Three.", actor="operator", now=now)
        again = door.get(f"{offer.artifact}/http", token).json()
        assert "revision=3" in again["agreementUrl"]


def test_a_controlled_file_needs_the_country_it_goes_to(hub: Hub) -> None:
    with open_door(hub, embargoed=("KP",)) as door:
        with hub.database.write() as tx:
            offer = add_offer(tx, now=hub.now(), release={"repository": "a-controlled-one"})
            plain = factories.add_release(tx, offer.product, available_at=hub.now() - DAY)
        token = door.token(offer.who)
        assert door.get(offer.artifact, token).json()["repository"] == "a-controlled-one"

        def declare(country: str) -> tuple[int, Any]:
            answer = door.get(
                f"{offer.artifact}/http", token, headers={"declared-country-code": country}
            )
            return answer.status_code, answer.json().get("reason")

        assert declare("DE") == declare(" us ") == (200, None)
        assert declare("KP") == (403, "declared-country-not-allowed")
        for wrong in ("XX", "DEU", "", "Germany", "D3"):
            assert declare(wrong) == (400, "country-invalid")
        path = artifact_path(offer.number, plain.id, plain.artifact_ids[0])
        assert door.get(f"{path}/http", token).status_code == 200
        wrong_header = {"declared-country-code": "XX"}
        refused = door.get(f"{path}/http", token, headers=wrong_header).json()
        assert refused["field"] == "declared-country-code"


def test_the_lease_keeps_what_was_declared(hub: Hub) -> None:
    with open_door(hub) as door:
        with hub.database.write() as tx:
            offer = add_offer(tx, now=hub.now(), release={"repository": "controlled"})
        headers = {"declared-country-code": "fr"}
        assert door.get(f"{offer.artifact}/http", door.token(offer.who), headers=headers).is_success
        with hub.database.read() as tx:
            found = tx.exec_driver_sql(
                "SELECT principal, country, declared_country, entitlement_id FROM leases"
            ).all()
        assert [tuple(row) for row in found] == [(offer.who.label, "DE", "FR", offer.number)]


def test_aspera_is_decided_first_and_then_not_offered(hub: Hub) -> None:
    with open_door(hub) as door:
        with hub.database.write() as tx:
            offer = add_offer(tx, now=hub.now())
        token = door.token(offer.who)
        answer = door.get(f"{offer.artifact}/fasp", token)
        assert (answer.status_code, set(answer.json())) == (501, FAULT_KEYS)
        assert answer.json()["reason"] == "fasp-not-configured"
        missing = artifact_path(offer.number, offer.release.id, MISSING)
        assert door.get(f"{missing}/fasp", token).content == NOT_FOUND
        with hub.database.read() as tx:
            assert tx.exec_driver_sql("SELECT count(*) FROM leases").scalar_one() == 0


def _as_the_client_sees_it(status: int, body: bytes) -> Any:
    response = requests.Response()
    response.status_code, response._content, response.url = status, body, f"{URL}{ROOT}"
    response.reason = "Reason"
    return _handle_response(response)


def test_the_real_client_tells_the_refusals_apart(hub: Hub) -> None:
    """Its own code: it takes errorName for data, and stumbles over what it cannot use."""
    with open_door(hub) as door:
        with hub.database.write() as tx:
            _add_licence(tx, hub.now())
            bound = add_offer(tx, now=hub.now(), product={"licence_code": "TOOLS"})
            plain = add_offer(tx, now=hub.now(), grant={"valid_to": hub.now() - DAY})
            good = add_offer(tx, now=hub.now())

        def seen(path: str, offer: Offer) -> Any:
            answer = door.get(path, door.token(offer.who))
            return _as_the_client_sees_it(answer.status_code, answer.content)

        told = _handle_eula_error(seen(f"{bound.artifact}/http", bound))
        assert told is not None
        assert all(isinstance(told[key], str) and told[key] for key in ("description", "url"))
        assert _handle_eula_error(seen(f"{bound.artifact}/fasp", bound)) == told
        for path, offer in ((f"{plain.artifact}/http", plain), (f"{good.artifact}/fasp", good)):
            with pytest.raises(requests.HTTPError, match=r"403|501"):
                seen(path, offer)
        assert seen(f"{good.artifact}/http", plain) == {}


def test_who_is_not_signed_in_gets_401(hub: Hub) -> None:
    with open_door(hub) as door:
        with hub.database.write() as tx:
            offer = add_offer(tx, now=hub.now())
        token = door.token(offer.who)
        paths = ["", f"/{offer.number}", releases_path(offer.number), f"{offer.artifact}/http"]
        for path in paths:
            none = door.get(path)
            assert (none.status_code, none.json()["reason"]) == (401, "token-missing")
            assert none.headers["www-authenticate"] == "Bearer"
            for wrong in (token[:-2], "garbage", "a.b.c", token + "x", "x" * 9000):
                refused = door.get(path, wrong)
                assert (refused.status_code, refused.json()["reason"]) == (401, "token-invalid")
                assert set(refused.json()) == FAULT_KEYS
                assert refused.headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_a_token_without_the_scope_is_no_use_here(hub: Hub) -> None:
    with open_door(hub) as door:
        with hub.database.write() as tx:
            offer = add_offer(tx, now=hub.now())
        refused = door.get(f"/{offer.number}", door.token(offer.who, ("publish", "admin")))
        assert (refused.status_code, refused.json()["reason"]) == (403, "scope-required")
        assert set(refused.json()) == FAULT_KEYS | {"details"}
        assert refused.json()["details"] == {"scope": "entitlements"}


def test_not_there_not_yours_and_nonsense_are_the_same_bytes(hub: Hub) -> None:
    with open_door(hub) as door:
        with hub.database.write() as tx:
            mine, theirs = add_offer(tx, now=hub.now()), add_offer(tx, now=hub.now())
        token = door.token(mine.who)
        release, artifact = mine.release.id, mine.release.artifact_ids[0]
        numbers = (
            theirs.number, 10**8, 10**17, 2**63, 0, -1, "01", "1e3", "x", "%00", "..;", "٣",
            "' OR 1=1 --", "9" * 300,
        )  # fmt: skip
        paths = [f"/{number}" for number in numbers]
        paths += [release_path(mine.number, other) for other in (theirs.release.id, MISSING, "x")]
        paths += [releases_path(number) for number in numbers]
        paths += [
            theirs.artifact,
            artifact_path(mine.number, release, theirs.release.artifact_ids[0]),
            artifact_path(mine.number, theirs.release.id, artifact),
            artifact_path(theirs.number, release, artifact),
            artifact_path(mine.number, release, MISSING),
            artifact_path(mine.number, release.replace("-", ""), artifact),
            artifact_path(mine.number, f"{{{release}}}", artifact),
        ]
        paths += [f"{path}/http" for path in paths[-7:]] + [f"{path}/fasp" for path in paths[-7:]]
        for path in paths:
            answer = door.get(path, token)
            assert (answer.status_code, answer.content) == (404, NOT_FOUND), path


def test_what_is_no_endpoint_is_told_apart_by_its_form_alone(hub: Hub) -> None:
    with open_door(hub) as door:
        with hub.database.write() as tx:
            offer, theirs = add_offer(tx, now=hub.now()), add_offer(tx, now=hub.now())
        token = door.token(offer.who)
        release = release_path(offer.number, offer.release.id)
        said = set()
        for ending in (
            "/rights",
            "/rights/download",
            "/rights/download/release",
            "/left/over",
            f"{release}/artifact".removeprefix(f"/{offer.number}"),
            f"{release}/artifacts/{MISSING}".removeprefix(f"/{offer.number}"),
            f"{offer.artifact}/ftp".removeprefix(f"/{offer.number}"),
            f"{offer.artifact}/http/more".removeprefix(f"/{offer.number}"),
            f"{offer.artifact}/fasp/more".removeprefix(f"/{offer.number}"),
        ):
            for number in (offer.number, theirs.number, "x"):
                for asker in (token, "", "no token"):
                    answer = door.get(f"/{number}{ending}", asker)
                    assert (answer.status_code, set(answer.json())) == (404, FAULT_KEYS), ending
                    said.add(answer.content)
        [body] = said
        assert body != NOT_FOUND
        assert b"There is no such endpoint." in body
        release = release_path(offer.number, offer.release.id)
        for path in ("", f"/{offer.number}", release, f"{offer.artifact}/http"):
            for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                refused = door.ask(ROOT + path, token, method=method)
                assert (refused.status_code, set(refused.json())) == (405, FAULT_KEYS)
                assert refused.headers["allow"] == "GET, HEAD"


def test_a_database_that_is_gone_is_503_with_a_moment_to_come_back(hub: Hub) -> None:
    with open_door(hub) as door:
        with hub.database.write() as tx:
            offer = add_offer(tx, now=hub.now())
        token = door.token(offer.who)
        assert door.get("", token).status_code == 200  # the token is known from here on
        gone = connect("sqlite:////nowhere/at-all/entrepot.sqlite3")
        door.edge.hub = dataclasses.replace(door.hub, database=gone)
        for path in ("", f"/{offer.number}", f"{offer.artifact}/http"):
            answer = door.get(path, token)
            assert (answer.status_code, set(answer.json())) == (503, FAULT_KEYS)
            assert int(answer.headers["retry-after"]) > 0
        gone.close()


def test_not_now_says_when(hub: Hub) -> None:
    """Straight through the door's handler: no verb of today fails in the last two ways."""
    with open_door(hub) as door:
        handlers: Any = create_router(door.edge).exception_handlers
        kinds: dict[type[Unavailable], int] = {Unavailable: 503, StorageFull: 503, TooMany: 429}
        for kind, status in kinds.items():
            answer = handlers[EntrepotError](None, kind("Not now.", retry_after_seconds=30))
            assert answer.status_code == status
            assert answer.headers["retry-after"] == "30"
            assert answer.headers["cache-control"] == "private, no-store"
