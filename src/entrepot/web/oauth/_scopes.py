"""Scopes as a request writes them, and what each means to the person who is asked."""

from collections.abc import Iterable, Mapping
from typing import Any

from authlib.oauth2.rfc6749 import InvalidScopeError
from authlib.oauth2.rfc6749.util import scope_to_list
from sqlalchemy import Row

from entrepot.core.accounts import (
    OPENID_SCOPES,
    REFRESH_TOKEN,
    SCOPES,
    Principal,
    scopes_of_roles,
)
from entrepot.web.oauth._errors import printable

MEANINGS: Mapping[str, str] = {
    "entitlements": "See what your organisation is entitled to, accept licences, download",
    "orders": "Select assets and place download orders",
    "products": "See and change the files that products offer",
    "products.readonly": "See the files that products offer",
    "publish": "Publish releases, files and assets",
    "admin": "Administer this hub",
    "openid": "Know which account this is",
    "profile": "See your name",
    "email": "See your mail address",
    "offline_access": "Keep this up until you end it, also while you are away",
}


def asked_scopes(text: str | None, client: Row[Any]) -> tuple[str, ...]:
    """The scopes that a program asks a person for; `invalid_scope` names what it may have.

    Left out means all of the client's. So does the client's own id, which MSAL writes for it.
    """
    named = dict.fromkeys(scope_to_list(text or ""))
    held = [scope for scope in SCOPES if scope in client.scopes]
    whole = not named or client.client_id in named
    if not set(named) <= {*held, *OPENID_SCOPES, client.client_id}:
        raise refused_scope([*held, *OPENID_SCOPES])
    general = [scope for scope in OPENID_SCOPES if scope in named]
    if REFRESH_TOKEN not in client.grants and "offline_access" in general:
        general.remove("offline_access")
    return (*(scope for scope in held if whole or scope in named), *general)


def narrowed_scopes(text: str | None, client: Row[Any], held: Iterable[str]) -> tuple[str, ...]:
    """Those of `held` that a refresh asks for; `invalid_scope` for one that was never given.

    Left out means all of them. So does the client's own id, which MSAL writes here as well.
    """
    given, named = tuple(held), set(scope_to_list(text or ""))
    if not named <= {*given, client.client_id}:
        raise refused_scope(given)
    whole = not named or client.client_id in named
    return tuple(scope for scope in given if whole or scope in named)


def refused_scope(allowed: Iterable[str]) -> InvalidScopeError:
    """`invalid_scope`, with what the client may ask for."""
    names = printable(" ".join(allowed))  # of an assertion they may be any text
    return InvalidScopeError(f"This client may ask for: {names or 'nothing'}.")


def open_to(who: Principal, scopes: Iterable[str]) -> tuple[str, ...]:
    """Those of `scopes` that the person's roles make any use of."""
    useful = {*scopes_of_roles(who.roles), *OPENID_SCOPES}
    return tuple(scope for scope in scopes if scope in useful)
