"""/openapi.json against the whole application: what is answered is what is documented.

Schemathesis makes requests to every operation of every door, right ones and wrong ones. The
caller is an operator; every other request names objects that exist, so that it goes deep.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from entrepot.assembly import Hub
from entrepot.core import delivery, orders
from entrepot.web.orders_api import _events
from tests import factories
from tests.doors.admin_world import URL, Desk, open_desk

# For each operation; the long runs are in test_openapi_engine.py.
EXAMPLES_MAX = {GenerationMode.POSITIVE: 4, GenerationMode.NEGATIVE: 1}
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
FAULTS = (AssertionError, schemathesis.errors.SchemathesisError, BaseExceptionGroup)
DOORS = {
    "/api/admin/v1",
    "/api/downloadorders",
    "/api/selection",
    "/api/entities",
    "/api/v2/products",
    "/downloads/",
    "/e-product-entitlement-customer",
    "/oauth",
    "/.well-known",
    "/dl",
}


@pytest.fixture
def desk(hub: Hub) -> Iterator[Desk]:
    with open_desk(hub) as opened:
        yield opened


@pytest.mark.parametrize("dialect", ["sqlite"])
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_documented(
    desk: Desk, mode: GenerationMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An order that was retried is never done here: nobody works at it.
    monkeypatch.setattr(_events, "STREAM_SECONDS_MAX", 0.2)
    known = _world(desk)
    answered: dict[str, set[int]] = {}
    faults: list[str] = []
    for operation in _operations(desk, _document(desk)):
        if mode is GenerationMode.NEGATIVE and not operation.body:
            continue  # what takes time; the soak has them all
        statuses = answered.setdefault(operation.label, set())
        try:
            _drive(operation, mode, known, desk.token, statuses)
        except Unsatisfiable:
            # Nothing about it can be wrong.
            assert mode is GenerationMode.NEGATIVE
            assert not operation.body
        except FAULTS as fault:
            faults.append(f"{operation.label}: {fault}")
    assert not faults, "\n\n".join(faults)
    if mode is GenerationMode.NEGATIVE:
        assert len(answered) > 25
    if mode is GenerationMode.POSITIVE:
        assert all(any(door in label for label in answered) for door in DOORS)
        # Not all were refused: the requests reached the verbs.
        good = [label for label, statuses in answered.items() if min(statuses) < 300]
        assert len(good) > len(answered) / 2


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_every_operation_has_an_id_of_its_own_a_summary_and_a_tag(desk: Desk) -> None:
    documented = [
        operation
        for path in _document(desk)["paths"].values()
        for method, operation in path.items()
        if method != "parameters"
    ]
    ids = [operation["operationId"] for operation in documented]
    assert len(set(ids)) == len(ids) > 80
    assert all(operation["summary"] and operation["tags"] for operation in documented)


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_an_answer_that_is_not_documented_is_caught(desk: Desk) -> None:
    """The checks themselves: what is taken out of the document is missed."""
    path = "/api/admin/v1/products/{product}"

    def drive(document: dict[str, Any]) -> None:
        document["paths"] = {path: {"get": document["paths"][path]["get"]}}
        [operation] = _operations(desk, document)
        _drive(operation, GenerationMode.POSITIVE, {}, desk.token, set())

    drive(_document(desk))
    without_status = _document(desk)
    del without_status["paths"][path]["get"]["responses"]["404"]
    with pytest.raises(FAULTS, match="Undocumented status code"):
        drive(without_status)
    without_field = _document(desk)
    without_field["components"]["schemas"]["Problem"]["properties"]["code"] = {"type": "integer"}
    with pytest.raises(FAULTS, match=r"is not of type .integer"):
        drive(without_field)


def _document(desk: Desk) -> dict[str, Any]:
    document: dict[str, Any] = desk.ask("GET", "/openapi.json").json()
    return document


def _operations(desk: Desk, document: dict[str, Any]) -> Iterator[Any]:
    """Every documented operation, bound to the application."""
    schema = schemathesis.openapi.from_dict(document)
    schema.app = _without_lifespan(desk.app)
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        yield result.ok()


def _drive(
    operation: Any, mode: GenerationMode, known: dict[str, str], token: str, statuses: set[int]
) -> None:
    """A few requests to one operation."""

    @given(case=operation.as_strategy(generation_mode=mode), real=st.booleans())
    @settings(
        max_examples=EXAMPLES_MAX[mode],
        phases=[Phase.generate],
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def drive(case: Any, real: bool) -> None:
        if real:
            case.path_parameters.update(
                {name: known[name] for name in case.path_parameters if name in known}
            )
        headers = {"Authorization": f"Bearer {token}"}
        response = case.call(base_url=URL, headers=headers)
        statuses.add(response.status_code)
        checks = CHECKS
        if (operation.path.rpartition("/")[2], response.status_code) == ("fasp", 501):
            checks = CHECKS[1:]  # the contract's answer of a hub without Aspera
        case.validate_response(response, checks=checks)

    drive()


def _world(desk: Desk) -> dict[str, str]:
    """An object for every name in a path."""
    hub, owner = desk.hub, desk.operator.organisation_id
    desk.made("/licences", {"code": "EULA", "name": "Terms", "text": "You may."})
    desk.made("/organisations", {"name": "Blocked and unblocked", "country": "DE"})
    release_id = desk.draft("P1")
    artifact_id = desk.upload(release_id, b"bytes")["id"]
    desk.done("POST", f"/releases/{release_id}/available")
    with hub.database.write() as tx:
        number = str(factories.grant(tx, owner, "P1"))
        shown = str(factories.add_product_download(tx, "P1", store=hub.blobs))
        factories.add_user(tx, owner, email="ada@example.com")
        machine, _ = factories.add_client(tx, owner)
        link = delivery.issue_artifact_link(
            tx,
            hub.keys.current,
            desk.operator,
            number=number,
            release_id=release_id,
            artifact_id=artifact_id,
            declared_country=None,
            embargoed=(),
            seconds=600,
            now=hub.now(),
        )
    token, _, file_name = link.path.partition("/")
    asset, order_id = _order(desk)
    return {
        "entity_id": str(asset),
        "name": "downloadOriginal",
        "order_id": str(order_id),
        "pool": "pool",
        "definition": "M.Asset",
        "user_id": str(desk.operator.id),
        "product": "P1",
        "licence": "EULA",
        "revision": "1",
        "release_id": release_id,
        "artifact_id": artifact_id,
        "entitlement_id": number,
        "organisation": "Blocked and unblocked",
        "user": "ada@example.com",
        "client_id": machine.label.removeprefix("client:"),
        "token": token,
        "file_name": file_name,
        "download_id": shown,
        "id": shown,
    }


def _order(desk: Desk) -> tuple[int, int]:
    """An asset, and a finished order of it."""
    hub, who = desk.hub, desk.operator
    with hub.database.write() as tx:
        asset = factories.add_asset(tx, store=hub.blobs)
        body = {"order": {"individual": {str(asset): {"renditions": ["downloadOriginal"]}}}}
        request = orders.parse_order_request(body)
        placed = orders.place_order(tx, who, request, rules=hub.media, now=hub.now())
    orders.complete_order(hub.database, hub.blobs, placed.order_id, rules=hub.media, now=hub.now)
    return asset, placed.order_id


def _without_lifespan(app: Any) -> Any:
    """Schemathesis would keep the application running until the process ends."""

    async def call(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})

    return call
