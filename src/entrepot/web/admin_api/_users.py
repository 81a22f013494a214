"""People."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Row

from entrepot.core.accounts import (
    PasswordHash,
    add_user,
    disable_user,
    find_organisation,
    find_user,
    hash_password,
    list_users,
    set_password,
    set_roles,
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
from entrepot.web.admin_api._wire_accounts import NewPassword, NewUser, Roles, UserItem, UserPage

_WithPassword = TypeVar("_WithPassword", NewUser, NewPassword)


def _list(tx: Tx, call: Call[None]) -> Outcome:
    number = owner_wanted(tx, call)
    found, total = list_users(tx, organisation_id=number, skip=call.rows.skip, take=call.rows.take)
    return Outcome(UserPage(total, [_item(row, row.organisation_name) for row in found]))


def _item(row: Row[Any], organisation_name: str) -> UserItem:
    return fill(
        UserItem,
        row,
        organisation_name=organisation_name,
        has_password=row.password_hash is not None,
    )


def _show(tx: Tx, call: Call[None]) -> Outcome:
    return Outcome(_shown(tx, call.ids["user"]))


def _shown(tx: Tx, reference: str | int) -> UserItem:
    row = find_user(tx, reference)
    return _item(row, find_organisation(tx, row.organisation_id).name)


def _hash_first(new: NewUser) -> NewUser:
    return new if new.password is None else _with_hash(new, new.password)


def _with_hash(body: _WithPassword, password: str) -> _WithPassword:
    """The body with the password's hash in its place: hashing is too slow for a transaction."""
    return msgspec.structs.replace(body, password=hash_password(password))


def _add(tx: Tx, call: Call[NewUser]) -> Outcome:
    new = call.body
    owner = owner_named(tx, new.organisation)
    number = add_user(
        tx,
        email=new.email,
        given_name=new.given_name,
        family_name=new.family_name,
        organisation_id=owner.id,
        roles=new.roles,
        password=None if new.password is None else PasswordHash(new.password),
        actor=call.actor,
        now=call.now,
    )
    return Outcome(_shown(tx, number), f"/users/{number}")


def _set_disabled(*, disabled: bool) -> Callable[[Tx, Call[None]], Outcome]:
    def verb(tx: Tx, call: Call[None]) -> Outcome:
        number = find_user(tx, call.ids["user"]).id
        disable_user(tx, number, disabled=disabled, actor=call.actor, now=call.now)
        return Outcome()

    return verb


def _set_roles(tx: Tx, call: Call[Roles]) -> Outcome:
    number = find_user(tx, call.ids["user"]).id
    set_roles(tx, number, call.body.roles, actor=call.actor, now=call.now)
    return Outcome()


def _set_password(tx: Tx, call: Call[NewPassword]) -> Outcome:
    number = find_user(tx, call.ids["user"]).id
    set_password(tx, number, PasswordHash(call.body.password), actor=call.actor, now=call.now)
    return Outcome()


_TAG = "users"
_ONE = "/users/{user:str}"
USER_ACTIONS: tuple[AnyAction, ...] = (
    Action(
        _TAG,
        "GET",
        "/users",
        "listUsers",
        "List people by number, of all organisations or of one",
        ADMINISTERING,
        _list,
        answer=UserPage,
        filters=(OF_ORGANISATION,),
        paged=True,
    ),
    Action(
        _TAG,
        "POST",
        "/users",
        "addUser",
        "Add a person",
        ADMINISTERING,
        _add,
        status=201,
        answer=UserItem,
        body=NewUser,
        beforehand=_hash_first,
        conflicts=True,
    ),
    Action(_TAG, "GET", _ONE, "showUser", "Show a person", ADMINISTERING, _show, answer=UserItem),
    Action(
        _TAG,
        "POST",
        f"{_ONE}/disable",
        "disableUser",
        "Shut a person out; tokens and links die within seconds",
        ADMINISTERING,
        _set_disabled(disabled=True),
        status=204,
    ),
    Action(
        _TAG,
        "POST",
        f"{_ONE}/enable",
        "enableUser",
        "Let a person in again",
        ADMINISTERING,
        _set_disabled(disabled=False),
        status=204,
    ),
    Action(
        _TAG,
        "PUT",
        f"{_ONE}/roles",
        "setRoles",
        "Replace the roles of a person",
        ADMINISTERING,
        _set_roles,
        status=204,
        body=Roles,
    ),
    Action(
        _TAG,
        "PUT",
        f"{_ONE}/password",
        "setPassword",
        "Replace a person's password; open sessions end",
        ADMINISTERING,
        _set_password,
        status=204,
        body=NewPassword,
        beforehand=lambda new: _with_hash(new, new.password),
    ),
)
