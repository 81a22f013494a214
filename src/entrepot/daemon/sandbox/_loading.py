"""Loading the sample world into an empty hub, through the verbs that everybody uses."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import select

from entrepot import __version__
from entrepot.assembly import Hub
from entrepot.blobs import BlobStore, Digests
from entrepot.core import accounts, catalogue, entitlements
from entrepot.core.accounts.tables import organisations
from entrepot.daemon.sandbox._archives import (
    collect_sources,
    licence_text,
    make_tar_gz,
    make_zip,
)
from entrepot.daemon.sandbox._downloads import SampleDownload, sample_downloads
from entrepot.daemon.sandbox._media import SAMPLE_FILES
from entrepot.daemon.sandbox._plan import (
    APPS,
    CLIENTS,
    FOUNDED_DAYS_AGO,
    GRANTS,
    LICENCE_CODE,
    LICENCE_NAME,
    LICENCE_TEXT,
    ORGANISATIONS,
    PRODUCTS,
    SIGNED,
    USERS,
    SampleGrant,
    SampleProduct,
    SampleProgram,
    SampleRelease,
)
from entrepot.daemon.sandbox._secrets import (
    ClientSecret,
    GrantKind,
    Secrets,
    UserSecret,
    new_password,
    write_secrets,
)
from entrepot.db import Tx

ACTOR = "operator"


def load_world(hub: Hub, data: Path) -> bool:
    """Make the sample world where the hub holds nothing yet; whether it did.

    A hub with data is left as it is. All rows appear in one transaction and the secrets are on
    disk before it ends, so a kill at any moment leaves either nothing or a whole world.
    """
    with hub.database.read() as tx:
        if not _is_empty(tx):
            return False
    stored, media = _store_files(hub.blobs), _store_media(hub.blobs)
    shown = _store_shown(hub.blobs)
    passwords = [_password() for _ in USERS]
    with hub.database.write() as tx:
        if not _is_empty(tx):
            return False
        world = _World(tx, hub.now(), stored, media, shown, passwords, hub.keys.box)
        write_secrets(data, world.make())
    # Loaded here only: every `serve` imports this module, and few make a sandbox.
    from entrepot.daemon.sandbox._signing import sign_sample

    for code in SIGNED:
        sign_sample(hub, code)
    return True


def _is_empty(tx: Tx) -> bool:
    return tx.execute(select(organisations.c.id).limit(1)).first() is None


@dataclass(frozen=True, slots=True)
class _Password:
    """Hashed before the transaction, because that takes long."""

    plain: str
    hashed: accounts.PasswordHash


def _password() -> _Password:
    plain = new_password()
    return _Password(plain, accounts.hash_password(plain))


@dataclass(frozen=True, slots=True)
class _Stored:
    spec: catalogue.ArtifactSpec
    digests: Digests


_Files = Mapping[tuple[str, str], list[_Stored]]


def _store_files(store: BlobStore) -> _Files:
    """(product code, version) -> the files of that release, stored before any row exists."""
    return {
        (product.spec.code, release.version): [
            _Stored(spec, store.ingest(io.BytesIO(content)))
            for spec, content in _files_of(product, release)
        ]
        for product in PRODUCTS
        for release in product.releases
    }


def _store_media(store: BlobStore) -> Sequence[tuple[catalogue.AssetSpec, catalogue.StoredFile]]:
    """Every media asset, its file stored."""
    made = []
    for sample in SAMPLE_FILES:
        spec = catalogue.AssetSpec(
            sample.file_name,
            sample.titles,
            sample.identifier,
            sample.folder,
            catalogue.ENTITLED if sample.product else catalogue.PUBLIC,
            sample.product,
        )
        stored = catalogue.store_file(store, io.BytesIO(sample.make()), sample.file_name)
        made.append((spec, replace(stored, facts=sample.facts)))
    return made


_Shown = Sequence[tuple[SampleDownload, catalogue.DownloadFile]]


def _store_shown(store: BlobStore) -> _Shown:
    """What products show, each file stored."""
    return [
        (sample, catalogue.DownloadFile(stored, sample.file_name))
        for sample in sample_downloads()
        for stored in [
            catalogue.store_file(store, io.BytesIO(sample.text.encode()), sample.file_name)
        ]
    ]


def _files_of(
    product: SampleProduct, release: SampleRelease
) -> list[tuple[catalogue.ArtifactSpec, bytes]]:
    top = f"{product.stem}-{release.version}"
    sources = collect_sources(release.folders)
    readme = _readme(product, release, sorted(sources)).encode()
    members = {"LICENSE": licence_text().encode(), "README.txt": readme, **sources}
    made = {"tar.gz": make_tar_gz, "zip": make_zip}
    describe = partial(catalogue.ArtifactSpec, repository=product.repository)
    files = [
        (
            describe(f"{top}.{form}", f"{product.spec.name} {release.version}", "Source archive"),
            made[form](top, members),
        )
        for form in release.forms
    ]
    notes = describe(f"{top}-README.txt", "Read me", "What is in the archive", type="Document")
    return [*files, (notes, readme)]


def _readme(product: SampleProduct, release: SampleRelease, names: list[str]) -> str:
    listing = "\n".join(f"  {name}" for name in names)
    return (
        f"{product.spec.name} {release.version} ({product.spec.code})\n\n"
        f"{product.spec.description}\n\n"
        "A sample release of an Entrepot sandbox. The version is made up; the files are real:\n"
        f"they are sources of entrepot {__version__}, under the licence in LICENSE.\n\n"
        f"{len(names)} files:\n{listing}\n"
    )


@dataclass(frozen=True, slots=True)
class _World:
    """One loading: the transaction, the moment, and what was made before it."""

    tx: Tx
    now: datetime
    files: _Files
    media: Sequence[tuple[catalogue.AssetSpec, catalogue.StoredFile]]
    shown: _Shown
    passwords: Sequence[_Password]
    box: accounts.SecretBox

    def make(self) -> Secrets:
        """Every row, oldest first; returns what must stay readable."""
        founded = self._ago(FOUNDED_DAYS_AGO)
        numbers = {
            name: accounts.add_organisation(
                self.tx, name=name, country=country, actor=ACTOR, now=founded
            )
            for name, country in ORGANISATIONS.items()
        }
        users = self._add_users(numbers, founded)
        clients = self._add_programs(CLIENTS, numbers, founded)
        apps = self._add_programs(APPS, numbers, founded)
        catalogue.add_licence(
            self.tx,
            code=LICENCE_CODE,
            name=LICENCE_NAME,
            text=LICENCE_TEXT,
            actor=ACTOR,
            now=founded,
        )
        for product in PRODUCTS:
            catalogue.add_product(self.tx, product.spec, actor=ACTOR, now=founded)
        kinds = [GrantKind(self._grant(given), given.kind) for given in GRANTS]
        self._publish_all()
        catalogue.add_assets(self.tx, self.media, actor=ACTOR, now=self.now)
        self._show_files()
        return Secrets(users, clients, kinds, apps)

    def _show_files(self) -> None:
        for sample, file in self.shown:
            said = {"title": sample.title, "visibility": sample.visibility}
            catalogue.add_product_download(
                self.tx, sample.product, said, file, actor=ACTOR, now=self.now
            )

    def _ago(self, days: int) -> datetime:
        return self.now - timedelta(days=days)

    def _add_users(self, numbers: Mapping[str, int], now: datetime) -> list[UserSecret]:
        added = []
        for user, password in zip(USERS, self.passwords, strict=True):
            number = accounts.add_user(
                self.tx,
                email=user.email,
                given_name=user.given_name,
                family_name=user.family_name,
                organisation_id=numbers[user.organisation],
                roles=user.roles,
                password=password.hashed,
                actor=ACTOR,
                now=now,
            )
            added.append(UserSecret(number, password.plain))
        return added

    def _add_programs(
        self, programs: Sequence[SampleProgram], numbers: Mapping[str, int], now: datetime
    ) -> list[ClientSecret]:
        added = []
        for program in programs:
            new = accounts.add_client(
                self.tx,
                client_id=program.client_id,
                name=program.name,
                organisation_id=numbers[program.organisation],
                roles=program.roles,
                scopes=program.scopes,
                grants=program.grants,
                redirect_uris=program.redirect_uris,
                public=program.public,
                pkce=program.pkce,
                box=self.box,
                actor=ACTOR,
                now=now,
            )
            added.append(ClientSecret(new.client_id, new.secret))
        return added

    def _grant(self, given: SampleGrant) -> int:
        start = self._ago(given.days_ago)
        grant = entitlements.Grant(
            product=given.product,
            valid_from=start,
            maintenance_from=start,
            maintenance_to=self._ago(-given.maintained_days),
            allowed_countries=given.allowed_countries,
        )
        return entitlements.grant(self.tx, given.organisation, grant, actor=ACTOR, now=start)

    def _publish_all(self) -> None:
        every = [(product, release) for product in PRODUCTS for release in product.releases]
        for product, release in sorted(every, key=lambda pair: -pair[1].days_ago):
            self._publish(product, release)

    def _publish(self, product: SampleProduct, release: SampleRelease) -> None:
        moment = self._ago(release.days_ago)
        major, _, minor = release.version.partition(".")
        spec = catalogue.ReleaseSpec(
            name=release.version,
            revision=f"r{major}p{minor}",
            patch=release.patch,
            major_version=major,
            minor_version=minor,
            quality=release.quality,
        )
        number = catalogue.find_product(self.tx, product.spec.code).id
        release_id = catalogue.create_release(self.tx, number, spec, actor=ACTOR, now=moment)
        for stored in self.files[product.spec.code, release.version]:
            catalogue.add_artifact(
                self.tx, release_id, stored.spec, stored.digests, actor=ACTOR, now=moment
            )
        catalogue.make_available(self.tx, release_id, available_at=moment, actor=ACTOR, now=moment)
