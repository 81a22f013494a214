"""The links door over real sockets (RFC 9110, RFC 6266), two processes behind one address."""

import email.parser
import email.policy
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.system.hubs import Answer, Hub, http_of, running_hub
from tests.system.media_orders import wait_for

ADA, PIA = "ada@halden.example", "pia@harbour.example"
HALDEN, OKABE = "Halden Microsystems", "Okabe Robotics"
HARBOUR = "Harbour Software"
FRESH_CONNECTIONS = 16


@pytest.fixture(scope="module")
def artifact(hub: Hub) -> dict[str, Any]:
    """A file that Ada may have."""
    return hub.artifacts(hub.entitlement("plain", HALDEN)["id"])[0]


@pytest.fixture
def link(hub: Hub, artifact: dict[str, Any]) -> str:
    """A fresh link to it."""
    return hub.link(artifact, hub.user(ADA)["token"])


@pytest.fixture(scope="module")
def content(hub: Hub, artifact: dict[str, Any]) -> bytes:
    """Its bytes."""
    whole = hub.ask(hub.link(artifact, hub.user(ADA)["token"])).body
    assert hashlib.sha256(whole).hexdigest() == artifact["sha256"]
    return whole


def ranged(hub: Hub, link: str, value: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): given for name, given in headers.items()}
    return hub.ask(link, headers={"Range": value} | named)


def test_get_and_head_say_the_same(
    hub: Hub, link: str, content: bytes, artifact: dict[str, Any]
) -> None:
    whole, head = hub.ask(link), hub.ask(link, method="HEAD")
    assert (whole.status, head.status) == (200, 200)
    assert (whole.body, head.body) == (content, b"")
    same = {"content-length", "content-type", "etag", "last-modified", "accept-ranges"}
    same |= {"content-disposition", "cache-control", "x-content-type-options"}
    assert {name: whole.headers[name] for name in same} == {
        name: head.headers[name] for name in same
    }
    assert whole.headers["content-length"] == str(len(content))
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["etag"].startswith('"')
    assert "content-encoding" not in whole.headers


def test_the_headers_keep_the_bytes_out_of_caches_and_origins(
    hub: Hub, link: str, artifact: dict[str, Any]
) -> None:
    headers = hub.ask(link).headers
    disposition = headers["content-disposition"]
    assert disposition.startswith("attachment")
    assert artifact["file_name"] in disposition
    assert "no-store" in headers["cache-control"]
    assert "private" in headers["cache-control"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("sandbox")
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["entrepot-sandbox"] == "true"
    assert not any("cookie" in name for name in headers)


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-99", 0, 100), ("bytes=1000-", 1000, None), ("bytes=-100", -100, None)],
)
def test_single_ranges(
    hub: Hub, link: str, content: bytes, asked: str, first: int, last: int | None
) -> None:
    answer = ranged(hub, link, asked)
    expected = content[first:last]
    assert (answer.status, answer.body) == (206, expected)
    start = first % len(content)
    span = f"bytes {start}-{start + len(expected) - 1}/{len(content)}"
    assert answer.headers["content-range"] == span
    assert answer.headers["content-length"] == str(len(expected))


def test_several_ranges_come_as_parts(hub: Hub, link: str, content: bytes) -> None:
    answer = ranged(hub, link, "bytes=0-9,2000-2099,-5")
    assert answer.status == 206
    assert answer.headers["content-type"].startswith("multipart/byteranges; boundary=")
    assert answer.headers["content-length"] == str(len(answer.body))
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    parsed = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + answer.body)
    parts = [part.get_payload(decode=True) for part in parsed.iter_parts()]
    spans = [part["Content-Range"] for part in parsed.iter_parts()]
    assert spans == [
        f"bytes 0-9/{len(content)}",
        f"bytes 2000-2099/{len(content)}",
        f"bytes {len(content) - 5}-{len(content) - 1}/{len(content)}",
    ]
    boundary = parsed.get_boundary()
    assert boundary is not None
    assert answer.body.endswith(f"--{boundary}--\r\n".encode())
    # The parser may mend line ends, so the bytes are compared in the raw body.
    assert len(parts) == 3
    for piece in (content[:10], content[2000:2100], content[-5:]):
        assert b"\r\n\r\n" + piece + b"\r\n--" in answer.body


def test_ranges_that_cannot_be(hub: Hub, link: str, content: bytes) -> None:
    beyond = ranged(hub, link, f"bytes={len(content)}-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{len(content)}")
    for meaningless in ("bytes=5-1", "lines=1-2", "bytes=a-b"):
        assert ranged(hub, link, meaningless).body == content


def test_conditions(hub: Hub, link: str, content: bytes) -> None:
    first = hub.ask(link)
    etag, modified = first.headers["etag"], first.headers["last-modified"]
    for header, value in (("If-None-Match", etag), ("If-Modified-Since", modified)):
        unchanged = hub.ask(link, headers={header: value})
        assert (unchanged.status, unchanged.body) == (304, b"")
        assert unchanged.headers["etag"] == etag
    assert hub.ask(link, headers={"If-None-Match": '"other"'}).status == 200
    assert hub.ask(link, headers={"If-Match": '"other"'}).status == 412
    assert hub.ask(link, headers={"If-Match": etag}).body == content
    resumed = ranged(hub, link, "bytes=100-", If_Range=etag)
    assert (resumed.status, resumed.body) == (206, content[100:])
    changed = ranged(hub, link, "bytes=100-", If_Range='"other"')
    assert (changed.status, changed.body) == (200, content)


