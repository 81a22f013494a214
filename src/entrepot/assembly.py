"""Settings -> Hub: the one place where the parts are put together."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from sqlalchemy import make_url, text

from entrepot.blobs import BlobStore, DiskReserve, LocalBlobStore
from entrepot.core.accounts import (
    Keyring,
    Provider,
    SecretBox,
    ensure_clients,
    ensure_keys,
    load_keyring,
    load_providers,
)
from entrepot.core.conversions.rules import MediaRules, load_media_rules
from entrepot.core.manifests import Lives
from entrepot.db import Database, connect, take_turns
from entrepot.db.migrate import migrate, require_current
from entrepot.errors import Unavailable
from entrepot.jobs import Jobs, prepare_jobs
from entrepot.kit.clock import Clock, Now
from entrepot.settings import Settings

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

    from entrepot.core.manifests.signing import Signed

KEYS_RELOAD_SECONDS_MIN = 1.0
# A temporary file of this age belongs to no publisher that is still at work.
STALE_SECONDS = 24 * 3600
Network: TypeAlias = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's decisions that verbs and doors need; see docs/reference/settings.md."""

    public_url: str  # no trailing slash
    path_prefix: str  # of public_url: '' or '/prefix'
    allowed_hosts: frozenset[str]
    trusted_proxies: tuple[Network, ...]
    country_header: str | None
    embargoed: tuple[str, ...]
    link_seconds: int
    token_seconds: int
    order_days: int
    password_grant: bool
    identity_providers: tuple[Provider, ...]
    body_bytes_max: int
    upload_bytes_max: int | None
    outbound_private: bool
    audit_days: int  # 0: for ever
    requests_per_minute: int  # 0: no limit
    requests_burst: int
    page_size_max: int
    sandbox: bool
    publisher: str = ""  # as signed manifests name it
    manifest_lives: Lives = field(default_factory=Lives)


class Keys:
    """The keyring as this process knows it; `refresh` reads it from the database again."""

    def __init__(self, database: Database, box: SecretBox, now: Now) -> None:
        self.box = box
        self._database = database
        self._now = now
        self._loaded_at = float("-inf")
        self._current: Keyring | None = None
        self._loading = threading.Lock()

    @property
    def current(self) -> Keyring:
        """The keys that count; loaded on first use."""
        return self._current or self.refresh()

    def refresh(self) -> Keyring:
        """Read the keys anew."""
        with self._database.read() as tx:
            loaded = load_keyring(tx, self.box, now=self._now())
        self._current = loaded
        self._loaded_at = time.monotonic()
        return loaded

    def refresh_for_unknown(self) -> Keyring:
        """Read the keys anew because a key id is not known, at most once a second.

        Whoever sends made-up key ids must not be able to keep the database busy.
        """
        with self._loading:
            if time.monotonic() - self._loaded_at < KEYS_RELOAD_SECONDS_MIN:
                return self.current
            return self.refresh()


@dataclass(frozen=True, slots=True)
class Hub:
    """Everything the doors and the operator's command work with."""

    database: Database
    blobs: BlobStore
    jobs: Jobs
    media: MediaRules
    reserve: DiskReserve
    keys: Keys
    now: Now
    policy: Policy

    def sign(self, product: str, signers: "Sequence[CryptoSigner]", *, actor: str) -> "Signed":
        """Sign the releases of a product that are not signed yet, with keys at hand.

        What signs is loaded only here: most processes never do.
        """
        from entrepot.core.manifests.signing import sign_releases

        return sign_releases(
            self.database,
            self.blobs,
            self.keys.box,
            product,
            (),
            signers,
            publisher=self.policy.publisher,
            lives=self.policy.manifest_lives,
            actor=actor,
            now=self.now,
        )

    def close(self) -> None:
        """Close what is open."""
        self.jobs.close()
        self.database.close()


def assemble(settings: Settings, *, clock: Callable[[], float] | None = None) -> Hub:
    """Open the hub that `settings` describe. The database must be migrated (`prepare` does it)."""
    database = connect(settings.database_url)
    try:
        now = _clock(database, clock)
        require_current(database)
        hub = _hub(settings, database, now)
        hub.blobs.check()
        hub.keys.refresh()
    except BaseException:
        database.close()
        raise
    return hub


