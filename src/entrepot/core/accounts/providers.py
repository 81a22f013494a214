"""The operator's identity providers: who may vouch for people, and for which organisations.

One TOML file, read when the hub starts and refused with every fault at once.
docs/howto/sign-in-with-your-identity-provider.md tells an operator what may stand in it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from entrepot.core.accounts.principals import CUSTOMER, ORGANISATION_ADMIN
from entrepot.errors import Invalid
from entrepot.kit.private_files import read_private_text
from entrepot.kit.rule_files import Faults, RuleFile, Table
from entrepot.kit.text import check_line

FILE_BYTES_MAX = 2**20
PROVIDERS_MAX = 20
RULES_MAX = 500  # of one provider
SECRET_BYTES_MAX = 4096
SCOPES = ("openid", "email", "profile")
# What a provider's word is enough for. Publishers and operators are made in the hub itself.
ROLES = (CUSTOMER, ORGANISATION_ADMIN)
_SCOPES_MAX = 20
_TITLE_LENGTH_MAX = 60
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}", re.ASCII)  # RFC 6749 section 3.3
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?=.{{1,190}}\Z){_LABEL}(?:\.{_LABEL})+", re.ASCII)
_PROVIDER_KEYS = {
    "name",
    "title",
    "issuer",
    "client_id",
    "client_secret_file",
    "scopes",
    "private_network",
    "members",
}
_RULE_KEYS = {"domain", "claim", "value", "organisation", "roles"}


def _invalid(message: str, details: Mapping[str, str]) -> Invalid:
    return Invalid(
        message,
        field="identity_providers",
        code="identity-providers-invalid",
        remedy="Mend the file that ENTREPOT_IDENTITY_PROVIDERS names; "
        "docs/howto/sign-in-with-your-identity-provider.md explains every line.",
        details=dict(details),
    )


_FILE = RuleFile("identity providers", FILE_BYTES_MAX, _invalid)


@dataclass(frozen=True, slots=True)
class MembershipRule:
    """Whom a provider brings into which organisation: by mail domain, or by a claim's value."""

    organisation: str | int  # name or number
    roles: tuple[str, ...]
    domain: str = ""
    claim: str = ""
    value: str = ""

    def names(self, email: str, claims: Mapping[str, Any]) -> bool:
        """Whether the rule is about a person with this proven address and these claims."""
        if self.domain:
            return email.rpartition("@")[2] == self.domain
        said = claims.get(self.claim)
        return self.value in said if isinstance(said, list) else said == self.value


@dataclass(frozen=True, slots=True)
class Provider:
    """One identity provider. `title` stands on the button, `name` in addresses."""

    name: str
    title: str
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)  # '': we are a public client there, PKCE alone
    scopes: tuple[str, ...]
    private_network: bool  # it may be asked at an address that is not public, and by plain http
    members: tuple[MembershipRule, ...]

    def membership(self, email: str, claims: Mapping[str, Any]) -> MembershipRule | None:
        """The first rule that is about this person; None: the provider's people are not all ours.

        `email` is an address that the provider has checked, case-folded.
        """
        return next((rule for rule in self.members if rule.names(email, claims)), None)


def load_providers(path: Path | None) -> tuple[Provider, ...]:
    """The providers of the file at `path`, none without a file.

    Invalid (identity-providers-invalid) lists every fault of the file by its place.
    """
    if path is None:
        return ()
    return read_providers(_FILE.read(path))


def read_providers(told: Table) -> tuple[Provider, ...]:
    """The providers of a parsed file."""
    faults = Faults(_FILE)
    for key in told.keys() - {"provider"}:
        faults.add(key, "There is no such section; there is only [[provider]].")
    entries = _tables(told.get("provider"), "provider", PROVIDERS_MAX, faults)
    found = [
        provider
        for at, entry in enumerate(entries, 1)
        if (provider := _provider(entry, f"provider[{at}]", faults)) is not None
    ]
    for what in ("name", "issuer"):
        _refuse_repeats(found, what, faults)
    faults.raise_any()
    return tuple(found)


def _refuse_repeats(found: Sequence[Provider], what: str, faults: Faults) -> None:
    # One issuer twice would make it unclear whose word an identity rests on.
    values = [getattr(provider, what) for provider in found]
    for value in {value for value in values if values.count(value) > 1}:
        faults.add("provider", f"Two have the {what} {value!r}; each needs its own.")


def _provider(entry: Table, place: str, faults: Faults) -> Provider | None:
    for key in entry.keys() - _PROVIDER_KEYS:
        faults.add(f"{place}.{key}", f"Unknown; there are {', '.join(sorted(_PROVIDER_KEYS))}.")
    rules = _tables(entry.get("members"), f"{place}.members", RULES_MAX, faults)
    values: dict[str, Any] = {}
    for key, read in (
        ("name", _name),
        ("title", _title),
        ("issuer", _issuer),
        ("client_id", _client_id),
        ("client_secret", _client_secret),
        ("scopes", _scopes),
        ("private_network", _private_network),
    ):
        shown = "client_secret_file" if key == "client_secret" else key
        with faults.noted(f"{place}.{shown}"):
            values[key] = read(entry)
    members = [
        rule
        for at, told in enumerate(rules, 1)
        if (rule := _rule(told, f"{place}.members[{at}]", faults)) is not None
    ]
    if len(values) < len(_PROVIDER_KEYS) - 1:
        return None
    return Provider(**values, members=tuple(members))


