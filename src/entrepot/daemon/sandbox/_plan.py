"""What the sample world holds, as data. Days count back from the moment of loading."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from entrepot.core.accounts import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    CUSTOMER,
    DEVICE_CODE,
    JWT_BEARER,
    OPERATOR,
    ORGANISATION_ADMIN,
    PUBLISHER,
    REFRESH_TOKEN,
)
from entrepot.core.catalogue import ProductSpec

Kind: TypeAlias = Literal["plain", "lapsed", "grouped", "controlled", "licence"]

HALDEN, OKABE, VEGA, HARBOUR = (
    "Halden Microsystems",
    "Okabe Robotics",
    "Vega Aerodata",
    "Harbour Software",
)

# Name -> country. Harbour publishes, the others are its customers.
ORGANISATIONS: Mapping[str, str] = {HALDEN: "GB", OKABE: "JP", VEGA: "DE", HARBOUR: "NL"}


@dataclass(frozen=True, slots=True)
class SampleUser:
    """A person; the password is drawn when the world is loaded."""

    email: str
    given_name: str
    family_name: str
    organisation: str
    roles: Sequence[str] = (CUSTOMER,)


USERS = (
    SampleUser("ada@halden.example", "Ada", "Brandt", HALDEN),
    SampleUser("ben@halden.example", "Ben", "Osei", HALDEN, (CUSTOMER, ORGANISATION_ADMIN)),
    SampleUser("chiyo@okabe.example", "Chiyo", "Okabe", OKABE, (CUSTOMER, ORGANISATION_ADMIN)),
    SampleUser("dieter@vega.example", "Dieter", "Lang", VEGA),
    SampleUser("pia@harbour.example", "Pia", "de Wit", HARBOUR, (CUSTOMER, PUBLISHER)),
    SampleUser("otto@harbour.example", "Otto", "Visser", HARBOUR, (CUSTOMER, OPERATOR)),
)


@dataclass(frozen=True, slots=True)
class SampleProgram:
    """A machine that signs in by itself, or a program that acts for people who let it."""

    client_id: str
    name: str
    organisation: str
    roles: Sequence[str]
    scopes: Sequence[str]
    grants: Sequence[str] = ()  # none named: those that fit the rest
    redirect_uris: Sequence[str] = ()
    public: bool = False
    pkce: bool = True


CLIENTS = (
    SampleProgram(
        "halden-ci", "Halden build server", HALDEN, (CUSTOMER,), ("entitlements", "orders")
    ),
    SampleProgram("okabe-ci", "Okabe build server", OKABE, (CUSTOMER,), ("entitlements", "orders")),
    SampleProgram(
        "harbour-release", "Harbour release job", HARBOUR, (CUSTOMER, PUBLISHER), ("publish",)
    ),
    SampleProgram(
        "harbour-operations", "Harbour operations", HARBOUR, (CUSTOMER, OPERATOR), ("admin",)
    ),
    SampleProgram("harbour-shop", "Harbour shop", HARBOUR, (CUSTOMER, PUBLISHER), ("products",)),
    SampleProgram(
        "harbour-catalogue", "Harbour catalogue", HARBOUR, (CUSTOMER,), ("products.readonly",)
    ),
)


_LOOPBACK = ("http://127.0.0.1/callback",)
APPS = (
    SampleProgram(
        "vega-desktop",
        "Vega desktop",
        VEGA,
        (CUSTOMER,),
        ("entitlements", "orders", "products.readonly"),
        (AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE),
        _LOOPBACK,
        public=True,
    ),
    SampleProgram(
        "okabe-web",
        "Okabe web",
        OKABE,
        (CUSTOMER,),
        ("entitlements", "orders"),
        redirect_uris=_LOOPBACK,
    ),
    # Old: it cannot do PKCE.
    SampleProgram(
        "harbour-legacy",
        "Harbour legacy shop",
        HARBOUR,
        (CUSTOMER,),
        ("products",),
        redirect_uris=_LOOPBACK,
        pkce=False,
    ),
    SampleProgram(
        "harbour-signer",
        "Harbour signer",
        HARBOUR,
        (CUSTOMER, PUBLISHER),
        ("products", "products.readonly"),
        (CLIENT_CREDENTIALS, JWT_BEARER),
    ),
)

LICENCE_CODE = "SAMPLE-EVALUATION"
LICENCE_NAME = "Sample evaluation terms"
LICENCE_TEXT = """\
Sample evaluation terms, revision 1

These terms belong to the sample world of an Entrepot sandbox. They bind nobody: they are
here so that the step of reading and accepting a licence can be tried.

1. You may download the files of this product and look at them for as long as you like.
2. The files are sources of Entrepot itself. What you may really do with them is said by the
   file LICENSE that lies in every archive.