def prepare(settings: Settings) -> None:
    """Bring folders, database and keys to what this version expects. Idempotent."""
    _make_folder(settings)
    store = LocalBlobStore(settings.blobs_dir, reserve_bytes=settings.reserve_bytes)
    store.prepare()
    store.sweep(older_than_seconds=STALE_SECONDS)
    DiskReserve(settings.data, size_bytes=settings.reserve_bytes).restore()
    _make_database_file(settings.database_url)
    database = connect(settings.database_url)
    try:
        migrate(database)
        prepare_jobs(database)
        now = _clock(database, None)
        with database.write() as tx:
            take_turns(tx, "first keys")
            ensure_keys(tx, SecretBox(settings.secret_key), now=now())
            ensure_clients(tx, password_grant=settings.password_grant, now=now())
    finally:
        database.close()


def _make_folder(settings: Settings) -> None:
    for folder in (settings.data, settings.blobs_dir):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = folder / ".writable"
            probe.write_bytes(b"")
            probe.unlink(missing_ok=True)  # another process may be at the same check
        except OSError as error:
            raise Unavailable(
                f"The folder {folder} is not writable: {error.strerror}.",
                code="folder-not-writable",
                remedy="Choose another folder, or give the user that runs Entrepot write access.",
            ) from error


def _make_database_file(url: str) -> None:
    """An embedded database holds hashes and names: only its owner may read it, and its log.

    SQLite would make the file as readable as the umask lets it, in a folder that may be open.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return
    try:
        os.close(os.open(parsed.database, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError:
        return  # opening the database says what is wrong


def _hub(settings: Settings, database: Database, now: Now) -> Hub:
    return Hub(
        database=database,
        blobs=LocalBlobStore(settings.blobs_dir, reserve_bytes=settings.reserve_bytes),
        jobs=Jobs(database),
        media=load_media_rules(settings.media_rules),
        reserve=DiskReserve(settings.data, size_bytes=settings.reserve_bytes),
        keys=Keys(database, SecretBox(settings.secret_key), now),
        now=now,
        policy=_policy(settings),
    )


def _clock(database: Database, wall_seconds: Callable[[], float] | None) -> Clock:
    """This process's clock; with PostgreSQL it starts from the database's, shared by all."""
    if wall_seconds is not None:
        return Clock(wall_seconds)
    if database.dialect != "postgresql":
        return Clock()
    with database.read() as tx:
        skew = (
            tx.execute(text("SELECT extract(epoch FROM clock_timestamp())::float8")).scalar_one()
            - time.time()
        )
    return Clock(lambda: time.time() + skew)


def _policy(settings: Settings) -> Policy:
    return Policy(
        public_url=settings.public_url,
        path_prefix=urlsplit(settings.public_url).path,
        allowed_hosts=frozenset(settings.allowed_hosts),
        trusted_proxies=settings.trusted_proxies,
        country_header=settings.country_header,
        embargoed=settings.embargoed_countries,
        link_seconds=settings.link_seconds,
        token_seconds=settings.token_seconds,
        order_days=settings.order_days,
        password_grant=settings.password_grant,
        identity_providers=load_providers(settings.identity_providers),
        body_bytes_max=settings.body_bytes_max,
        upload_bytes_max=settings.upload_bytes_max,
        outbound_private=settings.outbound_private or settings.sandbox,
        audit_days=settings.audit_days,
        requests_per_minute=settings.requests_per_minute,
        requests_burst=settings.requests_burst,
        page_size_max=settings.page_size_max,
        sandbox=settings.sandbox,
        publisher=settings.publisher or urlsplit(settings.public_url).hostname or "",
        manifest_lives=Lives(
            root=timedelta(days=settings.manifest_root_days),
            targets=timedelta(days=settings.manifest_targets_days),
            snapshot=timedelta(days=settings.manifest_snapshot_days),
            timestamp=timedelta(hours=settings.manifest_timestamp_hours),
        ),
    )
