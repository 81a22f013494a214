"""What `entrepot doctor` looks at: this machine, the way to the hub, the sign-in, the folder.

Nothing here changes anything at the hub, and no secret is in what is found.
"""

import os
import shutil
import socket
import ssl
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from entrepot import __version__
from entrepot.client.api import TokenSource
from entrepot.client.client import Client
from entrepot.client.connections import Address, Connection, Times, parse_address, proxy_of
from entrepot.client.errors import ClientError, Denied, ExitCode, Unreachable
from entrepot.client.finding import find_entitlement, find_release
from entrepot.client.private_files import read_private
from entrepot.client.retries import Backoff
from entrepot.client.tokens import PERSONAL_PREFIX, Claims, claims_or_none, utc_text

OK, WARN, FAIL, SKIP = "ok", "warn", "fail", "skip"
CERTIFICATE_DAYS_MIN = 14
SKEW_SECONDS_WARN, SKEW_SECONDS_MAX = 5.0, 300.0
TOKEN_SECONDS_MIN = 300.0
FREE_BYTES_MIN = 1_000_000_000
_FAR = 1 << 62  # no file is that long: a range from there is answered without a byte of it
_PRIVATE = ("profiles.json", "tokens.json", "completions.json")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it is (`ok`, `warn`, `fail`, `skip`), and what to do.

    `code` is the exit code that a download would end with for this reason.
    """

    check: str
    verdict: str
    said: str
    remedy: str = ""
    code: ExitCode = ExitCode.OK
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined. `problem` is why the configuration gives no hub, where it gives none.

    `product` is one whose newest release is asked for a link, to see whether ranges work.
    """

    root: Path
    profile: str
    hub: Address | None
    problem: ClientError | None
    tokens: Callable[[], TokenSource] | None
    token_from: str
    times: Times
    folder: Path
    product: str | None = None
    exposed: tuple[Path, ...] = ()  # `exposed_files`, from before anything was read


def examine(patient: Patient) -> Iterator[Finding]:
    """Every check in its order; those that cannot be made any more are skipped."""
    yield _python()
    yield _files(patient.root, patient.exposed)
    yield _folder(patient.folder)
    hub = patient.hub
    if hub is None:
        yield _failed("hub", patient.problem or ClientError("No hub is known."))
        return
    where = f"{hub.url} (profile {patient.profile})"
    yield Finding("profile", OK, where, facts={"url": hub.url, "profile": patient.profile})
    yield from _network(patient, hub)


def _network(patient: Patient, hub: Address) -> Iterator[Finding]:
    through, proxy = _proxy(hub)
    yield proxy
    if proxy.verdict == FAIL:
        return
    host, port = through or (hub.host, hub.port)
    for finding in (_name(host), _reach(host, port, patient.times)):
        yield finding
        if finding.verdict == FAIL:
            return
    encrypted, date = _speak(hub, patient.times)
    yield encrypted
    if encrypted.verdict == FAIL:
        return
    yield _clock(date)
    with Client(hub.url, None, times=patient.times, call_backoff=Backoff(attempts=1)) as nobody:
        identity = _identity(nobody, hub)
    yield identity
    if identity.verdict != FAIL:
        yield from _signed_in(patient, hub)


def _python() -> Finding:
    told = sys.version_info
    running = f"entrepot {__version__}, Python {told.major}.{told.minor}.{told.micro}"
    return Finding("program", OK, f"{running}, {sys.platform}", facts={"version": __version__})


def exposed_files(root: Path) -> tuple[Path, ...]:
    """What others could get at in the folder of the sign-in; reading a file makes it private."""
    # Of the folder itself only who may put other files there matters.
    looked = [(root, 0o022), *((root / name, 0o077) for name in _PRIVATE)]
    try:
        return tuple(path for path, mask in looked if _is_open(path, mask))
    except OSError:
        return ()  # told when it is read


def _files(root: Path, exposed: tuple[Path, ...]) -> Finding:
    try:
        for name in _PRIVATE:
            read_private(root / name)
    except ClientError as error:
        return _failed("files", error)
    if exposed:
        names = ", ".join(str(path) for path in exposed)
        return Finding(
            "files",
            WARN,
            f"Others on this machine could get at {names}.",
            f"Make the folder private (chmod 700 {root}); end the sign-in and make a new one.",
        )
    said = f"{root} is private" if root.exists() else f"{root} is not there yet"
    return Finding("files", OK, said)


def _is_open(path: Path, mask: int) -> bool:
    return os.name == "posix" and path.exists() and bool(stat.S_IMODE(path.stat().st_mode) & mask)


def _folder(folder: Path) -> Finding:
    there = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".entrepot-doctor-"):
            free = shutil.disk_usage(there).free
    except OSError as error:
        return Finding(
            "folder",
            FAIL,
            f"Nothing can be written into {folder} ({error.strerror}).",
            "Choose another with -d or ENTREPOT_DOWNLOADS, or make it writable.",
            ExitCode.LOCAL_FILE,
        )
    facts = {"folder": str(folder), "free_bytes": free}
    said = f"{folder}: {free / 1e9:.1f} GB free"
    if free < FREE_BYTES_MIN:
        return Finding("folder", WARN, said, "Free some space before large files.", facts=facts)
    return Finding("folder", OK, said, facts=facts)


