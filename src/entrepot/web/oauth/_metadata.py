"""What a client finds out by itself: the key set, and the metadata of the server."""

import msgspec
from litestar import get
from litestar.datastructures import CacheControlHeader
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from entrepot.assembly import Hub, Policy
from entrepot.core.accounts import OPENID_SCOPES, SCOPES
from entrepot.errors import NotFound
from entrepot.web.oauth._clients import AUTH_METHODS, SECRET_METHODS
from entrepot.web.oauth._grants import grants_of
from entrepot.web.oauth._wire import KeySet, Metadata

KEYS_SECONDS = 300  # a new key signs no earlier than this after it is published
_SERVER = "/.well-known/oauth-authorization-server"
_OPENID = "/.well-known/openid-configuration"
_CLAIMS = ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce"]
_CLAIMS += ["name", "given_name", "family_name", "email"]
_KEYS = CacheControlHeader(public=True, max_age=KEYS_SECONDS)


def key_routes(hub: Hub) -> list[HTTPRouteHandler]:
    """The key set, at its own address and at one where some clients look for it."""

    def key_set() -> KeySet:
        return msgspec.convert(hub.keys.current.jwks(), KeySet)

    @get(
        "/.well-known/jwks.json",
        operation_id="listKeys",
        summary="The public keys that access tokens are signed with",
        tags=["oauth"],
        security=[{}],
        cache_control=_KEYS,
    )
    async def list_keys() -> KeySet:
        return key_set()

    @get(
        "/keys",
        operation_id="listKeysAlias",
        summary="The same keys, where some clients look for them",
        tags=["oauth"],
        security=[{}],
        cache_control=_KEYS,
    )
    async def list_keys_alias() -> KeySet:
        return key_set()

    return [list_keys, list_keys_alias]


def metadata_routes(hub: Hub) -> list[HTTPRouteHandler]:
    """RFC 8414 and OpenID Connect Discovery: one document, at the places of both."""

    @get(
        _SERVER,
        operation_id="describeAuthorizationServer",
        summary="What this authorization server can do (RFC 8414)",
        tags=["oauth"],
        security=[{}],
        cache_control=_KEYS,
    )
    async def describe() -> Metadata:
        return _metadata(hub.policy)

    @get(
        _OPENID,
        operation_id="describeOpenIdProvider",
        summary="The same, where OpenID Connect clients look for it (Discovery 1.0)",
        tags=["oauth"],
        security=[{}],
        cache_control=_KEYS,
    )
    async def describe_openid() -> Metadata:
        return _metadata(hub.policy)

    # MSAL takes an authority for one that it may send a password to by this name (contract 1).
    @get(f"/adfs{_OPENID}", include_in_schema=False, cache_control=_KEYS)
    async def describe_for_msal() -> Metadata:
        return _metadata(hub.policy)

    # RFC 8414 section 3.1 puts the path of an issuer that has one behind the well-known name.
    @get(f"{_SERVER}/{{rest:path}}", include_in_schema=False, cache_control=_KEYS)
    async def describe_below(rest: FromPath[str]) -> Metadata:
        if rest != hub.policy.path_prefix:
            raise NotFound
        return _metadata(hub.policy)

    return [describe, describe_openid, describe_for_msal, describe_below]


def _metadata(policy: Policy) -> Metadata:
    url = policy.public_url
    grants = [grant.GRANT_TYPE for grant, _ in grants_of(policy)]
    return Metadata(
        issuer=url,
        authorization_endpoint=f"{url}/oauth/authorize",
        token_endpoint=f"{url}/oauth/token",
        device_authorization_endpoint=f"{url}/oauth/device_authorization",
        revocation_endpoint=f"{url}/oauth/revoke",
        introspection_endpoint=f"{url}/oauth/introspect",
        userinfo_endpoint=f"{url}/oauth/userinfo",
        jwks_uri=f"{url}/.well-known/jwks.json",
        scopes_supported=[*SCOPES, *OPENID_SCOPES],
        response_types_supported=["code"],
        response_modes_supported=["query"],
        grant_types_supported=grants,
        token_endpoint_auth_methods_supported=list(AUTH_METHODS),
        revocation_endpoint_auth_methods_supported=list(AUTH_METHODS),
        introspection_endpoint_auth_methods_supported=list(SECRET_METHODS),
        code_challenge_methods_supported=["S256"],
        authorization_response_iss_parameter_supported=True,
        subject_types_supported=["public"],
        id_token_signing_alg_values_supported=["RS256"],
        claims_supported=_CLAIMS,
        request_parameter_supported=False,
        request_uri_parameter_supported=False,
        prompt_values_supported=["none", "login", "consent", "select_account"],
    )
