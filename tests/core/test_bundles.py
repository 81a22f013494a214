"""Bundles that are damaged, or made to do harm: nothing of them is ever seen."""

import hashlib
import io
import random
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from entrepot.blobs import LocalBlobStore
from entrepot.client import bundles as of_client
from entrepot.core import catalogue
from entrepot.core.catalogue import Bundle, bundles
from entrepot.core.catalogue.tables import releases
from entrepot.db import Database
from entrepot.errors import Invalid
from tests.core.bundling_world import Made, licence, nothing_is_here, open_store, pack, take_in
from tests.factories import NOW, OPERATOR


@pytest.fixture
def store(tmp_path: Path) -> LocalBlobStore:
    return open_store(tmp_path / "blobs")


Spoil = Callable[[dict[str, Any]], object]
SPOILT: dict[str, Spoil] = {
    "a path as a name": lambda told: told["releases"][0]["artifacts"][0].update(
        fileName="../../etc/passwd"
    ),
    "a device": lambda told: told["releases"][0]["artifacts"][0].update(fileName="NUL.txt"),
    "one name twice": lambda told: told["releases"][0]["artifacts"][0].update(fileName="B.BIN"),
    "one id twice": lambda told: told["releases"][0]["artifacts"][0].update(
        id=told["releases"][0]["id"]
    ),
    "an id that is none": lambda told: told["releases"][0].update(id="../x"),
    "a digest that is none": lambda told: told["releases"][0]["artifacts"][0].update(
        sha256="../../../../etc/passwd"
    ),
    "another size": lambda told: told["releases"][0]["artifacts"][0].update(size=1199),
    "a huge size": lambda told: told["releases"][0]["artifacts"][0].update(size=2**61),
    "two sizes": lambda told: told["releases"][0]["artifacts"].append(
        told["releases"][0]["artifacts"][0]
        | {"id": "0" * 8 + "-0000-0000-0000-" + "0" * 12, "size": 1, "fileName": "c"}
    ),
    "no file": lambda told: told["releases"][0].update(artifacts=[]),
    "no release": lambda told: told.update(releases=[]),
    "a release of no product": lambda told: told["releases"][0].update(product="OTHER"),
    "a code that is none": lambda told: (
        told["releases"][0].update(product="a/b"),
        told["products"][0].update(code="a/b"),
    ),
    "a number as a code": lambda told: (
        told["releases"][0].update(product="17"),
        told["products"][0].update(code="17"),
    ),
    "a date that is none": lambda told: told["releases"][0].update(availableAt="tomorrow"),
    "a quality that is none": lambda told: told["releases"][0].update(quality="a b"),
    "a licence that is not there": lambda told: told["products"][0].update(
        licence={"code": "X", "revision": 1}
    ),
    "a field that nobody knows": lambda told: told["releases"][0].update(run="rm -rf /"),
    "a product twice": lambda told: told["products"].append(told["products"][0]),
}


@pytest.mark.parametrize("how", SPOILT)
def test_an_index_that_says_what_no_publisher_may(
    how: str, database: Database, store: LocalBlobStore
) -> None:
    told = Made().index()
    SPOILT[how](told)
    data = pack(told, [data for _, data in Made.files])
    with pytest.raises(Invalid):
        take_in(database, store, data)
    nothing_is_here(database, store)


def hostile_tar(change: Callable[[tarfile.TarInfo], None], at: int = -1) -> bytes:
    """A bundle whose headers are made by another program, one of them changed."""
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(Made().bytes())) as read,
        tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as written,
    ):
        members = read.getmembers()
        change(members[at])
        for member in members:
            found = read.extractfile(member) if member.isreg() else None
            written.addfile(member, found)
    return out.getvalue()


def link(member: tarfile.TarInfo) -> None:
    member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0


def hard_link(member: tarfile.TarInfo) -> None:
    member.type, member.linkname, member.size = tarfile.LNKTYPE, "entrepot-bundle.json", 0


def device(member: tarfile.TarInfo) -> None:
    member.type, member.size = tarfile.CHRTYPE, 0


def sparse(member: tarfile.TarInfo) -> None:
    member.type = b"S"


def climb(member: tarfile.TarInfo) -> None:
    member.name = "../../files/x"


def absolute(member: tarfile.TarInfo) -> None:
    member.name = "/etc/cron.d/x"


