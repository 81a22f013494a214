"""Which licence texts an organisation may read, and accept."""

import pytest

from entrepot.core import catalogue, entitlements
from entrepot.db import Tx
from entrepot.errors import NotFound
from tests import factories
from tests.factories import NOW


def _add_licence(tx: Tx, code: str) -> None:
    catalogue.add_licence(tx, code=code, name=code, text="Be nice.", actor="operator", now=NOW)


def test_a_licence_is_shown_to_those_who_have_something_that_comes_with_it(tx: Tx) -> None:
    for code in ("OWN", "GROUP", "MEMBER", "PINNED", "OTHER"):
        _add_licence(tx, code)
    organisation = factories.add_organisation(tx)
    who = factories.add_user(tx, organisation)
    factories.grant(tx, organisation, factories.add_product(tx, licence_code="OWN"))
    member = factories.add_product(tx, licence_code="MEMBER")
    group = factories.add_product(tx, licence_code="GROUP", members=(member,))
    factories.grant(tx, organisation, group)
    pinned = factories.add_product(tx)
    factories.grant(tx, organisation, pinned, pinned_licence="PINNED", pinned_revision=1)
    factories.add_product(tx, licence_code="OTHER")
    for code in ("OWN", "GROUP", "MEMBER", "PINNED"):
        assert entitlements.permitted_licence(tx, who, code).licence_code == code
        taken = entitlements.accept_licence(tx, who, code=code, revision=1, now=NOW)
        assert entitlements.acceptance(tx, who, taken.id).holds
    for code in ("OTHER", "NONE"):
        with pytest.raises(NotFound):
            entitlements.permitted_licence(tx, who, code)
    stranger = factories.add_user(tx, factories.add_organisation(tx))
    with pytest.raises(NotFound):
        entitlements.permitted_licence(tx, stranger, "OWN")
