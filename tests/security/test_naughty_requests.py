"""Naughty strings, headers and bodies at every route, by every caller: never a 5xx, no traceback.

The requests are made from a fixed seed. They go to the application as ASGI has them, so that
no HTTP library tidies them up on the way.
"""

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import pytest

from entrepot.assembly import Hub
from entrepot.core import accounts, orders
from entrepot.web.server import Server, build_app
from tests import factories

pytestmark = pytest.mark.anyio
URL = "http://127.0.0.1:8080"
REQUESTS = 2500
FORM = "application/x-www-form-urlencoded"

STRINGS = [
    *(
        "",
        "0",
        "-1",
        "1",
        "x",
        "null",
        "NaN",
        "true",
        "1e5",
        "9" * 19,
        "9" * 5000,
        "-" + "9" * 5000,
    ),
    *("9223372036854775807", "9223372036854775808", "1000000001", "100001000003001"),
    *(
        "\u0661\u0662",
        "\uff11\uff10",
        "1\u200b",
        " 1",
        "1 ",
        "\x00",
        "a\x00b",
        "\r\nX: y",
        "\t",
        "\x7f",
    ),
    *(
        "\x80",
        "\ud800",
        "\ud83d\ude00",
        "\udfff\ud800",
        "\U0010ffff",
        "\ufeff",
        "\u202eabc",
        "\u2028",
    ),
    *(
        "..",
        "../..",
        "/",
        "//",
        "\\",
        "%2e%2e",
        "%2f",
        "%00",
        "%",
        "%zz",
        "%c3%28",
        "%ff",
        "?",
        "#",
        "&",
    ),
    *(
        "'",
        '"',
        "';--",
        "1' OR '1'='1",
        "{{7*7}}",
        "${7}",
        "<script>alert(1)</script>",
        "`",
        "|",
        ";",
    ),
    *("A" * 300, "A" * 5000, "\u00e9", "\u00df", "\ufb00", "\u0130", "e\u0301", "\u1e9e" * 200),
    *(
        "2026-01-01",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+23:59",
        "2026-02-30",
        "0000-00-00",
    ),
    *(
        "[]",
        "{}",
        '{"product.id":"\\ud800"}',
        '{"product.id":"\\u0000"}',
        '{"a":' * 500,
        "[" * 3000,
    ),
    *("{00000000-0000-4000-8000-000000000000}", "00000000000040008000000000000000"),
]
BODIES = [
    *(
        b"",
        b"{}",
        b"[]",
        b"null",
        b"1",
        b'"x"',
        b"{",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"[" * 20_000,
    ),
    *(b'{"name":"\\ud800"}', b'{"name":"\\u0000"}', b'{"name":1e999}', b'{"name":null}'),
    *(b'{"name":' + b"9" * 5000 + b"}", b'{"name":"a","name":"b"}', b"\x00" * 1000, b"=&=&=" * 100),
]
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    2**63,
    2**64,
    1.5,
    1e308,
    [],
    {},
    [None],
    ["\x00"],
    {"a": {}},
    ["x"] * 3,
]
HEADERS = (
    "accept accept-language authorization content-digest content-encoding content-type cookie "
    "declared-country-code expect forwarded if-match if-modified-since if-none-match if-range "
    "if-unmodified-since last-event-id origin range referer sec-fetch-site te user-agent "
    "x-client-id x-forwarded-for x-http-method-override x-request-id"
)
PARAMETERS = (
    "artifact content_type definitionName definitionNames file_name lastEventId limit mediaGroup "
    "name next offset organisation page repository return revision search skip subPoolId take x"
)
FIELDS = (
    "accepted_for allowed_countries available_at client_id client_secret code compliance country "
    "delivery_method design_start email family_name form_token foundries free given_name "
    "grant_type grouped licence listed major_version members name organisation password patch "
    "pinned_licence pinned_revision process product purpose qualities quality return revision "
    "right_to roles sales_order_item scope scopes text type us_eccn valid_from valid_to"
)
# Bodies of orders and of changes of selections, of which a part is put out of shape.
ORDER: dict[str, Any] = {
    "name": "n",
    "culture": "en-US",
    "item_name_resolver_id": "standard",
    "download_order_type": "Standard",
    "target_selection": {"selectionPool": "pool", "subPoolId": 0, "definitionName": "M.Asset"},
    "order": {
        "zip_filename": "z",
        "individual": {},
        "global": {
            "M.AssetMedia.Documents": {"renditions": ["Original"]},
            "M.AssetMedia.Images": {
                "presets": ["web"],
                "conversions": [
                    [
                        {"type": "resize", "value": {"width": 10, "fit": "cover"}},
                        {"type": "crop", "value": {"ratio": "1:1", "gravity": "north"}},
                        {"type": "watermark", "value": {"text": "x", "opacity": 0.5}},
                        {"type": "fileExtension", "value": "png"},
                    ]
                ],
                "user_rendition_configuration": {"label": "l", "culture": "de"},
            },
        },
    },
}
CHANGES: list[Any] = [{"operation": "add", "value": [1]}, {"operation": "remove", "value": ["2"]}]
PAGES = ("/", "/sign-in", "/token", "/licences/{x}", "/product-codes", "/entitlements/{x}")
OTHERS = ("/static/{x}", "/{x}", "/{x}/{x}", "/openapi.json", "/.well-known/{x}", "/dl/{x}/{x}")
POSTS = ("/sign-out", "/token", "/licences/{x}", "/entitlements/{x}/releases/{x}/artifacts/{x}")
# Argon2 makes these slow, and each has tests of its own.
SLOW = {("POST", "/sign-in"), ("PUT", "/api/admin/v1/users/{user}/password")}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(frozen=True)
class Sent:
    """One request."""

    method: str
    target: str
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def scope(self) -> dict[str, Any]:
        """As a server would give it: the path decoded, with marks for what is no UTF-8."""
        raw, _, query = self.target.partition("?")
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": unquote(raw),
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": self.headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8080),
        }


