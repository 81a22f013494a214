"""What a request may bring: addresses, forms, faults; and what nothing is kept of."""

import base64
import contextlib
import hashlib
import json
import socket
import threading
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sqlalchemy import func, select

from entrepot.assembly import Hub
from entrepot.core import catalogue
from entrepot.core.catalogue.tables import blobs, product_downloads
from entrepot.web.http.catalogue import CATALOGUE
from entrepot.web.products_api._bodies import decode_object, parse_data
from entrepot.web.products_api._errors import Faults
from tests import factories
from tests.doors.products_world import ROOT, URL, People, Shop, add_people, error_of, open_shop

PATH = f"{ROOT}/P1/downloads.json"
pytestmark = pytest.mark.parametrize("dialect", ["sqlite"])


@pytest.fixture
def shop(hub: Hub) -> Iterator[Shop]:
    with open_shop(hub, outbound_private=True, upload_bytes_max=9_000_000) as opened:
        yield opened


@pytest.fixture
def people(shop: Shop) -> People:
    return add_people(shop)


def kept(shop: Shop) -> tuple[int, int, int]:
    """Downloads, rows of bytes, and stored files."""
    with shop.hub.database.read() as tx:
        rows = [
            tx.execute(select(func.count()).select_from(each)).scalar_one()
            for each in (product_downloads, blobs)
        ]
    return rows[0], rows[1], len(list(shop.hub.blobs.listing()))


class Host:
    """Another host: answers each connection with the next of `answers`."""

    def __init__(self, *answers: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._answers = answers
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        for each in self._answers:
            taken, _ = self._listener.accept()
            with taken, contextlib.suppress(OSError):  # whoever asked may have gone by now
                taken.recv(65536)
                taken.sendall(each)

    def close(self) -> None:
        self._thread.join(60)
        self._listener.close()
        assert not self._thread.is_alive()


def test_files_come_from_other_hosts(shop: Shop, people: People) -> None:
    content = b"x" * 700_000
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(content)
    named = b'Content-Disposition: attachment; filename="../../etc/da\x7fta?.pdf"\r\n\r\n'
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nx"
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 9000001\r\n\r\n"
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n"
    host = Host(head + named + content, head + b"\r\n" + content, cut, large, moved)
    token = people.publisher

    def add(file: Any) -> Any:
        return shop.ask("POST", PATH, token, json={"data": {"file": file}})

    first = add(f"{host.url}/x").json()["data"]
    assert first["file"].endswith("/.._.._etc_da_ta_.pdf"), first["file"]
    assert shop.bytes_of(first["file"]) == content
    told = {"src": f"{host.url}/y", "filename": "mine.bin", "directory": "a/b"}
    second = add(told).json()["data"]
    assert second["file"].endswith("/mine.bin")
    with shop.hub.database.read() as tx:
        query = select(product_downloads).where(product_downloads.c.id == second["id"])
        row = tx.execute(query).one()
    assert (row.directory, row.source_url) == ("a/b", f"{host.url}/y")
    before = kept(shop)
    for _ in ("cut", "large"):
        fault = error_of(add(host.url), 422)
        assert (fault["name"], fault["ref"]) == ("file", "error.remote-failed")
    assert error_of(add(host.url), 422)["ref"] == "error.url-refused"
    host.close()
    assert error_of(add(host.url), 422)["ref"] == "error.remote-failed"
    assert kept(shop) == before


def test_only_public_hosts_are_asked_unless_the_operator_says_otherwise(
    hub: Hub, shop: Shop, people: People
) -> None:
    with open_shop(hub) as strict:
        for url in (
            *("http://example.com/", "https://127.0.0.1/", "https://[::ffff:10.0.0.1]/x"),
            *("https://169.254.169.254/latest/meta-data", f"{URL}/downloads/1/x"),
        ):
            answer = strict.ask("POST", PATH, people.publisher, json={"data": {"file": url}})
            fault = error_of(answer, 422)
            assert (fault["name"], fault["ref"]) == ("file", "error.url-refused"), url
    assert kept(shop) == (0, 0, 0)


FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "file", "file-required"),
    ({"title": "x"}, "file", "file-required"),
    ({"file": None}, "file", "file-invalid"),
    ({"file": 7}, "file", "file-invalid"),
    ({"file": {"filename": "x"}}, "file", "file-invalid"),
    ({"file": {"src": "data:,x", "name": "x"}}, "file", "file-invalid"),
    ({"file": "ftp://example.com/x"}, "file", "uri-scheme-invalid"),
    ({"file": "javascript:alert(1)"}, "file", "uri-scheme-invalid"),
    ({"file": "be05aa4b.zip"}, "file", "uri-scheme-invalid"),
    ({"file": "data:text/plain"}, "file", "data-uri-invalid"),
    ({"file": "data:;base64,????"}, "file", "data-uri-invalid"),
    ({"file": f"data:{';' * 2001},a"}, "file", "data-uri-invalid"),
    ({"file": {"src": "data:,x", "filename": "../x"}}, "filename", "file-name"),
    ({"file": {"src": "data:,x", "filename": "NUL.txt"}}, "filename", "file-name"),
    ({"file": {"src": "data:,x", "directory": "a/../b"}}, "directory", "file-name"),
    ({"file": "data:,x", "title": "x" * 81}, "title", "title-invalid"),
    ({"file": "data:,x", "title": "a\nb"}, "title", "title-invalid"),
    ({"file": "data:,x", "title": 7}, "title", "title-invalid"),
    ({"file": "data:,x", "description": "a\0b"}, "description", "description-invalid"),
    ({"file": "data:,x", "visibility": "all"}, "visibility", "visibility-invalid"),
    ({"file": "data:,x", "visibility": None}, "visibility", "visibility-invalid"),
    ({"file": "data:,x", "visibilty": "purchase"}, "visibilty", "property-unknown"),
    ({"file": "data:,x", "sequence": 0}, "sequence", "placement-invalid"),
    ({"file": "data:,x", "sequence": True}, "sequence", "placement-invalid"),
    ({"file": "data:,x", "sequence": "1"}, "sequence", "placement-invalid"),
    ({"file": "data:,x", "sequence": {"placement": "middle"}}, "sequence", "placement-invalid"),
    ({"file": "data:,x", "sequence": {"placement": "before"}}, "sequence", "placement-invalid"),
    (
        {"file": "data:,x", "sequence": {"placement": "after", "id": 999}},
        "sequence",
        "placement-invalid",
    ),
]


