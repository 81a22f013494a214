"""What settings mean together: values that follow from others, and combinations refused.

Each rule looks only at fields that are sound, so that one mistake is told once.
"""

import math
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from entrepot.errors import Invalid
from entrepot.kit.private_files import read_private_text
from entrepot.settings._draft import Draft
from entrepot.settings._kinds import Address, Fault, is_loopback

SECRET_LENGTH_MIN = 32
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost"})
SECRET_BITS_MIN = 96
SECRET_FILE_BYTES_MAX = 4096
_MAKE_ONE = "make one: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"


def derive_paths(draft: Draft) -> None:
    """DATA is required; the database and the stored files lie in it unless told otherwise."""
    if not draft.sound("data"):
        return
    data = draft["data"]
    if data is None:
        draft.blame("data", Fault("is not set", "name a folder by its absolute path"))
        return
    if draft["database_url"] is None:
        draft.put("database_url", f"sqlite:///{data}/entrepot.sqlite3", "derived from DATA")
    if draft["blobs_dir"] is None:
        draft.put("blobs_dir", data / "blobs", "derived from DATA")


def derive_public_url(draft: Draft) -> None:
    """On loopback the public address is where we listen; elsewhere it must be told."""
    if not draft.sound("public_url", "bind") or draft["public_url"] is not None:
        return
    bind: Address = draft["bind"]
    if not is_loopback(bind.host) or bind.port == 0:
        problem = f"is not set, and cannot be known from BIND={bind}"
        draft.blame("public_url", Fault(problem, "write the address that people will use"))
        return
    scheme = "https" if draft["tls_cert"] else "http"
    draft.put("public_url", f"{scheme}://{bind}", "derived from BIND")


def derive_allowed_hosts(draft: Draft) -> None:
    """The hub answers to its public name, and to no other unless told so."""
    if not draft.sound("public_url", "allowed_hosts"):
        return
    host = urlsplit(draft["public_url"]).hostname
    if draft["allowed_hosts"] is None:
        # On one's own machine people type localhost as well; nobody else can send it there.
        names = (host, *sorted(LOOPBACK_NAMES - {host})) if is_loopback(host or "") else (host,)
        draft.put("allowed_hosts", names, "derived from PUBLIC_URL")
    elif host not in draft["allowed_hosts"]:
        draft.blame("allowed_hosts", Fault(f"lacks {host}, the host of PUBLIC_URL", "add it"))


def read_secret(draft: Draft) -> None:
    """The secret key comes from one place, which only the hub can read, and is hard to guess."""
    if not draft.sound("secret_key", "secret_key_file"):
        return
    key, file = draft["secret_key"], draft["secret_key_file"]
    if key is not None and file is not None:
        draft.blame("secret_key", Fault("is set beside SECRET_KEY_FILE", "keep one of the two"))
        return
    if key is None and file is None and draft["data"] is None:
        return  # the folder of a hub holds its key: which folder, is the one question
    if key is None and file is None:
        remedy = f"{_MAKE_ONE}, and set it here or in SECRET_KEY_FILE"
        draft.blame("secret_key", Fault("is not set, and has no default", remedy))
        return
    try:
        if file is not None:
            key = _read_private(file, SECRET_FILE_BYTES_MAX).strip()
            draft.put("secret_key", key, "SECRET_KEY_FILE")
        _check_secret(key)
    except Fault as fault:
        draft.blame("secret_key_file" if file else "secret_key", fault)


def _check_secret(key: str) -> None:
    if len(key) < SECRET_LENGTH_MIN:
        raise Fault(f"has fewer than {SECRET_LENGTH_MIN} characters", _MAKE_ONE)
    if not key.isascii() or not key.isprintable():
        raise Fault("holds characters other than printable ASCII", _MAKE_ONE)
    bits = -sum(count * math.log2(count / len(key)) for count in Counter(key).values())
    repeated = key in (key + key)[1:-1]
    if repeated or bits < SECRET_BITS_MIN:
        raise Fault("can be guessed: it repeats itself", _MAKE_ONE)


def _read_private(path: Path, bytes_max: int) -> str:
    """The text of a file that others cannot reach; Fault says what is wrong with it."""
    try:
        return read_private_text(path, bytes_max=bytes_max)
    except Invalid as error:
        raise Fault(error.message, error.remedy) from error


def check_tls(draft: Draft) -> None:
    """Certificate and key come together, can be read, and the public address agrees."""
    if not draft.sound("tls_cert", "tls_key"):
        return
    cert, key = draft["tls_cert"], draft["tls_key"]
    if (cert is None) != (key is None):
        missing, other = ("tls_cert", "TLS_KEY") if cert is None else ("tls_key", "TLS_CERT")
        draft.blame(missing, Fault(f"is not set, but {other} is", "set both or none"))
        return
    if cert is None:
        return
    try:
        _read_private(key, bytes_max=2**20)
    except Fault as fault:
        draft.blame("tls_key", fault)
    if not cert.is_file():
        draft.blame("tls_cert", Fault(f"{cert} is not a file", "check the path"))
    if draft.sound("public_url") and not draft["public_url"].startswith("https:"):
        problem = "is http, but TLS_CERT is set"
        draft.blame("public_url", Fault(problem, "write it with https"))


def check_exposure(draft: Draft) -> None:
    """Tokens and passwords never cross a network in clear text."""
    if not draft.sound("bind", "public_url", "trusted_proxies"):
        return
    url = urlsplit(draft["public_url"])
    private = is_loopback(draft["bind"].host) and is_loopback(url.hostname or "")
    if url.scheme == "http" and not private and not draft["trusted_proxies"]:
        problem = "is plain http, and tokens would cross the network in clear text"
        remedy = "use https (TLS_CERT and TLS_KEY, or a proxy), or name TRUSTED_PROXIES"
        draft.blame("public_url", Fault(problem, remedy))


def check_proxy(draft: Draft) -> None:
    """Https without a certificate of ours means a proxy; untrusted, it stands for every caller."""
    if not draft.sound("bind", "public_url", "tls_cert", "tls_key", "trusted_proxies"):
        return
    terminated_elsewhere = draft["public_url"].startswith("https:") and not draft["tls_cert"]
    if terminated_elsewhere and not draft["trusted_proxies"]:
        problem = (
            "is https, but TLS_CERT is not set and no proxy is trusted: all callers would share "
            "the address of the proxy, and slow each other down"
        )
        remedy = "name the proxy in TRUSTED_PROXIES, or set TLS_CERT and TLS_KEY"
        draft.blame("public_url", Fault(problem, remedy))


def check_country_header(draft: Draft) -> None:
    """A header that anyone may send proves nothing about where a caller is."""
    if not draft.sound("country_header", "trusted_proxies"):
        return
    if draft["country_header"] and not draft["trusted_proxies"]:
        problem = "is set, but no proxy is trusted: any caller could send it"
        draft.blame("country_header", Fault(problem, "name TRUSTED_PROXIES as well"))


RULES = (
    derive_paths,
    derive_public_url,
    read_secret,
    check_tls,
    check_exposure,
    check_proxy,
    check_country_header,
    derive_allowed_hosts,
)