class Mischief:
    """Makes requests up. `known` gives, by name, ids that do exist."""

    def __init__(self, seed: int, known: Mapping[str, str], credentials: list[bytes]) -> None:
        self.random = random.Random(seed)
        self.known = known
        self.credentials = credentials

    def string(self) -> str:
        return self.random.choice(STRINGS)

    def quoted(self) -> str:
        safe = self.random.choice(["", "!$&'()*+,;=:@"])
        return quote(self.string().encode("utf-8", "surrogatepass"), safe=safe) or "x"

    def target(self, template: str) -> str:
        def fill(match: re.Match[str]) -> str:
            name = match[1].partition(":")[0]
            return self.known.get(name, "x") if self.random.random() < 0.5 else self.quoted()

        path = re.sub(r"\{([^}]*)\}", fill, template)
        if self.random.random() < 0.6:
            return path
        pairs = [(self.random.choice(PARAMETERS.split()), self.quoted()) for _ in range(2)]
        return path + "?" + "&".join(f"{name}={value}" for name, value in pairs)

    def headers(self, template: str, method: str) -> list[tuple[bytes, bytes]]:
        found = [(b"host", b"127.0.0.1:8080")]
        if template.startswith(("/api/", "/e-product")):
            found.append((b"authorization", self.random.choice(self.credentials[:-1])))
        else:
            found += [(b"cookie", self.credentials[-1]), (b"origin", URL.encode())]
        if method == "POST" and not template.startswith("/api/"):
            found.append((b"content-type", FORM.encode()))
        for _ in range(self.random.randrange(3)):
            # What HTTP lets through: no line breaks and no NUL.
            value = self.string().encode("utf-8", "surrogatepass")
            value = re.sub(rb"[\x00-\x08\x0a-\x1f\x7f]", b"", value)
            found.append((self.random.choice(HEADERS.split()).encode(), value))
        return found

    def body(self, template: str, method: str) -> bytes:
        if method in ("GET", "HEAD", "DELETE") or self.random.random() < 0.3:
            return self.random.choice(BODIES) if self.random.random() < 0.3 else b""
        if template.startswith(("/api/downloadorders", "/api/selection")):
            whole = ORDER if "orders" in template else CHANGES
            return json.dumps(self.out_of_shape(whole)).encode()
        names = [self.random.choice(FIELDS.split()) for _ in range(self.random.randrange(6))]
        if template.startswith("/api/"):
            values = [self.random.choice([self.string(), *VALUES]) for _ in names]
            return json.dumps(dict(zip(names, values, strict=True))).encode()
        return "&".join(f"{name}={self.quoted()}" for name in names).encode()

    def out_of_shape(self, value: Any) -> Any:
        """`value` with one of its parts, at any depth, made into something else."""
        if isinstance(value, dict) and value and self.random.random() < 0.9:
            key = self.random.choice(list(value))
            if self.random.random() < 0.1:
                return {**value, self.string(): value[key]}
            return {**value, key: self.out_of_shape(value[key])}
        if isinstance(value, list) and value and self.random.random() < 0.9:
            at = self.random.randrange(len(value))
            return [*value[:at], self.out_of_shape(value[at]), *value[at + 1 :]]
        return self.random.choice([self.string(), *VALUES])

    def make(self, method: str, template: str) -> Sent:
        return Sent(
            method,
            self.target(template),
            self.headers(template, method),
            self.body(template, method),
        )