3. There is no warranty of any kind.

By accepting you confirm that you have read down to this line.
"""


@dataclass(frozen=True, slots=True)
class SampleRelease:
    """A version of a product. `folders` of our own package go into its archives."""

    version: str
    days_ago: int
    folders: Sequence[str]
    forms: Sequence[str] = ("tar.gz",)
    quality: str = "EAC"
    patch: str | None = None


@dataclass(frozen=True, slots=True)
class SampleProduct:
    """A product with its releases; files are called `<stem>-<version>.<form>`."""

    spec: ProductSpec
    stem: str = ""
    releases: Sequence[SampleRelease] = ()
    repository: str = "general"


_CORE = ("core", "db", "kit")
_BOTH = ("tar.gz", "zip")

PRODUCTS = (
    SampleProduct(
        ProductSpec(
            "EP100",
            "Entrepot Sources",
            "The hub and its command, as sources.",
            delivery_method="download",
        ),
        "entrepot-sources",
        (
            # 1.10 comes after 1.9, and patch 0099 keeps its zeros: a table must show both as is.
            SampleRelease("1.9", 300, ("client", "cli"), patch="0099"),
            SampleRelease("1.10", 120, ("client", "cli", *_CORE), _BOTH, patch="0100"),
            SampleRelease("2.0", 20, (".",), _BOTH),
        ),
    ),
    SampleProduct(
        ProductSpec("EP200", "Entrepot Client", "The library that programs download with."),
        "entrepot-client",
        (
            SampleRelease("1.0", 280, ("client",)),
            SampleRelease("1.1", 110, ("client", "kit")),
            SampleRelease("2.0", 15, ("client", "kit", "cli"), _BOTH),
        ),
    ),
    SampleProduct(
        ProductSpec("EP310", "Entrepot Concepts", "Accounts, catalogue, entitlements, delivery."),
        "entrepot-concepts",
        (
            SampleRelease("1.0", 250, ("core",)),
            SampleRelease("1.1", 40, _CORE, _BOTH),
        ),
    ),
    SampleProduct(
        ProductSpec("EP320", "Entrepot Doors", "The web side of the hub."),
        "entrepot-doors",
        (
            SampleRelease("0.9", 200, ("web/http",), quality="BETA"),
            SampleRelease("1.0", 30, ("web",)),
        ),
    ),
    SampleProduct(
        ProductSpec(
            "EP300",
            "Entrepot Suite",
            "Concepts and doors together: a group of two products.",
            members=("EP310", "EP320"),
        ),
    ),
    SampleProduct(
        ProductSpec(
            "EP400",
            "Entrepot Signing",
            "How links and tokens are signed: stands in for what export rules cover.",
            us_eccn=("5D002",),
            eccn_restricted=True,
        ),
        "entrepot-signing",
        (
            SampleRelease("1.0", 240, ("core/accounts",)),
            SampleRelease("1.1", 60, ("core/accounts", "core/delivery")),
        ),
        repository="controlled-export",
    ),
    SampleProduct(
        ProductSpec(
            "EP500",
            "Entrepot Command Line",
            "The customer's command, under terms that have to be accepted first.",
            licence_code=LICENCE_CODE,
        ),
        "entrepot-command-line",
        (
            SampleRelease("1.0", 230, ("cli",)),
            SampleRelease("1.1", 50, ("cli", "client"), _BOTH),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class SampleGrant:
    """An entitlement. `maintained_days` counts from now: negative means it has ended."""

    kind: Kind
    organisation: str
    product: str
    days_ago: int
    maintained_days: int = 300
    allowed_countries: Sequence[str] = field(default_factory=tuple)


# 70 days ago lies between the second and the third release of EP200.
# Products whose releases are signed, by keys of a publisher that is made up as well.
SIGNED = ("EP310", "EP320")
GRANTS = (
    SampleGrant("plain", HALDEN, "EP100", 700),
    SampleGrant("lapsed", HALDEN, "EP200", 700, -70),
    SampleGrant("grouped", HALDEN, "EP300", 700),
    SampleGrant("controlled", HALDEN, "EP400", 700, allowed_countries=("GB", "NL", "JP")),
    SampleGrant("licence", HALDEN, "EP500", 700),
    SampleGrant("plain", OKABE, "EP100", 500),
    SampleGrant("plain", OKABE, "EP200", 500),
    SampleGrant("controlled", OKABE, "EP400", 500, allowed_countries=("JP",)),
    SampleGrant("plain", VEGA, "EP100", 400),
    SampleGrant("grouped", VEGA, "EP300", 400),
    SampleGrant("licence", VEGA, "EP500", 400),
    SampleGrant("plain", HARBOUR, "EP100", 400),
)
FOUNDED_DAYS_AGO = 800
