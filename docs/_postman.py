"""The Postman collection, made from the API document: format v2.1, one folder for each tag.

What an answer gives goes on by the document's own links: an id that a link takes out of an answer
is a variable of the collection, and the request that the link leads to uses it.
"""

import asyncio
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import cache
from typing import Any, TypeAlias
from uuid import NAMESPACE_URL, uuid5

import httpx

from entrepot.assembly import assemble, prepare
from entrepot.settings import from_env
from entrepot.web.server import build_app

Node: TypeAlias = dict[str, Any]

BASE_URL = "http://127.0.0.1:8080"
_SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
_METHODS = ("get", "head", "post", "put", "patch", "delete")
_DESCRIPTION = """\
Every operation of an Entrepot hub, made from its `/openapi.json`. Set `baseUrl` and the client ids
and secrets (a sandbox prints some: `entrepotd sandbox --json`), run the folder *Sign in*, then any
other, or all from top to bottom. Ids that are found are carried on by variables."""
# Who asks, by the scope that an operation wants; each has a client of its own.
WHO: Mapping[str, str] = {
    "entitlements": "customer",
    "orders": "customer",
    "products": "shop",
    "publish": "publisher",
    "admin": "operator",
}
_FOLDERS = (
    *("oauth", "organisations", "users", "clients", "licences", "products", "releases", "assets"),
    *("grants", "Entitlements", "Download orders", "Product downloads", "Webhooks", "webhooks"),
    *("downloads", "events", "keys", "Operation"),
)
# Before all others of their folder: an order is of what was selected.
_EARLY = ("changeSelection", "changePool", "listEntities", "listEntityRenditions")
# What has to be found on the way from an entitlement, a product, an order to the bytes.
MAIN = {
    *("listEntitlements", "listReleases", "showRelease", "issueDownloadUrl"),
    *("createProductDownload", "listProductDownloads", "showProductDownload"),
    *("followProductDownload", "placeOrder", "showOrder", "fetchRendition"),
}
# Only by whole addresses, which other requests give.
_BY_ADDRESS = {"followLink", "inspectLink", "followProductDownload"}
_SECRETS: Mapping[str, str] = {
    "client_id": "{{customerClientId}}",
    "client_secret": "{{customerClientSecret}}",
    "token": "{{spareToken}}",
}
_FORM = "application/x-www-form-urlencoded"
# What is written in place of values of the examples: names that nothing has yet, and what the
# one who runs it has told.
_REPLACED: Mapping[str, str] = {
    "example-device": "{{deviceClientId}}",
    "https://shop.example.com/hooks": "{{webhookUrl}}",
    "Example Semiconductors": "Example Semiconductors {{run}}",
    "DS000B": "DS000B-{{run}}",
    "example-ci": "example-ci-{{run}}",
    "ada@example.com": "ada-{{run}}@example.com",
    "spring-dunes": "spring-dunes-{{run}}",
    '"TOOLS"': '"TOOLS-{{run}}"',
}
_TOLD: Mapping[str, str] = {
    "baseUrl": BASE_URL,
    "deviceClientId": "",
    "productCode": "EP100",
    "webhookUrl": "https://shop.example.com/hooks",
    "run": "",
    "spareToken": "",
}
# Parameters that are sent although they could be left out.
_SENT: Mapping[str, str] = {
    "listEntitlements.search": '{"product.id":"{{productCode}}"}',
    "uploadAsset.visibility": "public",
}


def collection_page() -> str:
    """docs/reference/entrepot.postman_collection.json."""
    return json.dumps(_collection(_document()), indent=1, ensure_ascii=False) + "\n"


@cache
def _document() -> Node:
    """The document of a hub with the settings that it has by itself."""
    with tempfile.TemporaryDirectory() as folder:
        given = {"DATA": folder, "SECRET_KEY": "only for the document. " * 2, "BIND": BASE_URL[7:]}
        settings = from_env({f"ENTREPOT_{name}": value for name, value in given.items()}, cores=1)
        prepare(settings)
        hub = assemble(settings)
        try:
            return asyncio.run(_ask(build_app(hub)))
        finally:
            hub.close()


async def _ask(app: Any) -> Node:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client:
        document: Node = (await client.get("/openapi.json")).raise_for_status().json()
        return document