def test_what_is_wrong_in_the_object_is_named_and_nothing_kept(shop: Shop, people: People) -> None:
    for data, name, ref in FAULTS:
        answer = shop.ask("POST", PATH, people.publisher, json={"data": data})
        fault = error_of(answer, 422)
        assert (fault["name"], fault["ref"]) == (name, f"error.{ref}"), data
        assert answer.json()["context"] == "data"
        assert ref in CATALOGUE or ref == f"{name}-invalid"
    everything = {"file": "x:y", "title": "x" * 81, "visibility": "all", "sequence": -1, "b": 1}
    answer = shop.ask("POST", PATH, people.publisher, json={"data": everything})
    assert [each["name"] for each in answer.json()["errors"]] == list(everything)
    assert kept(shop) == (0, 0, 0)


def test_what_is_no_object_is_malformed(shop: Shop, people: People) -> None:
    for body in (b"", b"{", b"[]", b'"x"', b"{}", b'{"data":[]}', b'{"data":null}', b"\xff"):
        answer = shop.ask("POST", PATH, people.publisher, content=body)
        fault = error_of(answer, 400)
        assert (fault["name"], fault["ref"]) == ("data", "error.json-invalid"), body
    deep = b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert error_of(shop.ask("POST", PATH, people.publisher, content=deep), 400)
    assert kept(shop) == (0, 0, 0)


def test_the_file_in_a_data_uri_is_limited(shop: Shop, people: People) -> None:
    most = base64.b64encode(b"x" * (8 * 2**20)).decode()
    made = shop.data(
        "POST", "/P1/downloads.json", people.publisher, {"file": f"data:;base64,{most}"}, 201
    )
    assert len(shop.bytes_of(made["file"])) == 8 * 2**20
    over = base64.b64encode(b"x" * (8 * 2**20 + 1)).decode()
    answer = shop.ask(
        "POST", PATH, people.publisher, json={"data": {"file": f"data:;base64,{over}"}}
    )
    assert error_of(answer, 422)["ref"] == "error.data-uri-too-large"
    huge = b'{"data":{"file":"data:,' + b"x" * (12 * 2**20) + b'"}}'
    answer = shop.ask("POST", PATH, people.publisher, content=huge)
    assert error_of(answer, 413)["ref"] == "error.body-too-large"

    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield b" " * 2**17

    async def pieces() -> Any:
        for piece in endless():
            yield piece

    answer = shop.ask("POST", PATH, people.publisher, content=pieces())
    assert error_of(answer, 413)["ref"] == "error.body-too-large"
    assert kept(shop) == (1, 1, 1)


