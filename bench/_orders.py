"""A customer of the orders API on one keep-alive connection."""

import http.client
from typing import Any

import msgspec

from bench._world import Customer


class OrdersClient:
    """Every answer is read to its end and checked for its status."""

    def __init__(self, port: int, customer: Customer) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {**customer.headers, "Content-Type": "application/json"}

    def place(self, pool: str, order: dict[str, Any] | None = None) -> dict[str, Any]:
        """An order of a selection, as it is answered."""
        told = {"order": order or {}, "target_selection": {"selectionPool": pool}}
        kind = {"download_order_type": "Custom"} if order else {}
        return self._ask("POST", "/api/downloadorders", msgspec.json.encode(told | kind), 201)

    def get(self, path: str) -> dict[str, Any]:
        """What is there now."""
        return self._ask("GET", path, None, 200)

    def _ask(self, method: str, path: str, body: bytes | None, status: int) -> dict[str, Any]:
        self._connection.request(method, path, body, self._headers)
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status != status:
            raise RuntimeError(f"{answer.status}: {data[:500]!r}")
        decoded: dict[str, Any] = msgspec.json.decode(data)
        return decoded
