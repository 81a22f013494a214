"""A browser for tests of the portal: it follows links, fills in forms, keeps cookies."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from httpx import Response
from litestar.testing import TestClient

from entrepot.assembly import Hub
from entrepot.core.accounts import Principal, open_session
from entrepot.web.server import build_app


@dataclass
class Form:
    """A form of a page: where it goes, and what it says as it stands."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


class Document(HTMLParser):
    """A page as far as tests look at it. Every element must be closed in its order."""

    VOID = frozenset({"meta", "link", "img", "input", "br"})

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.areas: dict[str, str] = {}
        self.checked: set[str] = set()
        self.at_fault: set[str] = set()
        self._open: list[str] = []
        self._area: str | None = None
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        assert not [name for name in values if name.startswith("on") or name == "style"]
        self.tags.append(tag)
        if "checked" in values:
            self.checked.add(values["name"])
        if "aria-invalid" in values:
            assert values.get("aria-describedby", "fault") == "fault"
            self.at_fault.add(values["name"])
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "form":
            self.forms.append(Form(values["action"]))
        elif tag == "input" and "name" in values:
            self.forms[-1].fields[values["name"]] = values.get("value", "")
        elif tag == "textarea":
            self._area = values["id"]
            self.areas[self._area] = ""
        elif tag in ("a", "link"):
            self.links.append(values["href"])
        elif tag in ("script", "img"):
            self.links.append(values["src"])
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag == "textarea":
            self._area = None

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._area is not None:
            self.areas[self._area] += data


@dataclass
class Browser:
    """One browser with its cookies; `origin` is what it says of the page a form came from."""

    hub: Hub
    http: TestClient[Any]
    origin: str

    def get(self, path: str) -> Response:
        return self.http.get(path, follow_redirects=False)

    def read(self, path: str, status: int = 200) -> Document:
        answer = self.get(path)
        assert answer.status_code == status, answer.text
        return Document(answer.text)

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Response:
        sent = {"origin": self.origin} | headers
        kept = {name: value for name, value in sent.items() if value}
        return self.http.post(path, data=fields, headers=kept, follow_redirects=False)

    def submit(self, form: Form, **changed: str) -> Response:
        return self.post(form.action, form.fields | changed)

    def form_on(self, path: str, action: str) -> Form:
        """The form of a page that goes to `action`."""
        return next(form for form in self.read(path).forms if form.action.startswith(action))

    def enter(self, who: Principal) -> None:
        """Start a session without the slow password."""
        with self.hub.database.write() as tx:
            token = open_session(tx, who, now=self.hub.now())
        self.http.cookies.set("entrepot", token, domain="127.0.0.1")


@contextlib.contextmanager
def browsing(hub: Hub, origin: str = "http://127.0.0.1:8080") -> Iterator[Browser]:
    """A browser at the portal of `hub`, which is closed at the end."""
    app: Any = build_app(hub)
    with TestClient(app, base_url=origin, raise_server_exceptions=False) as http:
        yield Browser(hub, http, origin)


def location(answer: Response) -> str:
    """Where a redirect leads."""
    assert answer.status_code == 303, answer.text
    where: Any = answer.headers["location"]
    return str(where)
