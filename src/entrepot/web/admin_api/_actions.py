"""What an operation of this door is: who may do it, what it takes, and the verb behind it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from litestar.openapi.spec import Parameter, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from entrepot.core.accounts import OPERATOR, PUBLISHER, Principal
from entrepot.db import Tx
from entrepot.web.admin_api._query import Slice
from entrepot.web.admin_api._wire import Wire

Method: TypeAlias = Literal["GET", "POST", "PATCH", "PUT", "DELETE"]
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Allowed:
    """The caller needs one of the roles, and a token with the scope."""

    roles: tuple[str, ...]
    scope: str


PUBLISHING = Allowed((PUBLISHER, OPERATOR), "publish")
ADMINISTERING = Allowed((OPERATOR,), "admin")


@dataclass(frozen=True, slots=True)
class Call(Generic[B]):
    """One request, checked: `ids` are the path's parameters, `rows` what a list is asked for."""

    who: Principal
    now: datetime
    ids: Mapping[str, str]
    query: Mapping[str, str]
    rows: Slice
    body: B

    @property
    def actor(self) -> str:
        """The caller as the log has it."""
        return self.who.label


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a verb gives: a body, where the new thing is (below the API's root), and what is
    still to do once the transaction has been committed."""

    item: Wire | None = None
    location: str = ""
    afterwards: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Action(Generic[B]):
    """One operation. A verb runs in one transaction on a worker thread; GET only reads.

    `beforehand` is slow work on the body, done on a worker thread before the transaction.
    """

    tag: str
    method: Method
    path: str
    operation_id: str
    summary: str
    allowed: Allowed
    verb: Callable[[Tx, Call[B]], Outcome]
    status: int = 200
    answer: type[Wire] | None = None
    body: type[B] | None = None
    body_required: bool = True
    beforehand: Callable[[B], B] | None = None
    filters: tuple[Parameter, ...] = ()
    paged: bool = False
    conflicts: bool = False
    body_bytes_max: int | None = None  # None: the operator's limit
    description: str = ""


AnyAction: TypeAlias = Action[Any]
ANY_TEXT = Schema(type=OpenAPIType.STRING)


def query_parameter(
    name: str, description: str, *, required: bool = False, schema: Schema | None = None
) -> Parameter:
    """A text in the query."""
    return Parameter(
        name=name,
        param_in="query",
        description=description,
        required=required,
        schema=schema or Schema(type=OpenAPIType.STRING, min_length=1, max_length=200),
    )


OF_ORGANISATION = query_parameter("organisation", "Only of this one: number or name.")
OF_ARTIFACT = query_parameter(
    "artifact",
    "Only of this file: its UUID.",
    schema=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.UUID),
)