@pytest.mark.parametrize("change", [link, hard_link, device, sparse, climb, absolute])
@pytest.mark.parametrize("at", [0, -1])
def test_a_tar_with_anything_but_the_plain_files_of_its_index(
    change: Callable[[tarfile.TarInfo], None], at: int, database: Database, store: LocalBlobStore
) -> None:
    with pytest.raises(Invalid) as caught:
        take_in(database, store, hostile_tar(change, at))
    assert caught.value.code == "bundle-invalid"
    nothing_is_here(database, store)


def test_every_cut_and_every_flipped_bit_is_found(
    database: Database, store: LocalBlobStore
) -> None:
    whole = Made(licence=licence()).bytes()
    drawn = random.Random(20260131)
    cuts = [0, 1, 511, 512, len(whole) - 1, *(drawn.randrange(len(whole)) for _ in range(8))]
    spoilt = [whole[:cut] for cut in cuts]
    for _ in range(24):
        at = drawn.randrange(len(whole))
        spoilt.append(whole[:at] + bytes([whole[at] ^ 1 << drawn.randrange(8)]) + whole[at + 1 :])
    spoilt += [whole + b"x", whole + bytes(10_241), b"", bytes(10_240), whole[512:]]
    for data in spoilt:
        try:
            rows = take_in(database, store, data)
        except Invalid:
            continue
        # A bit of the index that says something else of the release, and nothing of its bytes.
        assert len(rows) == 1
        assert data[512:5000] != whole[512:5000]
        with database.write() as tx:
            for release in tx.execute(select(releases.c.id)).scalars():
                for artifact in catalogue.list_artifacts(tx, release):
                    with store.open(artifact.sha256) as stream:
                        assert hashlib.sha256(stream.read()).hexdigest() == artifact.sha256
    # Some programs fill the last record with zeros: that is no damage.
    assert take_in(database, store, whole + bytes(9216))


def test_nothing_can_be_seen_before_what_vouches_for_it_is_checked(
    database: Database, store: LocalBlobStore
) -> None:
    def refuse(bundle: Bundle) -> bundles.Index:
        assert set(bundle.stored) == set(store.listing())
        raise Invalid("Not by this key.")

    opened = bundles.open_bundle(io.BytesIO(Made().bytes()))
    with pytest.raises(Invalid, match="Not by this key"):
        catalogue.import_bundle(
            database,
            store,
            opened,
            targets=catalogue.find_targets(opened.index, {}),
            publish=True,
            prove=refuse,
            keep=lambda _tx, _release, _imported: None,
            done=lambda _: None,
            actor=OPERATOR,
            now=lambda: NOW,
        )
    nothing_is_here(database, store)


@given(st.integers(0, 2**62))
def test_both_sides_write_the_same_headers_and_tar_reads_them(size: int) -> None:
    name = "files/" + "a" * 64
    header = of_client.tar_header(name, size)
    assert header == bundles.tar_header(name, size)
    assert len(header) % 512 == 0
    if 0 < size < 8**11:  # tarfile would want the content as well
        member = tarfile.TarInfo.frombuf(header, "ascii", "strict")
    else:
        with tarfile.open(fileobj=io.BytesIO(header + bytes(1024))) as read:
            [member] = [one for one in (read.next(),) if one is not None]
    assert (member.name, member.size, member.isreg()) == (name, size, True)
    assert (member.mode, member.mtime, member.uid, member.gid) == (0o644, 0, 0, 0)


@given(
    st.dictionaries(
        st.text(st.characters(categories=("L", "N")), min_size=1, max_size=20),
        st.binary(max_size=2000),
        min_size=1,
        max_size=8,
    )
)
def test_any_files_make_a_tar_that_others_read(files: dict[str, bytes]) -> None:
    data = Made(files=list(files.items())).bytes()
    with tarfile.open(fileobj=io.BytesIO(data)) as read:
        content = {one.name: read.extractfile(one).read() for one in read.getmembers()}  # type: ignore[union-attr]
    index = content.pop("entrepot-bundle.json")
    assert bundles.open_bundle(io.BytesIO(data)).sha256 == hashlib.sha256(index).hexdigest()
    wanted = {f"files/{hashlib.sha256(one).hexdigest()}": one for one in files.values()}
    assert content == wanted
