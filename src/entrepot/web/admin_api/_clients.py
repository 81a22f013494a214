"""API clients: programs that get tokens, for themselves or for people."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Row

from entrepot.assembly import Hub
from entrepot.core.accounts import (
    add_client,
    disable_client,
    find_client,
    find_organisation,
    list_clients,
)
from entrepot.db import Tx
from entrepot.web.admin_api._actions import (
    ADMINISTERING,
    OF_ORGANISATION,
    Action,
    AnyAction,
    Call,
    Outcome,
)
from entrepot.web.admin_api._owners import owner_named, owner_wanted
from entrepot.web.admin_api._wire import fill
from entrepot.web.admin_api._wire_accounts import ClientItem, ClientPage, ClientSecret, NewClient


def _list(tx: Tx, call: Call[None]) -> Outcome:
    number = owner_wanted(tx, call)
    found, total = list_clients(
        tx, organisation_id=number, skip=call.rows.skip, take=call.rows.take
    )
    return Outcome(ClientPage(total, [fill(ClientItem, row) for row in found]))


def _show(tx: Tx, call: Call[None]) -> Outcome:
    row: Row[Any] = find_client(tx, call.ids["client_id"])
    owner = row.organisation_id
    name = None if owner is None else find_organisation(tx, owner).name
    return Outcome(fill(ClientItem, row, organisation_name=name))


def _set_disabled(*, disabled: bool) -> Callable[[Tx, Call[None]], Outcome]:
    def verb(tx: Tx, call: Call[None]) -> Outcome:
        disable_client(tx, call.ids["client_id"], disabled=disabled, actor=call.actor, now=call.now)
        return Outcome()

    return verb


def client_actions(hub: Hub) -> list[AnyAction]:
    """The operations on clients."""

    def add(tx: Tx, call: Call[NewClient]) -> Outcome:
        new = call.body
        made = add_client(
            tx,
            client_id=new.client_id,
            name=new.name,
            organisation_id=owner_named(tx, new.organisation).id,
            roles=new.roles,
            scopes=new.scopes,
            grants=new.grants,
            redirect_uris=new.redirect_uris,
            public=new.public,
            pkce=new.pkce,
            box=hub.keys.box,
            actor=call.actor,
            now=call.now,
        )
        item = ClientSecret(made.client_id, made.secret or None)
        return Outcome(item, f"/clients/{made.client_id}")

    adding: AnyAction = Action(
        _TAG,
        "POST",
        "/clients",
        "addClient",
        "Add a program; its secret is shown this once",
        ADMINISTERING,
        add,
        status=201,
        answer=ClientSecret,
        body=NewClient,
        conflicts=True,
    )
    return [adding, *_ACTIONS]


_TAG = "clients"
_ONE = "/clients/{client_id:str}"
_ACTIONS: tuple[AnyAction, ...] = (
    Action(
        _TAG,
        "GET",
        "/clients",
        "listClients",
        "List programs by client id, of all organisations or of one",
        ADMINISTERING,
        _list,
        answer=ClientPage,
        filters=(OF_ORGANISATION,),
        paged=True,
    ),
    Action(
        _TAG, "GET", _ONE, "showClient", "Show a program", ADMINISTERING, _show, answer=ClientItem
    ),
    Action(
        _TAG,
        "POST",
        f"{_ONE}/disable",
        "disableClient",
        "Shut a program out; tokens and links die within seconds",
        ADMINISTERING,
        _set_disabled(disabled=True),
        status=204,
    ),
    Action(
        _TAG,
        "POST",
        f"{_ONE}/enable",
        "enableClient",
        "Let a program in again",
        ADMINISTERING,
        _set_disabled(disabled=False),
        status=204,
    ),
)
