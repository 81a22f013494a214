"""Downloads against a server that cuts, stalls, lies and lets links die."""

import errno
import hashlib
import os
import resource
import signal
import stat
import threading
import time
from pathlib import Path

import pytest

from entrepot.client import (
    BadAnswer,
    Cancelled,
    Client,
    Corrupt,
    Denied,
    DiskFull,
    Downloaded,
    LicenceNeeded,
    LocalFileError,
    NotFound,
    Unreachable,
    Watcher,
)
from entrepot.client.bodies import content_range
from entrepot.client.kept_partial import KeptPartial
from entrepot.client.locks import lock_at_once
from entrepot.client.partial import local_error
from tests.client.hub import (
    ARTIFACTS,
    EMPTY,
    ENTITLEMENT,
    LICENSED,
    RELEASE,
    STALL_SECONDS,
    Fault,
    File,
    Hub,
)


def fetch(
    client: Client, folder: Path, number: int = 0, watcher: Watcher | None = None
) -> Downloaded:
    return client.download(ENTITLEMENT, RELEASE, ARTIFACTS[number], folder, watcher=watcher)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_verified_and_alone(hub: Hub, client: Client, tmp_path: Path) -> None:
    done = fetch(client, tmp_path)
    assert done.path == tmp_path / "installer.tar.gz"
    assert done.path.read_bytes() == hub.files[0].data
    assert (done.verified, done.skipped, done.size) == ("sha256", False, len(hub.files[0].data))
    assert names(tmp_path) == ["installer.tar.gz"]


def test_the_mode_follows_the_umask(client: Client, tmp_path: Path) -> None:
    done = fetch(client, tmp_path)
    umask = os.umask(0o022)
    os.umask(umask)
    assert stat.S_IMODE(done.path.stat().st_mode) == 0o666 & ~umask