def _collection(document: Node) -> Node:
    makers = [
        _Request(path, method, operation)
        for path, item in document["paths"].items()
        for method in _METHODS
        if (operation := item.get(method)) and operation["operationId"] not in _BY_ADDRESS
    ]
    known = {each.name: each for each in makers}
    made = {name for each in makers if not each.lists for name, _ in each.carried(known)}
    by_tag: dict[str, list[_Request]] = {}
    for each in makers:
        by_tag.setdefault(each.tag, []).append(each)
    follow = _Following(document)
    tags = sorted(by_tag, key=lambda tag: (_FOLDERS.index(tag) if tag in _FOLDERS else 99, tag))
    folders = [
        {
            "name": tag,
            "item": [
                item
                for each in sorted(by_tag[tag], key=lambda one: (one.rank, one.path.count("/")))
                for item in (each.item(known, made), *follow.items(each))
            ],
        }
        for tag in tags
    ]
    people = sorted(set(WHO.values()))
    variables = dict(_TOLD)
    for who in people:
        variables |= {f"{who}ClientId": "", f"{who}ClientSecret": "", f"{who}Token": ""}
    found = {name for each in makers for name, _ in each.carried(known)}
    for each in makers:
        # What a link gives begins empty: nothing is removed that this run did not find or make.
        defaults = {name: "" if name in found else value for name, value in each.variables()}
        variables = defaults | variables
    return {
        "info": {
            "_postman_id": str(uuid5(NAMESPACE_URL, _SCHEMA + "#entrepot")),
            "name": "Entrepot",
            "description": _DESCRIPTION,
            "schema": _SCHEMA,
        },
        "item": [
            {"name": "Sign in", "item": [_sign_in(who) for who in people], "event": _BEGIN},
            *folders,
        ],
        "variable": [{"key": name, "value": value} for name, value in variables.items()],
    }


def _sign_in(who: str) -> Node:
    """Client credentials, with the secret by Basic; the token is kept for the other requests."""
    script = [
        'pm.test("a token came", () => {',
        "  pm.response.to.have.status(200);",
        '  pm.expect(pm.response.json().token_type).to.equal("Bearer");',
        "});",
        "if (pm.response.code === 200) {",
        f'  pm.collectionVariables.set("{who}Token", pm.response.json().access_token);',
        "}",
    ]
    basic = {"username": f"{{{{{who}ClientId}}}}", "password": f"{{{{{who}ClientSecret}}}}"}
    return {
        "name": f"Get a token: {who}",
        "event": _event(script),
        "request": {
            "method": "POST",
            "auth": {"type": "basic", "basic": _pairs(basic)},
            "header": [],
            "body": {
                "mode": "urlencoded",
                "urlencoded": [{"key": "grant_type", "value": "client_credentials"}],
            },
            "url": _url("/oauth/token", []),
        },
    }