def test_only_get_and_head(hub: Hub, link: str) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answer = hub.ask(link, method=method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_anything_changed_is_refused_with_what_to_do(hub: Hub, link: str) -> None:
    token, name = link.removeprefix("/dl/").split("/")
    middle = len(token) // 2
    flipped = "A" if token[middle] != "A" else "B"
    for changed in (
        f"{link}?a=1",
        f"/dl/{token[:middle]}{flipped}{token[middle + 1 :]}/{name}",
        f"/dl/{token}/{name}x",
        f"/dl/{token}/",
        f"/dl/{token}",
        f"/dl/{token}=/{name}",
        f"/dl/{token}/x/{name}",
        f"/dl/{token}/{name.replace('e', '%65', 1)}",
    ):
        answer = hub.ask(changed)
        assert answer.status == 403, changed
        body = answer.json()
        assert (body["code"], "new one" in json.dumps(body)) == ("link-invalid", True)
        assert answer.headers["content-type"] == "application/problem+json"
    assert hub.ask(link, method="HEAD").status == 200


def test_an_expired_link_is_gone(data: Path) -> None:
    """On a hub whose links live for two seconds."""
    with running_hub(data, link_seconds="2", web_processes="1") as hub:
        artifact = hub.artifacts(hub.entitlement("plain", HALDEN)["id"])[0]
        for _ in range(5):  # a busy machine may take longer than that for the first one
            link = hub.link(artifact, hub.user(ADA)["token"])
            if hub.ask(link).status == 200:
                break
        else:
            raise AssertionError("no link was good when it was fresh")
        time.sleep(2.1)
        answer = hub.ask(link)
        assert (answer.status, answer.json()["code"]) == (410, "link-expired")
        person = hub.ask(link, headers={"Accept": "text/html"})
        assert (person.status, b"new link" in person.body) == (410, True)
        assert person.headers["content-type"].startswith("text/plain")


def test_a_revocation_is_seen_within_five_seconds_by_every_process(hub: Hub) -> None:
    """Both processes hold the lease before; 5 s after, neither gives a byte, nor a new link.

    The customer is its own: what an organisation was given once stays in its list for ever.
    """
    owner, who = "Passing Guests", "dora@guests.example"
    assert hub.operate("organisation", "add", owner, "--country", "DE").code == 0
    assert hub.operate("user", "add", who, "--organisation", owner).code == 0
    granted = str(hub.operate("grant", owner, "EP200").objects())
    token = hub.operate("token", who).out.strip()
    artifact = hub.artifacts(hub.entitlement("plain", OKABE, "EP200")["id"])[0]
    artifact = {**artifact, "entitlement_id": granted}
    link = hub.link(artifact, token)
    assert {hub.ask(link).status for _ in range(FRESH_CONNECTIONS)} == {200}
    assert hub.operate("revoke", artifact["entitlement_id"]).code == 0
    time.sleep(5.1)
    answers = [hub.ask(link) for _ in range(FRESH_CONNECTIONS)]
    assert {answer.status for answer in answers} == {403}
    assert {answer.json()["code"] for answer in answers} == {"entitlement-revoked"}
    again = hub.ask(http_of(artifact), token=token)
    assert (again.status, again.json()["reason"]) == (403, "entitlement-revoked")


def recorded(hub: Hub, artifact: dict[str, Any]) -> list[dict[str, Any]]:
    """The downloads of an artifact as the operator sees them."""
    listed = hub.operate("downloads", "--artifact", artifact["artifact_id"], "--json").objects()
    assert isinstance(listed, list)
    return listed


def test_a_download_is_complete_when_its_ranges_cover_the_file(hub: Hub) -> None:
    """HEAD, 304 and a first half leave no complete download; the second half makes it one."""
    artifact = hub.artifacts(hub.entitlement("plain", HARBOUR)["id"])[-1]
    token = hub.user(PIA)["token"]
    link = hub.link(artifact, token)
    head = hub.ask(link, method="HEAD")
    assert hub.ask(link, headers={"If-None-Match": head.headers["etag"]}).status == 304
    half = int(head.headers["content-length"]) // 2
    assert ranged(hub, link, f"bytes=0-{half - 1}").status == 206
    # What came before it would be written down by now, or with it.
    [begun] = wait_for(lambda: recorded(hub, artifact))
    assert (begun["completed_at"], begun["bytes_sent"]) == (None, half)
    assert ranged(hub, hub.link(artifact, token), f"bytes={half}-").status == 206
    [done] = wait_for(
        lambda: found if (found := recorded(hub, artifact))[0]["completed_at"] else None
    )
    assert done["bytes_sent"] == int(head.headers["content-length"])
    assert done["principal"] == f"user:{hub.user(PIA)['id']}"
