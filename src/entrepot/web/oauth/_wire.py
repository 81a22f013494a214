"""What goes over the wire: RFC 6749 section 5, RFC 7517, RFC 8414."""

import msgspec


class TokenAnswer(msgspec.Struct, omit_defaults=True):
    """RFC 6749 section 5.1; `expires_in` in seconds, `scope` as granted.

    A refresh token where the client may have them, an ID token where `openid` was granted.
    """

    access_token: str
    token_type: str
    expires_in: int
    scope: str
    refresh_token: str = ""
    id_token: str = ""


class Fault(msgspec.Struct, omit_defaults=True):
    """RFC 6749 section 5.2."""

    error: str
    error_description: str = ""


class Key(msgspec.Struct):
    """The public half of an RS256 key (RFC 7517, RFC 7518 section 6.3)."""

    kty: str
    kid: str
    use: str
    alg: str
    n: str
    e: str


class KeySet(msgspec.Struct):
    """RFC 7517 section 5: the keys that sign, have signed lately or will sign soon."""

    keys: list[Key]


class Metadata(msgspec.Struct):
    """RFC 8414 section 2 and OpenID Connect Discovery 1.0 section 3, as far as it exists here."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    device_authorization_endpoint: str
    revocation_endpoint: str
    introspection_endpoint: str
    userinfo_endpoint: str
    jwks_uri: str
    scopes_supported: list[str]
    response_types_supported: list[str]
    response_modes_supported: list[str]
    grant_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    revocation_endpoint_auth_methods_supported: list[str]
    introspection_endpoint_auth_methods_supported: list[str]
    code_challenge_methods_supported: list[str]
    authorization_response_iss_parameter_supported: bool
    subject_types_supported: list[str]
    id_token_signing_alg_values_supported: list[str]
    claims_supported: list[str]
    request_parameter_supported: bool
    request_uri_parameter_supported: bool
    prompt_values_supported: list[str]


class DeviceAnswer(msgspec.Struct):
    """RFC 8628 section 3.2; `expires_in` and `interval` in seconds."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


class Introspection(msgspec.Struct, omit_defaults=True):
    """RFC 7662 section 2.2; of a token that does not hold now only `active`: false."""

    active: bool
    scope: str | None = None
    client_id: str | None = None
    username: str | None = None
    token_type: str | None = None
    exp: int | None = None
    iat: int | None = None
    sub: str | None = None
    aud: str | None = None
    iss: str | None = None
    jti: str | None = None


class UserInfo(msgspec.Struct, omit_defaults=True):
    """OpenID Connect Core 1.0 section 5.3.2; the scopes `profile` and `email` add to `sub`."""

    sub: str
    name: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    email: str | None = None


class Nothing(msgspec.Struct):
    """An answer that says no more than its status."""
