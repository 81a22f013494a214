"""Every setting, declared once: its type, how it is written, its default, what it is for.

The name of the variable follows from the field's: `blobs_dir` is ENTREPOT_BLOBS_DIR.
docs/reference/settings.md is made from this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, get_type_hints

from entrepot.settings import _kinds as kinds
from entrepot.settings._kinds import Address, Kind, Network

PREFIX = "ENTREPOT_"
LINK_SECONDS_MAX = 600


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the table.

    `default` is written as the operator would write it; `derived` says in words what an unset
    value follows from. With neither, unset means none. A `secret` is never shown.
    """

    kind: Kind
    meaning: str
    default: str | None = None
    derived: str = ""
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator decided. `sources` says of each field where its value came from."""

    data: Annotated[
        Path,
        Setting(
            kinds.PATH,
            "Folder of this hub: embedded database, stored files, reserve.",
            derived="required",
        ),
    ]
    database_url: Annotated[
        str,
        Setting(
            kinds.DATABASE,
            "The database. Its password is never shown.",
            derived="`sqlite:///DATA/entrepot.sqlite3`",
        ),
    ] = field(repr=False)
    blobs_dir: Annotated[
        Path, Setting(kinds.PATH, "Folder of the stored files.", derived="`DATA/blobs`")
    ]
    bind: Annotated[Address, Setting(kinds.ADDRESS, "Where to listen.", default="127.0.0.1:8080")]
    public_url: Annotated[
        str,
        Setting(
            kinds.PUBLIC,
            "The address that people and programs use, with the path prefix if a proxy adds one. "
            "Plain `http` is accepted only on loopback or behind TRUSTED_PROXIES; `https` needs "
            "TLS_CERT or TRUSTED_PROXIES.",
            derived="from BIND on loopback, else required",
        ),
    ]
    secret_key: Annotated[
        str,
        Setting(
            kinds.SECRET,
            "At least 32 random characters that encrypt the signing keys at rest. Keep it: with "
            "another key than the one its database was made with, a hub does not start.",
            derived="required, here or as SECRET_KEY_FILE",
            secret=True,
        ),
    ] = field(repr=False)
    secret_key_file: Annotated[
        Path | None,
        Setting(
            kinds.PATH,
            "File that holds the secret key instead: not accessible to others, "
            "not writable by its group.",
        ),
    ]
    web_processes: Annotated[
        int,
        Setting(kinds.number(1, 256), "Processes that answer requests.", derived="one per core"),
    ]
    workers: Annotated[
        int,
        Setting(
            kinds.number(0, 64),
            "Workers that `entrepotd serve` runs beside the web processes. A hub whose workers "
            "are `entrepotd work` on other machines has 0.",
            default="1",
        ),
    ]
    worker_slots: Annotated[
        int,
        Setting(
            kinds.number(1, 256),
            "Pictures and documents that a worker converts at once; half as many videos and "
            "sounds beside them. The same for all workers of a hub.",
            derived="one per core",
        ),
    ]
    link_seconds: Annotated[
        int,
        Setting(
            kinds.number(1, LINK_SECONDS_MAX),
            "How long a download link lives. A download that has begun runs to its end.",
            default="600",
        ),
    ]
    order_days: Annotated[
        int,
        Setting(
            kinds.number(1, 3650),
            "How many days the package of a download order can be downloaded.",
            default="30",
        ),
    ]
    audit_days: Annotated[
        int,
        Setting(
            kinds.number(0, 36_500),
            "How many days the log of events is kept. 0: for ever.",
            default="0",
        ),
    ]
    token_seconds: Annotated[
        int,
        Setting(kinds.number(60, 3600), "How long an access token lives.", default="3600"),
    ]
    trusted_proxies: Annotated[
        tuple[Network, ...],
        Setting(
            kinds.NETWORKS,
            "Proxies whose word on the caller's address and country is taken.",
            default="",
        ),
    ]
    country_header: Annotated[
        str | None,
        Setting(
            kinds.HEADER,
            "Header in which a trusted proxy writes the caller's country. "
            "Unset: the country of the organisation.",
        ),
    ]
    embargoed_countries: Annotated[
        tuple[str, ...],
        Setting(kinds.EMBARGOED, "Countries that nothing is handed out to.", default=""),
    ]
    allowed_hosts: Annotated[
        tuple[str, ...],
        Setting(
            kinds.HOSTS,
            "Host names that the hub answers to; no wildcards.",
            derived="the host of PUBLIC_URL; on loopback also `localhost`",
        ),
    ]
    password_grant: Annotated[
        bool,
        Setting(
            kinds.SWITCH,
            "Let command-line clients trade a password for a token. OAuth 2.1 drops this grant.",
            default="off",
        ),
    ]
    log_level: Annotated[
        str,
        Setting(
            kinds.choice("debug", "info", "warning", "error"),
            "The least serious line that is logged.",
            default="info",
        ),
    ]
    log_format: Annotated[
        str,
        Setting(
            kinds.choice("auto", "json", "text"),
            "How a log line is written; `auto` is text on a terminal, else JSON.",
            default="auto",
        ),
    ]
    body_bytes_max: Annotated[
        int,
        Setting(
            kinds.size(2**10, 2**26), "Largest request body other than an upload.", default="1 MiB"
        ),
    ]
    upload_bytes_max: Annotated[
        int | None,
        Setting(
            kinds.size(1, 2**50),
            "Largest file that is taken in, over whichever API. Unset: what the disk holds.",
        ),
    ]
    outbound_private: Annotated[
        bool,
        Setting(
            kinds.SWITCH,
            "Let files be imported from, and webhooks be sent to, loopback and private addresses, "
            "by plain http too. Off: only https to public addresses. A sandbox has it on.",
            default="off",
        ),
    ]
    media_rules: Annotated[
        Path | None,
        Setting(
            kinds.PATH,
            "File (TOML) with renditions, presets, names of files and limits of conversions, "
            "laid over the built-in ones; docs/howto/media-rules.md explains it.",
        ),
    ]
    identity_providers: Annotated[
        Path | None,
        Setting(
            kinds.PATH,
            "File (TOML) with the identity providers that may vouch for people, and the "
            "organisations that they sign in to; "
            "docs/howto/sign-in-with-your-identity-provider.md explains it.",
        ),
    ]
    requests_per_minute: Annotated[
        int,
        Setting(
            kinds.number(0, 1_000_000),
            "How many requests a minute a person or program may make in the long run, and an "
            "address without either. Each web process counts for itself; downloads by links do "
            "not count. 0: no limit.",
            default="600",
        ),
    ]
    requests_burst: Annotated[
        int,
        Setting(
            kinds.number(1, 1_000_000),
            "How many requests may come at once, after a rest.",
            default="200",
        ),
    ]
    page_size_max: Annotated[
        int, Setting(kinds.number(1, 10_000), "Most rows in one page of a list.", default="1000")
    ]
    publisher: Annotated[
        str | None,
        Setting(
            kinds.TEXT,
            "Name of the publisher in signed manifests. Unset: the host of PUBLIC_URL.",
        ),
    ]
    manifest_root_days: Annotated[
        int,
        Setting(
            kinds.number(1, 3650),
            "How many days a product's root counts. Customers' programs refuse the product's "
            "releases afterwards, so renew it before: `entrepotd keys root PRODUCT --key FILE`.",
            default="365",
        ),
    ]
    manifest_targets_days: Annotated[
        int,
        Setting(
            kinds.number(1, 3650),
            "How many days a signature on releases counts. `entrepotd sign` renews it.",
            default="365",
        ),
    ]
    manifest_snapshot_days: Annotated[
        int,
        Setting(
            kinds.number(1, 90),
            "How many days the hub's word on which signature is the newest counts. A worker "
            "renews it by itself.",
            default="7",
        ),
    ]
    manifest_timestamp_hours: Annotated[
        int,
        Setting(
            kinds.number(1, 720),
            "For how many hours a customer's program takes what is signed for the newest. A "
            "worker renews it by itself; the longer, the longer an old state can be shown.",
            default="24",
        ),
    ]
    sandbox: Annotated[
        bool,
        Setting(
            kinds.SWITCH,
            "Load a sample world and keep its generated secrets readable in DATA. "
            "Not for real data.",
            default="off",
        ),
    ]
    tls_cert: Annotated[
        Path | None,
        Setting(kinds.PATH, "Certificate chain (PEM), where the hub itself speaks TLS."),
    ]
    tls_key: Annotated[
        Path | None,
        Setting(kinds.PATH, "Private key (PEM) of TLS_CERT, not accessible to others."),
    ]
    reserve_bytes: Annotated[
        int,
        Setting(
            kinds.size(2**20, 2**34),
            "Space kept beside the database, given up when the disk is full "
            "so that links and the audit log go on.",
            default="64 MiB",
        ),
    ]
    sources: Mapping[str, str] = field(repr=False)


DECLARED: Mapping[str, Setting] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(Settings, include_extras=True).items()
    if hasattr(hint, "__metadata__")
}
"""Field name -> its line of the table, in the order of the table."""


def variable(name: str) -> str:
    """The environment variable of the field `name`."""
    return PREFIX + name.upper()
