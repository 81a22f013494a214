"""`entrepot download`: the newest release of a product, file by file or as one checked ZIP."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from entrepot.client import BadAnswer, Client, Corrupt, InvalidUse, NotFound
from entrepot.client.finding import find_entitlement
from entrepot.client.stop import Stop
from entrepot.client.zips import ZipCheck
from tests.client.conftest import Ran
from tests.client.hub import ARTIFACTS, EMPTY, ENTITLEMENT, LICENSED, RELEASE, Fault, File, Hub

Run = Callable[..., Ran]
PRODUCT = "DS000B"
NAME = f"{PRODUCT}-2022.2.zip"


@pytest.fixture(autouse=True)
def two_files(hub: Hub) -> None:
    hub.files.append(File("second é.bin", b"two" * 50_000))


def test_a_product_is_downloaded_by_its_code_or_by_the_entitlement(
    run: Run, hub: Hub, home: Path
) -> None:
    for what in (PRODUCT, ENTITLEMENT):
        ran = run("download", what, "-d", what)
        assert ran.code == 0, ran.err
        assert len(ran.out.splitlines()) == 2
        for file in hub.files:
            assert (home / what / str(file.name)).read_bytes() == file.data


def test_a_release_arrives_as_one_zip(run: Run, hub: Hub, home: Path) -> None:
    ran = run("download", PRODUCT, "--zip")
    assert ran.code == 0, ran.err
    target = home / "Artifacts" / NAME
    assert ran.out.splitlines() == [str(target)]
    assert target.read_bytes() == hub.zip()
    assert sorted(path.name for path in target.parent.iterdir()) == [".entrepot", NAME]
    verified = run("verify", "Artifacts")
    assert (verified.code, "1 ok; 1 as the hub said at the download" in verified.err) == (0, True)
    assert "sha256 verified" in ran.err
    hub.requests.clear()
    again = run("download", ENTITLEMENT, "--zip", "-r", RELEASE)
    assert (again.code, "already complete" in again.err) == (0, True), again.err
    assert hub.byte_requests() == []
    target.write_bytes(target.read_bytes().replace(b"twotwo", b"owtowt", 1))
    assert run("download", PRODUCT, "--zip").code == 0
    assert target.read_bytes() == hub.zip()


def test_cuts_and_dead_links_are_survived(run: Run, hub: Hub, home: Path) -> None:
    hub.links_die_after_use = True
    hub.faults = [Fault("cut", at=100_000), Fault("cut", at=150_000)]
    assert run("download", PRODUCT, "--zip").code == 0
    assert (home / "Artifacts" / NAME).read_bytes() == hub.zip()
    assert len(hub.byte_requests()) > 2


@pytest.mark.parametrize(
    "held",
    [
        [],
        [File("installer.tar.gz", bytes(range(256)) * 4000)],
        [File("installer.tar.gz", bytes(range(256)) * 4000), File("second é.bin", b"x" * 150_000)],
        [File("installer.tar.gz", b""), File("second é.bin", b"two" * 50_000)],
        [File("installer.tar.gz", b""), File("../second é.bin", b"two" * 50_000)],
    ],
)
def test_a_zip_that_is_not_the_release_is_never_put_in_place(
    run: Run, hub: Hub, home: Path, held: list[File]
) -> None:
    hub.zip_files = held
    ran = run("download", PRODUCT, "--zip")
    assert ran.code == 8, ran.err
    assert list((home / "Artifacts").iterdir()) == []
    assert len(hub.byte_requests()) == 2


def test_a_flipped_bit_is_found_and_the_zip_fetched_anew(run: Run, hub: Hub, home: Path) -> None:
    hub.faults = [Fault("flip", at=5000)]
    assert run("download", PRODUCT, "--zip").code == 0
    assert (home / "Artifacts" / NAME).read_bytes() == hub.zip()
    assert len(hub.byte_requests()) == 2


@pytest.mark.parametrize("name", ["../x", "a/b", "nul", "a:b", "x ", ".hidden"])
def test_names_that_unpack_elsewhere_are_refused_before_anything_is_fetched(
    run: Run, hub: Hub, name: str
) -> None:
    hub.files[1] = File(name, b"x")
    ran = run("download", PRODUCT, "--zip")
    assert ran.code == 1
    assert "unpack safely" in ran.err
    assert hub.byte_requests() == []


def test_names_that_some_file_systems_take_for_one_are_refused(hub: Hub) -> None:
    listed = [File(name, b"").describe(ARTIFACTS[0]) for name in ("a.BIN", "A.bin")]
    with pytest.raises(BadAnswer):
        ZipCheck(listed, Stop())


def test_a_controlled_file_declares_the_country_and_a_licence_is_named(run: Run, hub: Hub) -> None:
    hub.files[1].repository = "controlled-eu"
    assert run("download", PRODUCT, "--zip", "--country", "fr").code == 4
    assert run("download", PRODUCT, "--zip", "--country", "gb").code == 0
    assert run("download", PRODUCT, "--zip", "-d", "token").code == 0  # the token's country
    refused = run("download", LICENSED, "--zip")
    assert (refused.code, hub.licence_url in refused.err) == (5, True)


def test_what_cannot_be_meant_is_said(run: Run, hub: Hub) -> None:
    assert run("download", "NOSUCH").code == 3
    assert run("download", EMPTY, "--zip").code == 3
    assert run("download", PRODUCT, "-r", RELEASE.replace("d", "e")).code == 3
    assert run("download").code == 2
    several = [*hub.entitlements(), {**hub.entitlements()[0], "id": "7"}]
    hub.entitlements = lambda: several  # type: ignore[method-assign]
    with Client(hub.url, hub.token) as client:
        with pytest.raises(InvalidUse, match=f"{ENTITLEMENT}, 7"):
            find_entitlement(client, PRODUCT)
        several[0]["status"] = "lapsed"
        assert find_entitlement(client, PRODUCT)["id"] == "7"
        several[-1]["status"] = "expired"  # a lapsed one still gives older releases
        assert find_entitlement(client, PRODUCT)["id"] == ENTITLEMENT
        with pytest.raises(NotFound):
            find_entitlement(client, "123")


def test_a_zip_must_be_a_plain_one(tmp_path: Path, hub: Hub) -> None:
    check = ZipCheck(hub.release(ENTITLEMENT)["artifacts"], Stop())
    path = tmp_path / "it.zip"
    path.write_bytes(hub.zip())
    check(path)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        for file in hub.files:
            made.writestr(str(file.name), file.data)
    for wrong in (
        packed.getvalue(),
        b"",
        hub.zip()[:-1],
        hub.zip()[1:],
        b"x" + hub.zip(),
        b"x" * 9,
    ):
        path.write_bytes(wrong)
        with pytest.raises(Corrupt):
            check(path)
