"""The keys that sign for the hub, by id; their secret halves never leave it."""

from entrepot.assembly import Hub
from entrepot.core.accounts import list_keys, rotate_keys
from entrepot.db import Tx
from entrepot.web.admin_api._actions import ADMINISTERING, Action, AnyAction, Call, Outcome
from entrepot.web.admin_api._wire import fill
from entrepot.web.admin_api._wire_keys import KeyItem, KeyList, Rotation


def key_actions(hub: Hub) -> list[AnyAction]:
    """The operations on keys."""

    def rotate(tx: Tx, call: Call[Rotation]) -> Outcome:
        purpose = call.body.purpose
        kid = rotate_keys(tx, hub.keys.box, purpose, actor=call.actor, now=call.now)
        [item] = [fill(KeyItem, row) for row in list_keys(tx) if row.kid == kid]
        return Outcome(item, afterwards=_refresh)

    def _refresh() -> None:
        # Other processes learn of it within seconds by themselves.
        hub.keys.refresh()

    tag = "keys"
    return [
        Action(
            tag,
            "GET",
            "/keys",
            "listSigningKeys",
            "List every signing key there was, without its secret half",
            ADMINISTERING,
            _list,
            answer=KeyList,
        ),
        Action(
            tag,
            "POST",
            "/keys/rotation",
            "rotateKeys",
            "Make a new key that takes over soon",
            ADMINISTERING,
            rotate,
            answer=KeyItem,
            body=Rotation,
        ),
    ]


def _list(tx: Tx, _call: Call[None]) -> Outcome:
    items = [fill(KeyItem, row) for row in list_keys(tx)]
    return Outcome(KeyList(len(items), items))