class _Request:
    """One operation as a request."""

    def __init__(self, path: str, method: str, operation: Node) -> None:
        self.path, self.method, self.operation = path, method, operation
        self.name: str = operation["operationId"]
        self.tag: str = operation["tags"][0]

    @property
    def rank(self) -> int:
        """Makes, lists, shows, changes, does, removes: what one needs comes before it."""
        if self.name in _EARLY:
            return _EARLY.index(self.name) - len(_EARLY)
        if self.name == "pingWebhook":
            return 1  # it makes a delivery to be shown
        if self.method == "post":
            return 0 if "201" in self.operation["responses"] else 4
        return {"get": 2, "head": 2, "put": 3, "patch": 3, "delete": 5}[self.method]

    @property
    def lists(self) -> bool:
        """Whether it finds things that were there before."""
        return self.method == "get"

    def variable(self, parameter: str) -> str:
        """The variable for a part of the path; each folder has its own."""
        # Two folders, one for those who write and one for those who subscribe.
        folder = "ownWebhooks" if self.tag == "Webhooks" else self.tag.replace(" ", "")
        return f"{folder[0].lower()}{folder[1:]}_{parameter}"

    def variables(self) -> Iterator[tuple[str, str]]:
        """The variables of the path, with the values of the examples."""
        for each in self.operation.get("parameters", ()):
            if each["in"] == "path":
                yield self.variable(each["name"]), str(_first(each))

    def item(self, known: Mapping[str, "_Request"], made: Set[str]) -> Node:
        """The request with its checks."""
        given = self.operation.get("parameters", ())
        path = re.sub(r"\{(\w+)\}", lambda it: f"{{{{{self.variable(it[1])}}}}}", self.path)
        query = [_optional(self.name, each) for each in given if each["in"] == "query"]
        headers = [_optional(self.name, each) for each in given if each["in"] == "header"]
        request: Node = {
            "method": self.method.upper(),
            "auth": self._auth(),
            "header": headers,
            "url": _url(path, query),
            "description": self.operation.get("description") or self.operation["summary"],
        }
        body = self.operation.get("requestBody")
        if body:
            media_type, content = next(iter(body["content"].items()))
            headers.append({"key": "Content-Type", "value": media_type})
            request["body"] = _body(media_type, _first(content))
        item = {
            "name": f"{self.name}: {self.operation['summary']}",
            "event": _event([*_conformity(self.operation), *self._carrying(known, made)]),
            "request": request,
        }
        if "302" in self.operation["responses"]:
            item["protocolProfileBehavior"] = {"followRedirects": False}
        return item

    def _auth(self) -> Node:
        security = self.operation.get("security", [{}])
        asked = [scope for one in security for scope in one.get("oauth2", ())]
        if {} in security or not security:
            return {"type": "noauth"}
        who = WHO[asked[0]] if asked else "shop" if self.tag == "Webhooks" else "customer"
        return _bearer(who)

    def carried(self, known: Mapping[str, "_Request"]) -> Iterator[tuple[str, str]]:
        """Variables, and where in the answer their values are."""
        for link in _links(self.operation):
            target = link["operationId"]
            if "x-address" in link:
                yield f"{self.name}_address", _value(link["x-address"])
            elif target in known:
                for parameter, expression in link["parameters"].items():
                    if expression.startswith("$response."):
                        yield known[target].variable(parameter), _value(expression)
        if self.name == "requestToken":
            yield "spareToken", "body?.access_token"

    def _carrying(self, known: Mapping[str, "_Request"], made: Set[str]) -> list[str]:
        """Lines that keep what the links name, and on the main ways check that it was found.

        What was made here is kept, and not what a list happens to begin with.
        """
        lines = dict(sorted(self.carried(known)))
        if not lines:
            return []
        needed = json.dumps(self.name in MAIN)
        calls = [
            f"carry({json.dumps(name)}, {value}, {needed}, {json.dumps(keep)});"
            for name, value in lines.items()
            if (keep := not self.lists or name not in made) or self.name in MAIN
        ]
        if self.name == "showOrder":
            calls = [*_WAIT, *calls, "}"]
        return ["const body = readBody();", *calls, *_CARRY] if calls else []


# A function statement may stand behind its use, so that each script begins with what it is about.
_CARRY = """\
function readBody() {
  try { return pm.response.json(); } catch { return undefined; }
}
function carry(name, value, needed, keep) {
  if (needed) pm.test(`${name} is found`, () => pm.expect(value).to.be.ok);
  if (keep && value && pm.response.code < 400) pm.collectionVariables.set(name, String(value));
}""".splitlines()
_BEGIN: Sequence[Node] = [
    {
        "listen": "prerequest",
        "script": {
            "type": "text/javascript",
            # Digits alone, which every kind of name may have.
            "exec": ['pm.collectionVariables.set("run", String(Date.now()));'],
        },
    }
]
_WAIT = """
const asked = Number(pm.collectionVariables.get("asked") || 0);
if (["Pending", "InProgress"].includes(body?.status) && asked < 60) {
  pm.collectionVariables.set("asked", asked + 1);
  setTimeout(() => {}, 1000);
  pm.execution.setNextRequest(pm.info.requestId);
} else {
  pm.test("the order was delivered", () => pm.expect(body?.status).to.equal("Completed"));
""".strip().splitlines()


class _Following:
    """Requests for the addresses that answers give."""

    def __init__(self, document: Node) -> None:
        self._named = {
            operation["operationId"]: operation
            for item in document["paths"].values()
            for method, operation in item.items()
            if method in _METHODS
        }

    def items(self, source: _Request) -> Iterator[Node]:
        """One for each address in the answer of `source`, and for what that leads to."""
        yield from self._of(source.name, source.operation, _bearer("shop"))

    def _of(self, source: str, operation: Node, auth: Node) -> Iterator[Node]:
        for link in _links(operation):
            if "x-address" not in link:
                continue
            target = self._named[link["operationId"]]
            onward = [each["x-address"] for each in _links(target) if "x-address" in each]
            by_itself = target["operationId"] == "followLink"
            name = f"{source}_{target['operationId']}"
            script = _conformity(target)
            if onward:
                carried = (
                    f"carry({json.dumps(name + '_address')}, {_value(onward[0])}, true, true);"
                )
                script += [carried, *_CARRY]
            else:
                script += _BYTES
            yield {
                "name": f"{target['operationId']}: {target['summary']} (of {source})",
                "event": _event(script),
                "protocolProfileBehavior": {"followRedirects": False},
                "request": {
                    "method": "GET",
                    "auth": {"type": "noauth"} if by_itself else auth,
                    "header": [],
                    "url": f"{{{{{source}_address}}}}",
                    "description": target["summary"],
                },
            }
            yield from self._of(name, target, auth) if onward else ()