def test_the_token_goes_to_the_api_and_never_with_the_bytes(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    fetch(client, tmp_path)
    assert hub.asked("/http")[0].headers["authorization"] == f"Bearer {hub.token}"
    assert all("authorization" not in request.headers for request in hub.byte_requests())
    assert hub.byte_requests()[0].headers["accept-encoding"] == "identity"


def test_a_complete_file_is_skipped_without_a_link_or_a_byte(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    fetch(client, tmp_path)
    before = (tmp_path / "installer.tar.gz").stat()
    hub.requests.clear()
    done = fetch(client, tmp_path)
    assert done.skipped
    assert done.verified == "sha256"
    assert hub.byte_requests() == []
    assert hub.asked("/http") == []
    after = (tmp_path / "installer.tar.gz").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("content", [b"", b"old", bytes(256 * 4000)])
def test_a_different_file_is_replaced(
    hub: Hub, client: Client, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "installer.tar.gz").write_bytes(content)
    assert not fetch(client, tmp_path).skipped
    assert (tmp_path / "installer.tar.gz").read_bytes() == hub.files[0].data


def test_md5_counts_where_there_is_no_sha256(hub: Hub, client: Client, tmp_path: Path) -> None:
    hub.files[0].sha256 = None
    assert fetch(client, tmp_path).verified == "md5"
    assert fetch(client, tmp_path).skipped
    hub.files[0].md5 = "0" * 32
    with pytest.raises(Corrupt, match="md5"):
        fetch(client, tmp_path)


def test_without_a_digest_only_the_size_is_proved_and_nothing_is_skipped(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    hub.files[0].sha256 = hub.files[0].md5 = None
    assert fetch(client, tmp_path).verified == "size"
    assert not fetch(client, tmp_path).skipped


@pytest.mark.parametrize("digest", ["", "xyz", "0" * 63, "g" * 64])
def test_a_digest_that_cannot_be_one_is_not_taken_for_none(
    hub: Hub, client: Client, tmp_path: Path, digest: str
) -> None:
    hub.files[0].sha256 = digest
    with pytest.raises(BadAnswer, match="sha256"):
        fetch(client, tmp_path)
    assert hub.byte_requests() == []


def test_wrong_bytes_never_reach_the_target(hub: Hub, client: Client, tmp_path: Path) -> None:
    good = tmp_path / "installer.tar.gz"
    good.write_bytes(b"an older version that works")
    hub.faults = [Fault("flip", 5000), Fault("flip", 6000)]
    with pytest.raises(Corrupt, match="sha256"):
        fetch(client, tmp_path)
    assert good.read_bytes() == b"an older version that works"
    assert names(tmp_path) == ["installer.tar.gz"]


def test_bytes_flipped_once_are_fetched_again(hub: Hub, client: Client, tmp_path: Path) -> None:
    hub.faults = [Fault("flip", 5000)]
    fetch(client, tmp_path)
    assert (tmp_path / "installer.tar.gz").read_bytes() == hub.files[0].data


def test_many_cuts_are_resumed_where_they_happened(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    hub.faults = [Fault("cut", 90_000) for _ in range(10)]
    fetch(client, tmp_path)
    ranges = [request.headers.get("range") for request in hub.byte_requests()]
    assert ranges == [None] + [f"bytes={90_000 * n}-" for n in range(1, 11)]
    etag = hashlib.sha256(hub.files[0].data).hexdigest()[:16]
    assert {r.headers.get("if-range") for r in hub.byte_requests()[1:]} == {f'"{etag}"'}
    assert hub.minted == 1


def test_cuts_without_progress_end_as_a_network_error(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    hub.faults = [Fault("cut", 0) for _ in range(20)]
    with pytest.raises(Unreachable):
        fetch(client, tmp_path)
    assert len(hub.byte_requests()) == 4
    assert names(tmp_path) == []


def test_a_stall_is_noticed_and_resumed(hub: Hub, client: Client, tmp_path: Path) -> None:
    hub.faults = [Fault("stall", 300_000)]
    started = time.monotonic()
    fetch(client, tmp_path)
    assert time.monotonic() - started < STALL_SECONDS / 2
    assert hub.byte_requests()[1].headers["range"] == "bytes=300000-"


def test_a_trickle_counts_as_a_stall(hub: Hub, client: Client, tmp_path: Path) -> None:
    hub.faults = [Fault("trickle", 300_000)]
    started = time.monotonic()
    fetch(client, tmp_path)
    assert time.monotonic() - started < STALL_SECONDS / 2
    assert len(hub.byte_requests()) == 2


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_link_that_died_half_way_is_replaced_and_the_rest_fetched(
    hub: Hub, client: Client, tmp_path: Path, status: int
) -> None:
    hub.faults = [Fault("cut", 500_000), Fault("status", status=status)]
    fetch(client, tmp_path)
    assert hub.minted == 2
    assert [request.headers.get("range") for request in hub.byte_requests()] == [
        None,
        "bytes=500000-",
        "bytes=500000-",
    ]


def test_a_link_that_is_always_dead_ends_with_what_the_hub_says(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "installer.tar.gz").write_bytes(b"precious")
    hub.faults = [Fault("status", status=403) for _ in range(20)]
    with pytest.raises(Denied, match="status 403"):
        fetch(client, tmp_path)
    assert 2 <= hub.minted <= 5
    assert (tmp_path / "installer.tar.gz").read_bytes() == b"precious"
    assert names(tmp_path) == ["installer.tar.gz"]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_not_now_is_tried_again(hub: Hub, client: Client, tmp_path: Path, status: int) -> None:
    hub.faults = [Fault("status", status=status), Fault("status", status=status)]
    fetch(client, tmp_path)
    assert len(hub.byte_requests()) == 3


def test_retry_after_is_honoured(hub: Hub, client: Client, tmp_path: Path) -> None:
    hub.faults = [Fault("status", status=503, headers={"Retry-After": "1"})]
    started = time.monotonic()
    fetch(client, tmp_path)
    assert time.monotonic() - started >= 1


def test_a_retry_after_of_an_hour_is_said_not_slept(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    hub.faults = [Fault("status", status=503, headers={"Retry-After": "3600"})]
    with pytest.raises(Unreachable):
        fetch(client, tmp_path)


def test_a_file_that_changed_meanwhile_is_fetched_from_the_start(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    hub.files[0].size = None

    class Change(Watcher):
        def trouble(self, name: str, message: str, pause_seconds: float) -> None:
            hub.files[0].data = b"new bytes" * 100

    hub.faults = [Fault("cut", 500_000)]
    old = client.artifact(ENTITLEMENT, RELEASE, ARTIFACTS[0])
    new = {**old, "sha256": hashlib.sha256(b"new bytes" * 100).hexdigest()}
    client.download(ENTITLEMENT, RELEASE, new, tmp_path, watcher=Change())
    assert (tmp_path / "installer.tar.gz").read_bytes() == b"new bytes" * 100


def test_a_server_that_ignores_range_is_read_from_the_start(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    hub.faults = [Fault("cut", 500_000), Fault("ignore-range")]
    fetch(client, tmp_path)
    assert (tmp_path / "installer.tar.gz").read_bytes() == hub.files[0].data


def test_a_length_other_than_announced_is_refused_before_the_bytes(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    hub.faults = [Fault("short"), Fault("short")]
    with pytest.raises(Corrupt, match="announced"):
        fetch(client, tmp_path)
    assert names(tmp_path) == []


def test_an_answer_without_length_is_checked_all_the_same(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    hub.faults = [Fault("no-length")]
    fetch(client, tmp_path)
    assert (tmp_path / "installer.tar.gz").read_bytes() == hub.files[0].data
    hub.files[0] = File("more.bin", bytes(5000), size=100)
    hub.faults = [Fault("no-length"), Fault("no-length")]
    with pytest.raises(Corrupt, match="More bytes"):
        fetch(client, tmp_path)


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 1024 * 1024 + 1])
def test_sizes_around_the_buffer(hub: Hub, client: Client, tmp_path: Path, size: int) -> None:
    hub.files[0] = File("x.bin", os.urandom(size))
    assert fetch(client, tmp_path).size == size
    assert (tmp_path / "x.bin").read_bytes() == hub.files[0].data


def test_redirects_are_followed_without_a_token_and_with_the_range(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    there = {"Location": "/dl/other-0/file"}
    hub.faults = [
        Fault("redirect", status=302, headers=there),
        Fault("cut", 100_000),
        Fault("redirect", status=307, headers=there),
    ]
    fetch(client, tmp_path)
    last = hub.byte_requests()[-1]
    assert last.path == "/dl/other-0/file"
    assert last.headers["range"] == "bytes=100000-"
    assert all("authorization" not in request.headers for request in hub.byte_requests())


def test_a_circle_of_redirects_ends(hub: Hub, client: Client, tmp_path: Path) -> None:
    there = {"Location": "/dl/other-0/file"}
    hub.faults = [Fault("redirect", status=302, headers=there) for _ in range(20)]
    with pytest.raises(BadAnswer, match="too often"):
        fetch(client, tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "javascript:1",
        "a b",
        "http://[::1/x",
        "http://a..b/x",
        f"http://{'a' * 64}.example/x",
        "http://127.0.0.1/\ud800",
    ],
)
def test_a_link_that_is_no_web_address_is_refused(
    hub: Hub, client: Client, tmp_path: Path, url: str
) -> None:
    hub.link_url = url
    with pytest.raises(BadAnswer):
        fetch(client, tmp_path)
    hub.link_url = None
    hub.faults = [Fault("redirect", status=302, headers={"Location": url})]
    if "://" in url and url.isascii():
        with pytest.raises(BadAnswer):
            fetch(client, tmp_path)


def test_a_full_disk_is_noticed_before_the_first_byte(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    hub.files[0].size = 1 << 60
    with pytest.raises(DiskFull, match="No room"):
        fetch(client, tmp_path)
    assert hub.minted == 0


def test_a_write_that_fails_leaves_the_old_file_and_no_partial(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "installer.tar.gz").write_bytes(b"precious")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(LocalFileError):
            fetch(client, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)
    assert names(tmp_path) == ["installer.tar.gz"]
    assert (tmp_path / "installer.tar.gz").read_bytes() == b"precious"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_and_a_full_quota_are_called_so(tmp_path: Path, number: int) -> None:
    assert isinstance(local_error(OSError(number, "full"), tmp_path), DiskFull)


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        ("bytes 5-9/10", (5, 10)),
        ("bytes 5-9/*", (5, None)),
        ("bytes */10", (-1, None)),
        ("items 5-9/10", (-1, None)),
        ("", (-1, None)),
        ("bytes ²-9/10", (-1, None)),
        (f"bytes {'9' * 5000}-9/10", (-1, None)),
    ],
)
def test_content_range(value: str, parsed: tuple[int, int | None]) -> None:
    assert content_range(value) == parsed


def test_a_directory_in_the_way_is_a_local_error(hub: Hub, client: Client, tmp_path: Path) -> None:
    (tmp_path / "installer.tar.gz").mkdir()
    with pytest.raises(LocalFileError, match="in the way") as refused:
        fetch(client, tmp_path)
    assert "Move it away" in refused.value.remedy
    assert hub.minted == 0


def test_a_symbolic_link_is_replaced_not_written_through(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "installer.tar.gz").symlink_to(outside)
    fetch(client, inside)
    assert outside.read_bytes() == b"secret"
    assert not (inside / "installer.tar.gz").is_symlink()


@pytest.mark.parametrize(
    "name", ["../../evil.sh", "/tmp/evil.sh", "..\\evil.sh", "a/../../evil", "..", "C:evil"]
)
def test_no_name_leads_out_of_the_folder(
    hub: Hub, client: Client, tmp_path: Path, name: str
) -> None:
    hub.files[0].name = name
    folder = tmp_path / "a" / "b"
    done = fetch(client, folder)
    assert done.path.parent == folder
    assert len(names(folder)) == 1
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == ["b"]


def test_no_file_name_no_file(hub: Hub, client: Client, tmp_path: Path) -> None:
    hub.files[0].name = None
    with pytest.raises(BadAnswer, match="no file name"):
        fetch(client, tmp_path)


def test_controlled_artifacts_declare_the_country_of_the_token_or_of_the_caller(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    hub.files.append(File("controlled.bin", b"x", repository="ipw-controlled"))
    fetch(client, tmp_path)
    assert "declared-country-code" not in hub.asked("/http")[0].headers
    fetch(client, tmp_path, 1)
    assert hub.asked("/http")[1].headers["declared-country-code"] == "GB"
    with pytest.raises(Denied) as caught:
        client.download(ENTITLEMENT, RELEASE, ARTIFACTS[1], tmp_path / "fr", country="fr")
    assert caught.value.remedy == "Declare GB."
    assert hub.asked("/http")[2].headers["declared-country-code"] == "FR"


def test_a_licence_is_an_error_of_its_own(hub: Hub, client: Client, tmp_path: Path) -> None:
    with pytest.raises(LicenceNeeded) as caught:
        client.download(LICENSED, RELEASE, ARTIFACTS[0], tmp_path)
    assert caught.value.agreement_url == hub.licence_url
    assert "Accept the licence" in caught.value.message
    hub.licence_accepted = True
    client.download(LICENSED, RELEASE, ARTIFACTS[0], tmp_path)


def test_a_denial_when_minting_the_second_link_is_reported_as_such(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    hub.faults = [Fault("cut", 500_000), Fault("status", status=403)]

    class Revoke(Watcher):
        def trouble(self, name: str, message: str, pause_seconds: float) -> None:
            hub.api_faults = [Fault("denied")]

    with pytest.raises(Denied, match="Maintenance ended"):
        fetch(client, tmp_path, watcher=Revoke())
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", ["stall", "silence"])
def test_stop_ends_a_stalled_transfer_at_once(hub: Hub, tmp_path: Path, kind: str) -> None:
    hub.faults = [Fault(kind, 1000)]
    with Client(hub.url, hub.token) as client:
        timer = threading.Timer(0.3, client.stop.set)
        timer.start()
        started = time.monotonic()
        with pytest.raises(Cancelled):
            fetch(client, tmp_path)
        assert time.monotonic() - started < STALL_SECONDS / 2
        timer.join()
    assert names(tmp_path) == []


def test_two_downloads_of_the_same_file_at_a_time_both_end_well(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    results: list[Downloaded] = []
    threads = [
        threading.Thread(target=lambda: results.append(fetch(client, tmp_path))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert names(tmp_path) == ["installer.tar.gz"]
    assert (tmp_path / "installer.tar.gz").read_bytes() == hub.files[0].data


def test_an_empty_release_list_and_an_unknown_id(client: Client) -> None:
    assert client.releases(EMPTY) == []
    with pytest.raises(NotFound):
        client.release(ENTITLEMENT, "00000000-0000-0000-0000-000000000000")


@pytest.mark.parametrize("how", ["linked", "symbolic", "pipe"])
def test_nothing_is_written_to_what_others_put_beside_the_target(
    how: str, hub: Hub, client: Client, tmp_path: Path
) -> None:
    """Whoever can write to the folder knows the names of part and state."""
    digest = hashlib.sha256(hub.files[0].data).hexdigest()
    foreign, folder = tmp_path / "foreign", tmp_path / "folder"
    foreign.write_bytes(b"mine")
    folder.mkdir()
    begin = f".installer.tar.gz.{digest[:16]}"
    if how == "linked":
        (folder / f"{begin}.part").hardlink_to(foreign)
    elif how == "pipe":
        os.mkfifo(folder / f"{begin}.part")
        os.mkfifo(folder / f"{begin}.state")
    else:
        (folder / f"{begin}.part").symlink_to(foreign)
        (folder / f"{begin}.state~").symlink_to(foreign)
    with KeptPartial(folder / "installer.tar.gz", digest[:16], f"sha256:{digest}") as part:
        part.write(0, memoryview(b"bytes"))
        part.forget(0, 1)  # writes the state
    assert fetch(client, folder).path.read_bytes() == hub.files[0].data
    assert (foreign.read_bytes(), names(folder)) == (b"mine", ["installer.tar.gz"])


def test_parts_of_what_had_the_name_before_are_cleared_away(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    target = tmp_path / "installer.tar.gz"

    def put(*marks: str) -> None:
        for mark in marks:
            for ending in ("part", "state"):
                (tmp_path / f".installer.tar.gz.{mark}.{ending}").write_bytes(b"old")

    stays = [".installer.tar.gz.mine.part", ".installer.tar.0123456789abcdef.part"]
    for name in stays:
        (tmp_path / name).touch()
    put("0" * 16, "order-7", "12345678")
    (tmp_path / f".installer.tar.gz.{'1' * 16}.part").symlink_to(tmp_path / stays[0])
    held = tmp_path / f".installer.tar.gz.{'a' * 16}.part"
    held.touch()
    descriptor = os.open(held, os.O_RDWR)
    lock_at_once(descriptor)
    hub.faults = [Fault("cut", at=300_000), *(Fault("cut") for _ in range(20))]
    with pytest.raises(Unreachable):
        client.download(ENTITLEMENT, RELEASE, ARTIFACTS[0], tmp_path)
    mine = f".{target.name}.{hashlib.sha256(hub.files[0].data).hexdigest()[:16]}"
    linked = f".{target.name}.{'1' * 16}.part"
    assert names(tmp_path) == sorted([*stays, held.name, linked, f"{mine}.part", f"{mine}.state"])
    os.close(descriptor)
    hub.faults = []
    put("0" * 16)
    with Client(hub.url, hub.token) as later:
        assert not later.download(ENTITLEMENT, RELEASE, ARTIFACTS[0], tmp_path).skipped
    assert names(tmp_path) == sorted([*stays, linked, target.name])
    put("0" * 16)
    with Client(hub.url, hub.token) as later:
        assert later.download(ENTITLEMENT, RELEASE, ARTIFACTS[0], tmp_path).skipped
    assert names(tmp_path) == sorted([*stays, linked, target.name])
