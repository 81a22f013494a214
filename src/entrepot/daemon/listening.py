"""The socket that every web process listens on, and what the process needs to serve it."""

import errno
import re
import resource
import socket
import ssl

from entrepot.daemon.desk import Desk
from entrepot.errors import EntrepotError, Invalid, Unavailable
from entrepot.settings import DECLARED, Settings

BACKLOG = 2048
_ANY_PORT = re.compile(r"(?P<host>.+):0+")


def open_listener(desk: Desk) -> tuple[socket.socket, Settings]:
    """Settings and the listening socket they ask for.

    Port 0 means any free one: it is taken first, so that the settings know it.
    """
    bind = desk.told("bind") or DECLARED["bind"].default or ""
    any_port = _ANY_PORT.fullmatch(bind)
    if any_port is None:
        settings = desk.settings(as_served=False)
        load_tls(settings)
        return listen(settings.bind.host, settings.bind.port), settings
    listener = listen(any_port["host"].removeprefix("[").removesuffix("]"), 0)
    desk.options["bind"] = f"{any_port['host']}:{listener.getsockname()[1]}"
    try:
        settings = desk.settings(as_served=False)
        load_tls(settings)
    except BaseException:
        listener.close()
        raise
    return listener, settings


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; one clear error where there can be none."""
    try:
        family, *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(
            (host, port),
            family=family,
            backlog=BACKLOG,
            dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        raise _explain(error, f"[{host}]:{port}" if ":" in host else f"{host}:{port}") from error


def _explain(error: OSError, place: str) -> EntrepotError:
    if error.errno == errno.EADDRINUSE:
        return Unavailable(
            f"Another program listens on {place} already.",
            code="port-taken",
            remedy="Stop it, or choose another port with --bind.",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return Unavailable(
            f"This user may not listen on {place}.",
            code="port-taken",
            remedy="Choose a port from 1024 on with --bind.",
        )
    return Invalid(
        f"{place} is not an address to listen on: {error.strerror}.",
        field="bind",
        code="address-invalid",
        remedy="Choose an address of this machine with --bind, such as 127.0.0.1:8080.",
    )


def load_tls(settings: Settings) -> bool:
    """Whether the hub speaks TLS itself; Invalid where certificate and key are no pair."""
    if settings.tls_cert is None or settings.tls_key is None:
        return False
    try:
        # Without a password an encrypted key is refused instead of asked for.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password=str)
    except OSError as error:  # ssl.SSLError is one
        raise Invalid(
            f"ENTREPOT_TLS_CERT and ENTREPOT_TLS_KEY cannot be used: {error}.",
            field="tls_cert",
            code="settings-invalid",
            remedy="Name a PEM certificate chain and the private key that belongs to it.",
        ) from error
    return True


def raise_descriptor_limit() -> int:
    """Allow as many open files as this user may have; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
