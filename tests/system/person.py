"""A person at the hub's pages, who signs in, consents and types the codes of devices."""

import httpx

from tests.doors.portal import Document
from tests.system.hubs import Hub


class Person:
    """One of the sandbox's people, at a browser of their own."""

    def __init__(self, hub: Hub, email: str) -> None:
        self.http = httpx.Client(base_url=hub.url, trust_env=False, headers={"origin": hub.url})
        self.user = hub.user(email)

    def open(self, address: str, fields: dict[str, str] | None = None) -> httpx.Response:
        """A page of the hub, or the redirect that leads away from it."""
        answer = self.http.request("GET" if fields is None else "POST", address, data=fields)
        while answer.status_code == 303:
            where = str(answer.headers["location"])
            if where.startswith("http") and not where.startswith(str(self.http.base_url)):
                return answer
            answer = self.http.get(where)
        assert answer.status_code == 200, answer.text
        return answer

    def submit(self, page: httpx.Response, action: str, **fields: str) -> httpx.Response:
        form = next(one for one in Document(page.text).forms if one.action.startswith(action))
        return self.open(form.action, form.fields | fields)

    def sign_in(self, page: httpx.Response) -> httpx.Response:
        if page.status_code == 303 or 'action="/sign-in"' not in page.text:
            return page
        email, password = self.user["email"], self.user["password"]
        return self.submit(page, "/sign-in", email=email, password=password)

    def authorize(self, address: str) -> str:
        """Where the program is called back."""
        page = self.sign_in(self.open(address))
        if page.status_code != 303:
            page = self.submit(page, "/oauth/authorize", decision="allow")
        back = str(page.headers["location"])
        assert not back.startswith(str(self.http.base_url))
        return back

    def decide(self, code: str) -> None:
        """Type a device's code, and allow what it asks for."""
        page = self.sign_in(self.open("/device"))
        asked = self.submit(page, "/device", user_code=code)
        assert "is signed in" in self.submit(asked, "/device", decision="allow").text