def test_data_uris_of_every_kind(shop: Shop, people: People) -> None:
    for uri, content, name in (
        ("data:,A%20brief%20note", b"A brief note", "download"),
        ("data:text/plain;charset=utf-8;base64,SGk=", b"Hi", "download.txt"),
        ("DATA:application/pdf;BASE64,SGk=", b"Hi", "download.pdf"),
        ("data:image/png;name=a%2Fb.png;base64,SGk%3D", b"Hi", "a_b.png"),
        ("data:application/zip;filename=my.zip;base64,", b"", "my.zip"),
    ):
        made = shop.data("POST", "/P1/downloads.json", people.publisher, {"file": uri}, 201)
        assert made["file"].endswith(f"/{name}"), uri
        assert shop.bytes_of(made["file"]) == content


def form(*parts: tuple[str, str | None, bytes], boundary: str = "limit") -> dict[str, Any]:
    """A request's content and headers: parts of (name, file name, content)."""
    body = b""
    for name, file_name, content in parts:
        named = f'; filename="{file_name}"' if file_name is not None else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    return {"content": body + f"--{boundary}--\r\n".encode(), "headers": headers}


def test_files_come_as_forms(shop: Shop, people: People) -> None:
    content = bytes(range(256)) * 9000  # more than a piece, with line ends in it
    parts = [("title", None, "Für alle".encode()), ("file", "C:\\x\\data.bin", content)]
    sent = form(*parts, ("data[visibility]", None, b"contact"), ("sequence", None, b"1"))
    made = shop.ask("POST", PATH, people.publisher, **sent).json()["data"]
    assert (made["title"], made["visibility"], made["sequence"]) == ("Für alle", "contact", 1)
    assert made["file"].endswith("/data.bin")
    token = {"headers": {"authorization": f"Bearer {people.stranger}"}}
    assert shop.bytes_of(made["file"], **token) == content
    said = json.dumps({"data": {"title": "B", "sequence": {"placement": "first"}}}).encode()
    other = form(("file", "b.txt", b"b"), ("data", None, said))
    one = f"{ROOT}/P1/downloads/{made['id']}.json"
    changed = shop.ask("PUT", one, people.publisher, **other).json()["data"]
    assert changed["title"] == "B"
    assert shop.bytes_of(made["file"], **token) == b"b"
    titled = shop.ask("PUT", one, people.publisher, **form(("title", None, b"C")))
    assert titled.json()["data"]["title"] == "C"
    by_address = form(("file", None, b"data:text/plain,hello"), ("title", None, b"D"))
    fourth = shop.ask("PUT", one, people.publisher, **by_address)
    assert fourth.json()["data"]["title"] == "D"
    assert shop.bytes_of(made["file"], **token) == b"hello"
    named = form(("file", None, b"data:text/plain,again"), ("visibility", None, b"public"))
    posted = shop.ask("POST", PATH, people.publisher, **named).json()["data"]
    assert shop.bytes_of(posted["file"]) == b"again"


def test_forms_that_are_none_leave_nothing_behind(shop: Shop, people: People) -> None:
    before = kept(shop)
    whole = form(("file", "x.bin", b"x" * 100_000))
    cut = {**whole, "content": whole["content"][:-20]}
    no_boundary = {**whole, "headers": {"content-type": "multipart/form-data"}}
    for sent, status, ref in (
        (cut, 400, "form-invalid"),
        (no_boundary, 400, "form-invalid"),
        (form(("file", "a", b"a"), ("file", "b", b"b")), 400, "form-invalid"),
        (form(("upload", "a", b"a")), 400, "form-invalid"),
        (form(("file", "a", b"a"), ("title", None, b"\xff")), 400, "form-invalid"),
        (form(("file", "a", b"a"), ("title", None, b"x" * 300_000)), 400, "form-invalid"),
        (form(("file", "a", b"a"), ("data", None, b"[]")), 400, "form-invalid"),
        (form(*[("title", None, b"a")] * 30, ("file", "a", b"a")), 400, "form-invalid"),
        (form(("title", None, b"no file")), 422, "file-required"),
        (form(("file", None, b"data:,a"), ("title", None, b"x" * 81)), 422, "title-invalid"),
        (form(("file", "a", b"a"), ("title", None, b"x" * 81)), 422, "title-invalid"),
        (form(("file", "a", b"a"), ("sequence", None, b"0")), 422, "placement-invalid"),
        (form(("file", "a", b"x" * 9_000_001)), 422, "object-too-large"),
        (form(("file", "a", b"x" * 11_000_000)), 422, "object-too-large"),
    ):
        answer = shop.ask("POST", PATH, people.publisher, **sent)
        assert error_of(answer, status)["ref"] == f"error.{ref}"
        assert kept(shop) == before, ref


