"""Small files come by one request each; what it runs into is dealt with as for any other."""

import os
from pathlib import Path

import pytest

from entrepot.client import Client, Corrupt, Unreachable
from tests.client.hub import ARTIFACTS, ENTITLEMENT, RELEASE, Fault, File, Hub

SIZE = 200_000


@pytest.mark.parametrize(
    ("fault", "ranges"),
    [
        (Fault("none"), [None]),
        (Fault("no-length"), [None]),
        (Fault("redirect"), [None, None]),
        (Fault("cut", 0), [None, None]),
        (Fault("cut", 90_000), [None, "bytes=90000-"]),
        (Fault("stall", 150_000), [None, "bytes=150000-"]),
        (Fault("trickle", 150_000), None),
        (Fault("silence"), [None, None]),
        (Fault("status", status=503), [None, None]),
        (Fault("status", status=410), [None, None]),
        (Fault("short", 90_000), None),
        (Fault("flip", 5000), [None, None]),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_a_small_file_arrives_whatever_happens_once(
    hub: Hub, client: Client, tmp_path: Path, fault: Fault, ranges: list[str | None] | None
) -> None:
    hub.files = [File("small.bin", os.urandom(SIZE))]
    hub.faults = [fault]
    done = client.download(ENTITLEMENT, RELEASE, ARTIFACTS[0], tmp_path)
    assert done.path.read_bytes() == hub.files[0].data
    assert [path.name for path in tmp_path.iterdir()] == ["small.bin"]
    asked = [request.headers.get("range") for request in hub.byte_requests()]
    assert ranges is None or asked == ranges


@pytest.mark.parametrize(
    ("fault", "error"), [(Fault("cut", 0), Unreachable), (Fault("flip", 100), Corrupt)]
)
def test_what_goes_on_going_wrong_is_told_and_leaves_nothing(
    hub: Hub, client: Client, tmp_path: Path, fault: Fault, error: type[Exception]
) -> None:
    hub.files = [File("small.bin", os.urandom(SIZE))]
    hub.faults = [fault] * 30
    with pytest.raises(error):
        client.download(ENTITLEMENT, RELEASE, ARTIFACTS[0], tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(hub.byte_requests()) <= 4, "as often as without the short way"
