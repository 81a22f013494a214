"""A person at the portal's pages, as far as a browser's plain forms go.

The demonstration accepts a licence with it where a person would click. It reads the pages as
they are served: forms, their hidden fields, cookies, redirects, the Origin header.
"""

import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from urllib.parse import urlencode, urljoin, urlsplit

from entrepot.daemon.demo.failure import DemoFailure

PAGE_BYTES_MAX = 4 * 2**20
SECONDS_MAX = 15


@dataclass(slots=True)
class Form:
    """A form: where it goes, what it would send untouched, and the words in it."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    text: str = ""

    def holds(self, kind: str) -> str | None:
        """The name of the first field of this type."""
        return next((name for name, other in self.kinds.items() if other == kind), None)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Form] = []
        self._open: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(given.get("action", ""), given.get("method", "get").lower())
            self.found.append(self._open)
        elif self._open is not None and tag == "input" and given.get("name"):
            self._open.fields[given["name"]] = given.get("value", "")
            self._open.kinds[given["name"]] = given.get("type", "text")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self._open.text += data


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it came: its final address, status, text and forms."""

    url: str
    status: int
    text: str

    def form(self, wanted: Callable[[Form], bool]) -> Form | None:
        """The first form that `wanted` likes."""
        parser = _Forms()
        parser.feed(self.text)
        return next((form for form in parser.found if wanted(form)), None)


class Visitor:
    """Cookies are kept between pages, redirects are followed."""

    def __init__(self) -> None:
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())
        )

    def open(self, url: str, data: dict[str, str] | None = None) -> Page:
        """GET a page, or POST a form to it. DemoFailure: nobody answers there."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise DemoFailure(f"{url!r} is no page.")
        headers = {"Accept": "text/html", "User-Agent": "entrepot-demo"}
        if data is not None:
            headers["Origin"] = f"{parts.scheme}://{parts.netloc}"
        body = None if data is None else urlencode(data).encode()
        request = urllib.request.Request(url, body, headers)  # noqa: S310 - http, see above
        try:
            with self._opener.open(request, timeout=SECONDS_MAX) as answer:
                text = answer.read(PAGE_BYTES_MAX).decode(errors="replace")
                return Page(answer.geturl(), answer.status, text)
        except urllib.error.HTTPError as refusal:
            with refusal:
                text = refusal.read(PAGE_BYTES_MAX).decode(errors="replace")
                return Page(refusal.geturl() or url, refusal.code, text)
        except OSError as error:
            raise DemoFailure(f"{url} cannot be opened: {error}.") from error

    def submit(self, page: Page, form: Form, **typed: str) -> Page:
        """Send a form (method POST) with its hidden fields and what was typed in."""
        return self.open(urljoin(page.url, form.action or page.url), form.fields | typed)


def sign_in(visitor: Visitor, url: str, email: str, password: str) -> Page:
    """Open a page that asks for a sign-in first. DemoFailure: it does not let us in."""
    page = visitor.open(url)
    form = page.form(_asks_for_password)
    if form is None:
        return page
    secret = form.holds("password")
    name = form.holds("email") or form.holds("text")
    assert secret is not None
    if name is None:
        raise DemoFailure(f"{page.url} asks for a password only.")
    landed = visitor.submit(page, form, **{name: email, secret: password})
    if landed.form(_asks_for_password) is not None:
        raise DemoFailure(f"{page.url} refuses {email}.")
    return landed if landed.url == url else visitor.open(url)


def accept_licence(url: str, email: str, password: str) -> Page:
    """Sign in at the licence's page and accept it for oneself; the page that follows.

    DemoFailure where the page has no such form, or refuses.
    """
    visitor = Visitor()
    page = sign_in(visitor, url, email, password)
    form = page.form(_accepts)
    if form is None:
        raise DemoFailure(f"{page.url} ({page.status}) offers no way to accept.")
    done = visitor.submit(page, form)
    if done.status >= 400:
        raise DemoFailure(f"{url} refuses the acceptance ({done.status}).")
    return done


def _asks_for_password(form: Form) -> bool:
    return form.holds("password") is not None


def _accepts(form: Form) -> bool:
    return form.method == "post" and "accept" in f"{form.action} {form.text}".lower()
