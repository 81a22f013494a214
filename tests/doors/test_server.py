"""The frame around the doors: request ids, host names, prefixes, probes, the document."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import httpx
import pytest

from entrepot.assembly import Hub
from entrepot.core import accounts
from entrepot.web.server import build_app
from tests import factories

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def visiting(
    hub: Hub, address: str = "http://127.0.0.1:8080", peer: str = "127.0.0.1"
) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=build_app(hub), client=(peer, 40000))
    async with httpx.AsyncClient(transport=transport, base_url=address) as client:
        yield client


async def test_every_answer_has_the_request_s_id_or_a_new_one(hub: Hub) -> None:
    async with visiting(hub) as client:
        given = await client.get("/healthz", headers={"x-request-id": "build-4711-abc"})
        made = await client.get("/nowhere")
        forged = await client.get("/healthz", headers={"x-request-id": "a b\tc" * 8})
    assert given.headers["x-request-id"] == "build-4711-abc"
    assert len(made.headers["x-request-id"]) == 36
    assert len(forged.headers["x-request-id"]) == 36


@pytest.mark.parametrize("path", ["/nowhere", "/api/admin/v1/nowhere"])
async def test_a_path_that_leads_nowhere_is_told_from_an_object_that_is_not_there(
    hub: Hub, path: str
) -> None:
    async with visiting(hub) as client:
        answer = await client.get(path, headers={"accept": "application/json"})
    assert answer.status_code == 404
    assert answer.json()["code"] == "endpoint-unknown"
    assert "/openapi.json" in answer.json()["remedy"]


@pytest.mark.parametrize("path", ["/healthz", "/", "/nowhere", "/dl/x/y", "/oauth/token"])
async def test_security_headers_are_on_every_answer(hub: Hub, path: str) -> None:
    async with visiting(hub) as client:
        answer = await client.get(path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    # Pages need the Referer among themselves, against forged forms; links are never told.
    expected = "same-origin" if path == "/" else "no-referrer"
    assert answer.headers["referrer-policy"] == expected
    assert "server" not in answer.headers
    assert "entrepot-sandbox" not in answer.headers


async def test_a_sandbox_says_so_in_every_answer(hub: Hub) -> None:
    policy = replace(hub.policy, sandbox=True)
    asked = [
        *("/healthz", "/readyz", "/", "/nowhere", "/dl/x/y", "/openapi.json", "/oauth/token"),
        *("/api/admin/v1/nowhere", "/api/v2/products/1/downloads.json", "/static/nothing.css"),
        *("/e-product-entitlement-customer/v1/entitlements", "/api/downloadorders", "/metrics"),
    ]
    async with visiting(replace(hub, policy=policy)) as client:
        answers = [await client.get(path) for path in asked]
        answers.append(await client.get("/", headers={"host": "evil.example"}))
        answers.append(await client.request("BREW", "/oauth/token"))
    assert {answer.headers.get("entrepot-sandbox") for answer in answers} == {"true"}
    assert {200, 401, 404, 405, 421} <= {answer.status_code for answer in answers}


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1]:8080"])
async def test_another_host_name_is_refused(hub: Hub, host: str) -> None:
    async with visiting(hub) as client:
        answer = await client.get("/", headers={"host": host})
    assert answer.status_code == 421
    assert answer.json()["code"] == "host-unknown"


async def test_localhost_names_the_hub_too(hub: Hub) -> None:
    async with visiting(hub, "http://LOCALHOST:9") as client:
        assert (await client.get("/healthz")).status_code == 200


async def test_head_is_get_without_a_body(hub: Hub) -> None:
    async with visiting(hub) as client:
        got, head = await client.get("/product-codes"), await client.head("/product-codes")
    assert head.status_code == got.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == str(len(got.content))


@pytest.mark.parametrize("prefix", ["", "/hub"])
async def test_a_path_prefix_may_be_stripped_by_the_proxy_or_not(hub: Hub, prefix: str) -> None:
    policy = replace(hub.policy, public_url="http://127.0.0.1:8080/hub", path_prefix="/hub")
    async with visiting(replace(hub, policy=policy)) as client:
        answer = await client.get(f"{prefix}/.well-known/jwks.json")
    assert answer.json()["keys"]


async def test_ready_says_what_is_wrong(hub: Hub) -> None:
    async with visiting(hub) as client:
        ready = (await client.get("/readyz")).json()
        assert ready == {"status": "ready", "workers": "0", "conversions": "on"}
        hub.reserve.release()
        answer = await client.get("/readyz")
        alive = await client.get("/healthz")
    assert answer.status_code == 503
    assert "free some space" in answer.json()["disk"]
    assert alive.status_code == 200


async def test_metrics_are_for_loopback_and_operators(hub: Hub) -> None:
    with hub.database.write() as tx:
        home = factories.add_organisation(tx)
        operator = factories.add_user(tx, home, roles=["operator"])
        customer = factories.add_user(tx, home)
        tokens = {
            who: accounts.issue_token(
                tx, hub.keys.current, who, issuer=hub.policy.public_url, now=hub.now()
            ).value
            for who in (operator, customer)
        }
    async with visiting(hub) as near:
        assert "entrepot_request_seconds_count" in (await near.get("/metrics")).text
    async with visiting(hub, peer="198.51.100.7") as far:
        assert (await far.get("/metrics")).status_code == 403
        for who, status in ((operator, 200), (customer, 403)):
            headers = {"authorization": f"Bearer {tokens[who]}"}
            assert (await far.get("/metrics", headers=headers)).status_code == status


async def test_the_document_describes_every_door(hub: Hub) -> None:
    async with visiting(hub) as client:
        document = (await client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    paths = document["paths"]
    assert {"/dl/{token}/{file_name}", "/healthz", "/oauth/token"} <= paths.keys()
    assert any(path.startswith("/api/admin/v1/") for path in paths)
    operations = [
        operation
        for item in paths.values()
        for verb, operation in item.items()
        if verb in ("get", "head", "post", "put", "patch", "delete")
    ]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(operation["summary"] for operation in operations)


async def test_a_defect_is_told_in_one_line_and_hides_its_cause(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(type(hub.database), "read", break_down)
    async with visiting(hub) as client:
        answer = await client.get("/product-codes", headers={"accept": "application/json"})
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert answer.headers["x-request-id"]


async def test_lifespan_starts_and_stops_what_runs_beside_the_requests(hub: Hub) -> None:
    app = build_app(hub)
    sent: list[str] = []
    stop, answered = anyio.Event(), anyio.Event()
    messages = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, str]:
        message = next(messages)
        if message == "lifespan.shutdown":
            await stop.wait()
        return {"type": message}

    async def send(message: object) -> None:
        sent.append(json.loads(json.dumps(message))["type"])
        answered.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(app, {"type": "lifespan"}, receive, send)
        with anyio.fail_after(60):
            await answered.wait()
        stop.set()
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
