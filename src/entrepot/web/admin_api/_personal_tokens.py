"""Personal access tokens of people: the operator's view, and making one for somebody."""

from typing import Any

from sqlalchemy import Row

from entrepot.core.accounts import (
    find_user,
    list_personal_tokens,
    make_personal_token,
    revoke_personal_token,
)
from entrepot.db import Tx
from entrepot.errors import NotFound
from entrepot.kit.ids import parse_number
from entrepot.web.admin_api._actions import ADMINISTERING, Action, AnyAction, Call, Outcome
from entrepot.web.admin_api._wire import fill
from entrepot.web.admin_api._wire_personal_tokens import (
    NewPersonalToken,
    PersonalTokenItem,
    PersonalTokenPage,
    PersonalTokenValue,
)


def _list(tx: Tx, call: Call[None]) -> Outcome:
    rows = list_personal_tokens(tx, find_user(tx, call.ids["user"]).id)
    return Outcome(PersonalTokenPage(len(rows), [fill(PersonalTokenItem, row) for row in rows]))


def _find(tx: Tx, call: Call[None]) -> Row[Any]:
    said = call.ids["token_id"]
    number = parse_number(said)
    for row in list_personal_tokens(tx, find_user(tx, call.ids["user"]).id):
        if row.id == number:
            return row
    raise NotFound(f"The person has no personal access token {said[:40]!r}.")


def _show(tx: Tx, call: Call[None]) -> Outcome:
    return Outcome(fill(PersonalTokenItem, _find(tx, call)))


def _make(tx: Tx, call: Call[NewPersonalToken]) -> Outcome:
    new, user_id = call.body, find_user(tx, call.ids["user"]).id
    made = make_personal_token(
        tx,
        user_id,
        name=new.name,
        scopes=new.scopes,
        days=new.days,
        networks=new.networks,
        actor=call.actor,
        now=call.now,
    )
    [row] = [row for row in list_personal_tokens(tx, user_id) if row.id == made.id]
    return Outcome(
        fill(PersonalTokenValue, row, token=made.value),
        f"/users/{user_id}/personal-tokens/{made.id}",
    )


def _revoke(tx: Tx, call: Call[None]) -> Outcome:
    row = _find(tx, call)
    revoke_personal_token(tx, row.user_id, row.id, actor=call.actor, now=call.now)
    return Outcome()


_TAG = "users"
_ALL = "/users/{user:str}/personal-tokens"
_ONE = f"{_ALL}/{{token_id:str}}"
PERSONAL_TOKEN_ACTIONS: tuple[AnyAction, ...] = (
    Action(
        _TAG,
        "GET",
        _ALL,
        "listPersonalTokens",
        "List a person's tokens for CI, newest first",
        ADMINISTERING,
        _list,
        answer=PersonalTokenPage,
    ),
    Action(
        _TAG,
        "POST",
        _ALL,
        "makePersonalToken",
        "Make a token for CI that acts for a person",
        ADMINISTERING,
        _make,
        status=201,
        answer=PersonalTokenValue,
        body=NewPersonalToken,
        conflicts=True,
        description="The value is shown this once. It is good from the networks alone, if any.",
    ),
    Action(
        _TAG,
        "GET",
        _ONE,
        "showPersonalToken",
        "Show a token of a person, without its value",
        ADMINISTERING,
        _show,
        answer=PersonalTokenItem,
    ),
    Action(
        _TAG,
        "POST",
        f"{_ONE}/revoke",
        "revokePersonalToken",
        "End a token; every process refuses it within seconds",
        ADMINISTERING,
        _revoke,
        status=204,
    ),
)
