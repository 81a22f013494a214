"""How one gets a token, and which scope an operation asks for."""

from collections.abc import Mapping, Sequence
from typing import Any

from litestar.openapi.spec import OAuthFlow, OAuthFlows, SecurityScheme

from entrepot.core.accounts import SCOPES

BEARER, OAUTH = "bearer", "oauth2"
_MEANINGS: Mapping[str, str] = {
    "entitlements": "What the organisation is entitled to, and links to it",
    "orders": "Selections, and download orders of media",
    "products": "The files that products offer, and to change them",
    "products.readonly": "The files that products offer",
    "publish": "Products, licences, releases and assets, for publishers",
    "admin": "Organisations, people, machines, entitlements and the log, for operators",
}
# The doors whose operations all ask for the same; the admin API tells its own.
_OF_DOORS: Sequence[tuple[str, tuple[str, ...]]] = (
    ("/e-product-entitlement-customer/", ("entitlements",)),
    ("/api/v2/products/", ("products",)),
    ("/api/downloadorders", ("orders",)),
    ("/api/selection/", ("orders",)),
    ("/api/entities", ("orders",)),
    ("/api/mediagroups", ("orders",)),
    ("/api/renditions", ("orders",)),
    ("/api/presets", ("orders",)),
    ("/api/itemnameresolvers", ("orders",)),
    ("/api/jobs/", ("orders",)),
    ("/api/users/", ("orders",)),
)


def security_schemes(url: str) -> dict[str, SecurityScheme]:
    """A token as it is sent, and the grants that give one, of the hub at `url`."""
    scopes = {scope: _MEANINGS[scope] for scope in SCOPES}
    token = f"{url}/oauth/token"
    return {
        BEARER: SecurityScheme(
            type="http",
            scheme="bearer",
            description="A token of the token endpoint, of the portal's page /token, or a "
            "personal access token.",
        ),
        OAUTH: SecurityScheme(
            type="oauth2",
            description="`/.well-known/oauth-authorization-server` has all of it. Programs "
            "without a browser use the device flow (RFC 8628), `x-deviceAuthorization`.",
            flows=OAuthFlows(
                authorization_code=OAuthFlow(
                    authorization_url=f"{url}/oauth/authorize",
                    token_url=token,
                    refresh_url=token,
                    scopes=scopes,
                ),
                client_credentials=OAuthFlow(token_url=token, scopes=scopes),
            ),
        ),
    }


def device_flow(url: str) -> dict[str, Any]:
    """What OpenAPI 3.1 has no word for yet: the member `x-deviceAuthorization` of the flows."""
    return {
        "deviceAuthorizationUrl": f"{url}/oauth/device_authorization",
        "tokenUrl": f"{url}/oauth/token",
        "refreshUrl": f"{url}/oauth/token",
        "scopes": {scope: _MEANINGS[scope] for scope in SCOPES},
    }


def security_of(path: str, method: str, told: Sequence[Mapping[str, Sequence[str]]]) -> Any:
    """The alternatives of an operation: with its scope by OAuth, or any token that has it.

    `told`: what its door says; scopes beside `bearer` are those that it asks for.
    """
    alternatives: list[dict[str, list[str]]] = []
    for one in told:
        if BEARER not in one:
            alternatives.append({name: list(scopes) for name, scopes in one.items()})
            continue
        alternatives += [{OAUTH: list(scopes)} for scopes in _asked(path, method, one[BEARER])]
        alternatives.append({BEARER: []})
    return alternatives


def _asked(path: str, method: str, told: Sequence[str]) -> list[tuple[str, ...]]:
    """The sets of scopes of which one is enough; none: any token will do."""
    scopes = tuple(told) or next((of for start, of in _OF_DOORS if path.startswith(start)), ())
    if scopes == ("products",) and method == "get":
        return [scopes, ("products.readonly",)]
    return [scopes]