async def answer_of(app: Server, sent: Sent) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body."""
    came: list[Any] = []
    asked = False

    async def receive() -> Any:
        nonlocal asked
        if asked:
            return {"type": "http.disconnect"}
        asked = True
        return {"type": "http.request", "body": sent.body, "more_body": False}

    async def send(message: Any) -> None:
        came.append(message)

    await app(sent.scope(), receive, send)
    body = b"".join(message.get("body", b"") for message in came)
    return came[0]["status"], dict(came[0]["headers"]), body


def settle(hub: Hub) -> tuple[dict[str, str], list[bytes]]:
    """A world with one of everything: its ids by name, and credentials of each kind of caller."""
    with hub.database.write() as tx:
        home = factories.add_organisation(tx)
        people = [factories.add_user(tx, home, roles=[role]) for role in accounts.ROLES]
        product = factories.add_product(tx)
        release = factories.add_release(tx, product, store=hub.blobs)
        draft = factories.add_release(tx, product, draft=True, store=hub.blobs)
        number = factories.grant(tx, home, product)
        machine, _ = factories.add_client(tx, home)
        tokens = [
            accounts.issue_token(tx, hub.keys.current, who, issuer=URL, now=hub.now()).value
            for who in people
        ]
        asset = factories.add_asset(tx, content_type="image/jpeg", store=hub.blobs)
        body = {"order": {"individual": {str(asset): {"renditions": ["Original"]}}}}
        placed = orders.place_order(
            tx, people[-1], orders.parse_order_request(body), rules=hub.media, now=hub.now()
        )
        session = accounts.open_session(tx, people[1], now=hub.now())
    orders.complete_order(hub.database, hub.blobs, placed.order_id, rules=hub.media, now=hub.now)
    pick = [orders.Change("add", [asset])]
    for who in people:
        orders.change_selection(hub.database, who, orders.SelectionKey("pool"), pick, now=hub.now)
    known = {
        "entity_id": str(asset),
        "order_id": str(placed.order_id),
        "pool": "pool",
        "definition": "M.Asset",
        "user_id": str(people[0].id),
        "name": "Original",
        "entitlement_id": str(number),
        "release_id": release.id,
        "artifact_id": release.artifact_ids[0],
        "product": product,
        "organisation": str(home),
        "user": str(people[0].id),
        "client_id": machine.label.removeprefix("client:"),
        "x": draft.id,
    }
    # The operator asks most often, because the operator gets furthest.
    callers = [b"Bearer " + token.encode() for token in (*tokens, *[tokens[-1]] * 4)]
    return known, [*callers, b"entrepot=" + session.encode()]


async def test_no_request_is_answered_with_a_defect(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    known, credentials = settle(hub)
    app = build_app(hub)
    mischief = Mischief(20261122, known, credentials)
    document = Sent("GET", "/openapi.json", [(b"host", b"127.0.0.1:8080")], b"")
    paths = json.loads((await answer_of(app, document))[2])["paths"]
    routes = [(method.upper(), path) for path, found in paths.items() for method in found]
    routes = [(method, path) for method, path in routes if method != "PARAMETERS"]
    routes += [("GET", path) for path in (*PAGES, *OTHERS)] + [("POST", path) for path in POSTS]
    routes = [route for route in routes if route not in SLOW]
    statuses = dict[int, int]()
    for turn in range(REQUESTS):
        # Each route in turn, then more of them by chance.
        method, template = routes[turn] if turn < len(routes) else mischief.random.choice(routes)
        sent = mischief.make(method, template)
        status, headers, body = await answer_of(app, sent)
        statuses[status] = statuses.get(status, 0) + 1
        assert status < 500 or (status == 501 and template.endswith("/fasp")), (sent, body)
        assert b"Traceback" not in body
        assert b"<script>alert" not in body or b"html" not in headers[b"content-type"], sent
        assert all(b"\r" not in value and b"\n" not in value for value in headers.values())
    failures = [
        record for record in caplog.records if record.exc_info or record.levelname == "ERROR"
    ]
    assert [record.getMessage() for record in failures] == []
    # They got somewhere: not all of it ended at the first check.
    assert statuses[200] > REQUESTS / 20
    assert statuses[400] > REQUESTS / 20
