"""Organisations."""

from collections.abc import Callable

from entrepot.core.accounts import (
    add_organisation,
    block_organisation,
    find_organisation,
    list_organisations,
)
from entrepot.db import Tx
from entrepot.web.admin_api._actions import ADMINISTERING, Action, AnyAction, Call, Outcome
from entrepot.web.admin_api._wire import fill
from entrepot.web.admin_api._wire_accounts import (
    NewOrganisation,
    OrganisationItem,
    OrganisationPage,
)


def _list(tx: Tx, call: Call[None]) -> Outcome:
    found, total = list_organisations(tx, skip=call.rows.skip, take=call.rows.take)
    return Outcome(OrganisationPage(total, [fill(OrganisationItem, row) for row in found]))


def _show(tx: Tx, call: Call[None]) -> Outcome:
    return Outcome(fill(OrganisationItem, find_organisation(tx, call.ids["organisation"])))


def _add(tx: Tx, call: Call[NewOrganisation]) -> Outcome:
    new = call.body
    number = add_organisation(
        tx, name=new.name, country=new.country, actor=call.actor, now=call.now
    )
    item = fill(OrganisationItem, find_organisation(tx, number))
    return Outcome(item, f"/organisations/{number}")


def _set_blocked(*, blocked: bool) -> Callable[[Tx, Call[None]], Outcome]:
    def verb(tx: Tx, call: Call[None]) -> Outcome:
        number = find_organisation(tx, call.ids["organisation"]).id
        block_organisation(tx, number, blocked=blocked, actor=call.actor, now=call.now)
        return Outcome()

    return verb


_TAG = "organisations"
_ONE = "/organisations/{organisation:str}"
ORGANISATION_ACTIONS: tuple[AnyAction, ...] = (
    Action(
        _TAG,
        "GET",
        "/organisations",
        "listOrganisations",
        "List organisations by number",
        ADMINISTERING,
        _list,
        answer=OrganisationPage,
        paged=True,
    ),
    Action(
        _TAG,
        "POST",
        "/organisations",
        "addOrganisation",
        "Add an organisation",
        ADMINISTERING,
        _add,
        status=201,
        answer=OrganisationItem,
        body=NewOrganisation,
        conflicts=True,
    ),
    Action(
        _TAG,
        "GET",
        _ONE,
        "showOrganisation",
        "Show an organisation",
        ADMINISTERING,
        _show,
        answer=OrganisationItem,
    ),
    Action(
        _TAG,
        "POST",
        f"{_ONE}/block",
        "blockOrganisation",
        "Stop every download of an organisation",
        ADMINISTERING,
        _set_blocked(blocked=True),
        status=204,
    ),
    Action(
        _TAG,
        "POST",
        f"{_ONE}/unblock",
        "unblockOrganisation",
        "Allow the downloads of an organisation again",
        ADMINISTERING,
        _set_blocked(blocked=False),
        status=204,
    ),
)