_BYTES = """\
pm.test("the bytes are all there", () => {
  pm.response.to.have.status(200);
  pm.expect(pm.response.stream.length).to.equal(Number(pm.response.headers.get("Content-Length")));
});""".splitlines()


def _conformity(operation: Node) -> list[str]:
    """Lines that hold the answer against the document."""
    documented = {
        status: list(answer.get("content", {}))
        for status, answer in sorted(operation["responses"].items())
    }
    return [
        f"const documented = {json.dumps(documented)};",
        "const kinds = documented[String(pm.response.code)];",
        'const kind = (pm.response.headers.get("Content-Type") || "").split(";")[0];',
        'pm.test("the status is documented", () => pm.expect(kinds).to.be.an("array"));',
        'pm.test("the content type is documented", () => {',
        '  if (!kinds?.length) pm.expect(pm.response.text()).to.equal("");',
        '  else pm.expect(kinds.includes(kind) || kinds.includes("*/*"), kind).to.be.true;',
        "});",
    ]


def _links(operation: Node) -> list[Node]:
    return [
        link
        for _, answer in sorted(operation["responses"].items())
        for link in answer.get("links", {}).values()
    ]


def _value(expression: str) -> str:
    """A runtime expression of OpenAPI in JavaScript."""
    if expression.startswith("$response.header."):
        return f"pm.response.headers.get({json.dumps(expression.rpartition('.')[2])})"
    steps = expression.removeprefix("$response.body#/").split("/")
    return "body" + "".join(f"?.[{step if step.isdigit() else json.dumps(step)}]" for step in steps)


def _body(media_type: str, value: Any) -> Node:
    if media_type == _FORM:
        filled = {name: _SECRETS.get(name, _own(text)) for name, text in value.items()}
        if "{{deviceClientId}}" in _own(json.dumps(value)):
            filled["client_id"] = "{{deviceClientId}}"
        return {"mode": "urlencoded", "urlencoded": _pairs(filled)}
    if isinstance(value, str):
        return {"mode": "raw", "raw": value}
    text = _own(json.dumps(value, indent=2, ensure_ascii=False))
    return {"mode": "raw", "raw": text, "options": {"raw": {"language": "json"}}}


def _own(text: str) -> str:
    for example, written in _REPLACED.items():
        text = text.replace(example, written)
    return text


def _first(part: Node) -> Any:
    return next(iter(part["examples"].values()))["value"]


def _optional(operation: str, parameter: Node) -> Node:
    """A parameter of the query or a header: off unless the operation needs it."""
    name, value = parameter["name"], _first(parameter)
    sent = _SENT.get(f"{operation}.{name}")
    return {
        "key": name,
        "value": sent or (value if isinstance(value, str) else json.dumps(value)),
        "description": parameter.get("description", ""),
        "disabled": not (sent or parameter.get("required", False)),
    }


def _url(path: str, query: Sequence[Node]) -> Node:
    sent = "&".join(f"{each['key']}={each['value']}" for each in query if not each["disabled"])
    parts = path.removeprefix("/").split("/")
    url: Node = {"raw": f"{{{{baseUrl}}}}{path}", "host": ["{{baseUrl}}"], "path": parts}
    if query:
        url |= {"raw": url["raw"] + (f"?{sent}" if sent else ""), "query": list(query)}
    return url


def _bearer(who: str) -> Node:
    token = {"key": "token", "value": f"{{{{{who}Token}}}}", "type": "string"}
    return {"type": "bearer", "bearer": [token]}


def _pairs(values: Mapping[str, Any]) -> list[Node]:
    return [{"key": name, "value": value, "type": "text"} for name, value in values.items()]


def _event(script: Sequence[str]) -> list[Node]:
    return [{"listen": "test", "script": {"type": "text/javascript", "exec": list(script)}}]
