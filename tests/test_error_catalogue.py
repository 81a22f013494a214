"""The error catalogue and the codes in the source are the same set, with the same statuses."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import entrepot
from entrepot import errors
from entrepot.core.entitlements import REASONS
from entrepot.errors import EntrepotError, NotFound, Unauthenticated
from entrepot.web.http.catalogue import CATALOGUE
from entrepot.web.http.errors import status_of

SOURCE = Path(entrepot.__file__).parent
KINDS: dict[str, type[EntrepotError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, EntrepotError)
}


def raised(source: str) -> Iterator[tuple[str, str]]:
    """(kind of error, code) of every error made with a literal code."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        for keyword in node.keywords:
            value = keyword.value
            if keyword.arg == "code" and isinstance(value, ast.Constant) and node.func.id in KINDS:
                yield node.func.id, str(value.value)


def server_sources() -> list[Path]:
    client = {SOURCE / "client", SOURCE / "cli"}
    return [path for path in SOURCE.rglob("*.py") if not client & set(path.parents)]


def in_source() -> set[tuple[str, str]]:
    found = {pair for path in server_sources() for pair in raised(path.read_text())}
    found |= {(name, kind.default_code) for name, kind in KINDS.items()}
    return found | {("Denied", code) for code in REASONS if code != "account-disabled"}


def status_of_kind(name: str) -> int:
    kind = KINDS[name]
    return status_of(kind() if kind is NotFound else kind("text"))


# Codes of answers that carry a status and no kind of ours: the framework's, and 501.
FRAMEWORK = {
    "body-too-large",
    "endpoint-unknown",
    "fasp-not-configured",
    "host-unknown",
    "method-not-allowed",
}


def test_every_code_in_the_source_is_in_the_catalogue() -> None:
    missing = {code for _, code in in_source()} - CATALOGUE.keys()
    assert not missing, f"add them to web/http/catalogue.py: {sorted(missing)}"


def test_every_code_in_the_catalogue_is_used() -> None:
    used = {code for _, code in in_source()} | FRAMEWORK
    used |= {code for code in CATALOGUE if any(f'"{code}"' in p.read_text() for p in USERS)}
    assert not CATALOGUE.keys() - used


USERS = [SOURCE / "core/accounts/tokens.py"]  # chooses between two codes in an expression


def test_the_catalogue_has_the_status_that_the_kind_is_answered_with() -> None:
    wrong = {
        (code, CATALOGUE[code].status, status_of_kind(name))
        for name, code in in_source()
        if code in CATALOGUE
        and CATALOGUE[code].status not in (0, status_of_kind(name))
        and code not in FRAMEWORK
    }
    assert not wrong


def test_the_scanner_sees_a_code_and_its_kind() -> None:
    assert list(raised('raise Denied("x", code="brand-new")')) == [("Denied", "brand-new")]
    assert status_of(Unauthenticated("x")) == 401