def _proxy(hub: Address) -> tuple[tuple[str, int] | None, Finding]:
    try:
        proxy = proxy_of(hub)
    except ClientError as error:
        return None, _failed("proxy", error)
    if proxy is None or not proxy.hostname:
        return None, Finding("proxy", OK, "none: the hub is spoken to directly")
    host, port = proxy.hostname, proxy.port or 8080
    said = f"{host}:{port}, from the environment (NO_PROXY leaves hosts out)"
    return (host, port), Finding("proxy", OK, said, facts={"proxy": f"{host}:{port}"})


def _name(host: str) -> Finding:
    try:
        found = sorted({str(one[4][0]) for one in socket.getaddrinfo(host, None)})
    except (OSError, UnicodeError) as error:
        return Finding(
            "dns",
            FAIL,
            f"{host} is not known ({error}).",
            "Check the address of the hub, and the name servers of this machine.",
            ExitCode.NETWORK,
        )
    return Finding("dns", OK, f"{host} is {', '.join(found[:4])}", facts={"addresses": found})


def _reach(host: str, port: int, times: Times) -> Finding:
    started = monotonic()
    try:
        with socket.create_connection((host, port), timeout=times.connect_seconds):
            spent = (monotonic() - started) * 1000
    except OSError as error:
        return Finding(
            "tcp",
            FAIL,
            f"{host}:{port} cannot be reached ({error.strerror or error}).",
            "Check the port, and whether a firewall or a proxy is in between.",
            ExitCode.NETWORK,
        )
    return Finding("tcp", OK, f"{host}:{port} answers in {spent:.0f} ms")


def _speak(hub: Address, times: Times) -> tuple[Finding, str]:
    """Ask the hub for a sign of life: how the connection is encrypted, and its `Date`."""
    alive = Address(hub.scheme, hub.host, hub.port, f"{hub.path}/healthz", "")
    try:
        connection = Connection(alive, times)
        try:
            response = connection.send("GET", alive, {"Accept": "application/json"})
            date = response.headers.get("Date", "")
            found = _encryption(hub, connection)
            response.close()
        finally:
            connection.close()
    except ClientError as error:
        return _failed("tls" if hub.scheme == "https" else "http", error), ""
    return found, date


def _encryption(hub: Address, connection: Connection) -> Finding:
    sock = connection.sock
    if not isinstance(sock, ssl.SSLSocket):
        if hub.is_loopback:
            return Finding("tls", OK, "plain http, inside this machine")
        return Finding(
            "tls",
            WARN,
            f"{hub.origin} is plain http: token and files can be read on the way.",
            "Use the https address of the hub.",
        )
    certificate: Mapping[str, Any] = sock.getpeercert() or {}
    names = [value for part in certificate.get("issuer", ()) for _, value in part]
    ends = datetime.fromtimestamp(
        ssl.cert_time_to_seconds(str(certificate.get("notAfter", "Jan  1 00:00:00 1970 GMT"))), UTC
    )
    days = (ends - datetime.now(UTC)).days
    said = f"{sock.version()}, certificate by {' / '.join(names[-2:])}, good for {days} days"
    facts = {"protocol": sock.version(), "certificate_ends": ends.isoformat()}
    if days < CERTIFICATE_DAYS_MIN:
        return Finding("tls", WARN, said, "Tell the operator: it has to be renewed.", facts=facts)
    return Finding("tls", OK, said, facts=facts)


def _clock(date: str) -> Finding:
    try:
        theirs = parsedate_to_datetime(date)
    except ValueError:
        return Finding("clock", SKIP, "the hub does not tell the time")
    skew = (datetime.now(UTC) - theirs.astimezone(UTC)).total_seconds()
    # The header has whole seconds, and was written a moment ago.
    off = max(0.0, abs(skew) - 1.0)
    facts = {"skew_seconds": round(skew, 1)}
    if off <= SKEW_SECONDS_WARN:
        return Finding("clock", OK, "this clock and the hub's agree", facts=facts)
    word = "ahead of" if skew > 0 else "behind"
    verdict = WARN if off <= SKEW_SECONDS_MAX else FAIL
    return Finding(
        "clock",
        verdict,
        f"This clock is {abs(skew):.0f} s {word} the hub's.",
        "Set the time (NTP): tokens, certificates and signatures depend on it.",
        ExitCode.OK if verdict == WARN else ExitCode.UNEXPECTED,
        facts,
    )