def test_those_who_may_not_write_are_told_so_before_the_body_is_read(
    shop: Shop, people: People
) -> None:
    with shop.hub.database.write() as tx:
        house = factories.add_organisation(tx)
        machine, _ = factories.add_client(tx, house, scopes=("products.readonly",))
        other, _ = factories.add_client(tx, house, scopes=("orders",))
    reading = shop.token(machine, "products.readonly")
    for token, status, ref in (
        (None, 401, "token-missing"),
        ("nonsense", 401, "token-invalid"),
        (people.buyer, 403, "role-required"),
        (reading, 403, "role-required"),
        (shop.token(other, "orders"), 403, "role-required"),
    ):
        answer = shop.ask("POST", PATH, token, content=b"{nonsense")
        fault = error_of(answer, status)
        assert fault["ref"] == f"error.{ref}"
    assert shop.ask("GET", PATH, reading).status_code == 200
    fault = error_of(shop.ask("GET", PATH, shop.token(other, "orders")), 403)
    assert (fault["name"], fault["ref"]) == ("scope", "error.scope-required")


def test_what_is_no_address_of_the_api_answers_in_its_shape(shop: Shop, people: People) -> None:
    token = people.publisher
    for path in ("/downloads", "/downloads/x.json", "/downloads/1", "/downloads/01.json"):
        assert error_of(shop.ask("GET", f"{ROOT}/P1{path}", token), 404)
    assert error_of(shop.ask("PATCH", PATH, token), 405)["ref"] == "error.method-not-allowed"
    for product in ("999999", "P%00", "p1", "99999999999999999999"):
        answer = shop.ask("GET", f"{ROOT}/{product}/downloads.json", token)
        assert error_of(answer, 404)["name"] in ("id", "path")


def test_a_large_upload_takes_little_memory(hub: Hub) -> None:
    """A file of 40 MB in pieces, the part's head and the boundary cut by their ends."""
    pieces, piece = 625, bytes(range(256)) * 250
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'

    async def body() -> AsyncIterator[bytes]:
        yield head[:10]
        yield head[10:]
        for _ in range(pieces):
            yield piece
        yield b"\r\n--b"
        yield b"--\r\n"

    with open_shop(hub) as shop:
        people = add_people(shop)
        headers = {"content-type": "multipart/form-data; boundary=b"}
        tracemalloc.start()
        answer = shop.ask("POST", PATH, people.publisher, content=body(), headers=headers)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert answer.status_code == 201, answer.text
        assert peak < 8_000_000
        made = answer.json()["data"]
        with shop.hub.database.read() as tx:
            row = catalogue.find_product_download(tx, made["id"])
        assert row.size == pieces * len(piece)
        assert row.sha256 == hashlib.sha256(piece * pieces).hexdigest()


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":{"file":[%s[]]}}' % (b"[]," * 1_000_000),
        b'{"data":{%s"x":1}}'
        % b"".join(b'"x%d":[%s[]],' % (i, b"[]," * 80_000) for i in range(12)),
        b'{"data":{%s"x":1}}' % b"".join(b'"%d":0,' % i for i in range(50_000)),
    ],
    ids=["one-list", "many-lists", "many-names"],
)
def test_a_hostile_body_takes_little_more_memory_than_its_bytes(dialect: str, body: bytes) -> None:
    """Python's objects, and a fault for each, would be a hundred times as large."""
    del dialect
    tracemalloc.start()
    try:
        with pytest.raises(Faults) as caught:
            parse_data(decode_object(body), private=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.status == 422
    assert peak < 20 * 2**20


def test_a_large_body_is_read_as_a_small_one_is(dialect: str) -> None:
    del dialect
    uri = "data:," + "x" * 300_000
    for file in (uri, {"src": uri, "filename": "a.txt"}):
        given = {"title": "T", "file": file, "sequence": {"placement": "last"}, "description": None}
        assert decode_object(json.dumps({"data": given}).encode()) == given
