"""Licences and their revisions."""

from entrepot.core.catalogue import LicenceRevision as Text
from entrepot.core.catalogue import (
    add_licence,
    count_licences,
    find_licence,
    find_revision,
    list_licences,
    revise_licence,
)
from entrepot.db import Tx
from entrepot.errors import NotFound
from entrepot.kit.ids import parse_number
from entrepot.web.admin_api._actions import PUBLISHING, Action, AnyAction, Call, Outcome
from entrepot.web.admin_api._wire import fill, moment
from entrepot.web.admin_api._wire_licences import (
    LicenceItem,
    LicencePage,
    LicenceText,
    NewLicence,
    NewRevision,
)

# A text of a million characters, of which JSON may write each in six bytes.
TEXT_BYTES_MAX = 8 << 20
_REVISION_MAX = 2**31 - 1


def _list(tx: Tx, call: Call[None]) -> Outcome:
    found = list_licences(tx, skip=call.rows.skip, take=call.rows.take)
    return Outcome(LicencePage(count_licences(tx), [fill(LicenceItem, row) for row in found]))


def _show(tx: Tx, call: Call[None]) -> Outcome:
    number = None
    if (said := call.ids.get("revision")) is not None:
        number = parse_number(said)
        if number is None or number > _REVISION_MAX:
            raise NotFound(f"There is no revision {said[:40]!r} of this licence.")
    return Outcome(_item(find_revision(tx, call.ids["licence"], number)))


def _item(text: Text) -> LicenceText:
    return LicenceText(
        text.licence_code,
        text.licence_name,
        text.revision,
        text.text,
        text.sha256,
        moment(text.published_at),
    )


def _add(tx: Tx, call: Call[NewLicence]) -> Outcome:
    new = call.body
    add_licence(tx, code=new.code, name=new.name, text=new.text, actor=call.actor, now=call.now)
    return _published(tx, new.code, 1)


def _revise(tx: Tx, call: Call[NewRevision]) -> Outcome:
    code = find_licence(tx, call.ids["licence"]).code
    number = revise_licence(tx, code=code, text=call.body.text, actor=call.actor, now=call.now)
    return _published(tx, code, number)


def _published(tx: Tx, code: str, number: int) -> Outcome:
    item = _item(find_revision(tx, code, number))
    return Outcome(item, f"/licences/{code}/revisions/{number}")


_TAG = "licences"
_ONE = "/licences/{licence:str}"
_REVISIONS = f"{_ONE}/revisions"
LICENCE_ACTIONS: tuple[AnyAction, ...] = (
    Action(
        _TAG,
        "GET",
        "/licences",
        "listLicences",
        "List licences by code",
        PUBLISHING,
        _list,
        answer=LicencePage,
        paged=True,
    ),
    Action(
        _TAG,
        "POST",
        "/licences",
        "addLicence",
        "Add a licence with its first text",
        PUBLISHING,
        _add,
        status=201,
        answer=LicenceText,
        body=NewLicence,
        conflicts=True,
        body_bytes_max=TEXT_BYTES_MAX,
    ),
    Action(
        _TAG,
        "GET",
        _ONE,
        "showLicence",
        "Show the newest text of a licence",
        PUBLISHING,
        _show,
        answer=LicenceText,
    ),
    Action(
        _TAG,
        "POST",
        _REVISIONS,
        "reviseLicence",
        "Publish a new text; everyone has to accept it anew",
        PUBLISHING,
        _revise,
        status=201,
        answer=LicenceText,
        body=NewRevision,
        conflicts=True,
        body_bytes_max=TEXT_BYTES_MAX,
    ),
    Action(
        _TAG,
        "GET",
        f"{_REVISIONS}/{{revision:str}}",
        "showLicenceRevision",
        "Show one text of a licence",
        PUBLISHING,
        _show,
        answer=LicenceText,
    ),
)