def _identity(nobody: Client, hub: Address) -> Finding:
    """Whether it is a hub of this kind, by what it says of itself to anybody."""
    try:
        told = nobody.api.get((".well-known", "oauth-authorization-server"))
    except Unreachable as error:
        return _failed("hub", error)
    except ClientError:
        told = None
    issuer = told.get("issuer") if isinstance(told, dict) else None
    if not isinstance(issuer, str):
        return Finding(
            "hub",
            FAIL,
            f"What answers at {hub.url} is no hub of Entrepot.",
            "Check the address and its path.",
            ExitCode.USAGE,
        )
    if issuer.rstrip("/") != hub.url:
        return Finding(
            "hub",
            WARN,
            f"The hub calls itself {issuer}, and is asked as {hub.url}.",
            "Use its own address: links and sign-ins lead there.",
            facts={"issuer": issuer},
        )
    return Finding("hub", OK, f"{issuer} answers as itself", facts={"issuer": issuer})


def _signed_in(patient: Patient, hub: Address) -> Iterator[Finding]:
    try:
        assert patient.tokens is not None, "a hub is known"
        source = patient.tokens()
        token = source.token()
    except ClientError as error:
        yield _failed("token", error)
        return
    claims = claims_or_none(token)
    with Client(hub.url, source, times=patient.times, call_backoff=Backoff(attempts=1)) as client:
        accepted = _token(client, patient.token_from, token, claims)
        yield accepted
        if accepted.verdict == FAIL:
            return
        yield _version(client)
        yield _ranges(client, patient)


def _token(client: Client, source: str, token: str, claims: Claims | None) -> Finding:
    facts: dict[str, Any] = {"from": source}
    try:
        client.entitlements(page=1, limit=1)
    except Denied as error:
        facts["reason"] = error.reason
        return Finding(
            "token", FAIL, f"{source}: {error.message}", error.remedy, error.exit_code, facts
        )
    except ClientError as error:
        return _failed("token", error)
    if token.startswith(PERSONAL_PREFIX) or claims is None:
        said = f"{source}: taken; what it may do and until when is on {client.api.base.url}/token"
        return Finding("token", OK, said, facts=facts)
    facts["scopes"] = list(claims.scopes)
    said = f"{source}: taken" + (f", of {claims.owner}" if claims.owner else "")
    said += f", for {' '.join(claims.scopes)}" if claims.scopes else ""
    if claims.expires_at is None:
        return Finding("token", OK, said, facts=facts)
    facts["ends"] = claims.expires_at.isoformat()
    said += f", until {utc_text(claims.expires_at)}"
    if claims.expired(datetime.now(UTC), TOKEN_SECONDS_MIN) and source in _NOT_RENEWED:
        return Finding(
            "token", WARN, said, "It ends soon and is not renewed: get a new one.", facts=facts
        )
    return Finding("token", OK, said, facts=facts)


_NOT_RENEWED = ("ENTREPOT_TOKEN", "EDM_ACCESS_TOKEN")


def _version(client: Client) -> Finding:
    """The hub's version; a token without the scope for orders is not told it."""
    try:
        told = client.api.get(("api",))
    except ClientError:
        return Finding("version", SKIP, "the hub tells its version to tokens for orders only")
    theirs = str(told.get("product_version", "?")) if isinstance(told, dict) else "?"
    facts = {"hub": theirs, "entrepot": __version__}
    return Finding("version", OK, f"the hub is version {theirs}", facts=facts)


def _ranges(client: Client, patient: Patient) -> Finding:
    """Whether a download can be resumed, by a range behind the end of a file: no byte is sent."""
    if patient.product is None:
        return Finding("ranges", SKIP, "name a product you may download to try: --try CODE")
    try:
        entitlement_id = str(find_entitlement(client, patient.product).get("id", ""))
        release = find_release(client, entitlement_id, None)
        artifact = release["artifacts"][0]
        country = client.country_for(artifact, None)
        url = client.link(entitlement_id, str(release["id"]), str(artifact["id"]), country=country)
        status, told = _ask_beyond(url, patient.times)
    except ClientError as error:
        return _failed("ranges", error)
    except (KeyError, IndexError, TypeError):
        return Finding("ranges", SKIP, f"{patient.product} has no file to try")
    host = urlsplit(url).hostname
    if status == 416 and told.startswith("bytes */"):
        return Finding("ranges", OK, f"{host} sends parts of files: downloads can be resumed")
    return Finding(
        "ranges",
        WARN,
        f"{host} answers a range with status {status}: a download that breaks starts over.",
        "Something between here and the hub drops `Range`: see whose proxy it is.",
    )


def _ask_beyond(url: str, times: Times) -> tuple[int, str]:
    link = parse_address(url)
    connection = Connection(link, times)
    try:
        response = connection.send("GET", link, {"Range": f"bytes={_FAR}-"})
        return response.status, response.headers.get("Content-Range", "")
    except (OSError, HTTPException) as error:
        raise Unreachable(f"The link could not be tried ({error}).") from error
    finally:
        connection.close()


def _failed(check: str, error: ClientError) -> Finding:
    return Finding(check, FAIL, error.message, error.remedy, error.exit_code)