def _tables(told: object, place: str, most: int, faults: Faults) -> Sequence[Table]:
    """A list of one to `most` tables."""
    whole = isinstance(told, list) and all(isinstance(one, dict) for one in told)
    if not whole or not told:
        section = re.sub(r"\[\d+\]", "", place)
        faults.add(place, f"Expected at least one section [[{section}]].")
        return ()
    assert isinstance(told, list)
    if len(told) > most:
        faults.add(place, f"There are {len(told)}, and at most {most} are read.")
        return ()
    return told


def _text(entry: Table, key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise Invalid("Expected a text in quotation marks.")
    return check_line(value, field=key)


def _name(entry: Table) -> str:
    name = _text(entry, "name")
    if not _NAME.fullmatch(name):
        raise Invalid("A name has 1 to 32 of a-z, 0-9 and '-'; it stands in addresses.")
    return name


def _title(entry: Table) -> str:
    return check_line(_text(entry, "title"), field="title", length_max=_TITLE_LENGTH_MAX)


def _issuer(entry: Table) -> str:
    issuer = _text(entry, "issuer")
    expected = "Write it exactly as the provider does: https, no query, no fragment."
    try:
        parts = urlsplit(issuer)
        plain = not (parts.username or parts.password or parts.query or parts.fragment)
        _ = parts.port
    except ValueError as error:
        raise Invalid("It is not a URL.", remedy=expected) from error
    schemes = ("https", "http") if entry.get("private_network") is True else ("https",)
    if parts.scheme not in schemes or not parts.hostname or not plain or issuer[-1:] in "?#":
        raise Invalid("It is not the address of an issuer.", remedy=expected)
    return issuer


def _client_id(entry: Table) -> str:
    return _text(entry, "client_id")


def _client_secret(entry: Table) -> str:
    if "client_secret_file" not in entry:
        return ""
    path = Path(_text(entry, "client_secret_file"))
    if not path.is_absolute():
        raise Invalid("Expected an absolute path.")
    secret = read_private_text(path, bytes_max=SECRET_BYTES_MAX).strip()
    if not secret or not secret.isascii() or not secret.isprintable():
        raise Invalid(f"{path} holds no secret: one line of ASCII is expected.")
    return secret


def _scopes(entry: Table) -> tuple[str, ...]:
    told = entry.get("scopes", list(SCOPES))
    texts = isinstance(told, list) and len(told) <= _SCOPES_MAX
    if not texts or not all(isinstance(one, str) and _SCOPE.fullmatch(one) for one in told):
        raise Invalid(f"Expected a list of at most {_SCOPES_MAX} scopes.")
    if "openid" not in told:
        raise Invalid("'openid' must be among them: without it there is no ID token.")
    return tuple(dict.fromkeys(told))


def _private_network(entry: Table) -> bool:
    told = entry.get("private_network", False)
    if not isinstance(told, bool):
        raise Invalid("Expected true or false.")
    return told


def _rule(told: Table, place: str, faults: Faults) -> MembershipRule | None:
    for key in told.keys() - _RULE_KEYS:
        faults.add(f"{place}.{key}", f"Unknown; there are {', '.join(sorted(_RULE_KEYS))}.")
    read: list[MembershipRule | None] = [None]
    with faults.noted(place):
        read.append(_read_rule(told))
    return read[-1]


def _read_rule(told: Table) -> MembershipRule:
    organisation = told.get("organisation")
    named = isinstance(organisation, str) and organisation
    numbered = isinstance(organisation, int) and not isinstance(organisation, bool)
    if not named and not numbered:
        raise Invalid("Its organisation is missing: the name or the number of one.")
    assert isinstance(organisation, str | int)
    roles = _roles(told.get("roles", [CUSTOMER]))
    if ("domain" in told) == ("claim" in told):
        raise Invalid("Expected either `domain`, or `claim` with `value`.")
    if "domain" in told and "value" in told:
        raise Invalid("A `value` belongs to a `claim`, not to a `domain`.")
    if "domain" in told:
        return MembershipRule(organisation, roles, domain=_domain(told))
    claim, value = _text(told, "claim"), _text(told, "value")
    return MembershipRule(organisation, roles, claim=claim, value=value)


def _domain(told: Table) -> str:
    domain = _text(told, "domain").casefold()
    if not _DOMAIN.fullmatch(domain):
        raise Invalid("A domain is what follows the @, such as example.com; no wildcards.")
    return domain


def _roles(told: object) -> tuple[str, ...]:
    known = isinstance(told, list) and told and all(role in ROLES for role in told)
    if not known:
        raise Invalid(
            f"A provider can give the roles {' and '.join(ROLES)}, and no others.",
            remedy="Other roles are given in the hub, by an operator.",
        )
    assert isinstance(told, list)
    return tuple(role for role in ROLES if role in told)
