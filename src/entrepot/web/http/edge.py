"""What every door needs of the hub: transactions on worker threads, and who the caller is."""

import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from entrepot.assembly import Hub
from entrepot.blobs import ReserveState
from entrepot.core.accounts import (
    TOKENS_KEPT,
    Keyring,
    Principal,
    find_personal_token,
    is_personal_token,
    load_keyring,
    note_use,
    principal_of,
    verify_token,
)
from entrepot.db import Tx
from entrepot.errors import EntrepotError, StorageFull, Unauthenticated
from entrepot.kit.addresses import neighbourhood
from entrepot.web.http.callers import Caller, address_of
from entrepot.web.http.denials import note_caller
from entrepot.web.http.rates import Rates, ticket
from entrepot.web.http.threads import Threads
from entrepot.web.http.writing import SharedWrites

T = TypeVar("T")

THREADS = 12
TOKENS_CACHED_MAX = 10_000
_log = logging.getLogger(__name__)
# A disabled account is shut out within this time, in every process.
TOKEN_RECHECK_SECONDS = 5.0


class Edge:
    """One per process: the hub, its worker threads and the tokens seen lately."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._threads = Threads(THREADS, name="entrepot-verb")
        self._shared_writes = SharedWrites(lambda: self.hub.database, self._threads)
        self._known: OrderedDict[bytes, tuple[float, float, Principal]] = OrderedDict()
        self._rates = Rates(hub.policy.requests_per_minute, hub.policy.requests_burst)

    async def run(self, verb: Callable[[], T]) -> T:
        """Run a blocking call on a worker thread, with this request's context."""
        return await self._threads.run(verb)

    async def read(self, verb: Callable[[Tx], T]) -> T:
        """Run a verb in a transaction that only reads."""

        def call() -> T:
            with self.hub.database.read() as tx:
                return verb(tx)

        return await self.run(call)

    async def glance(self, verb: Callable[[Tx], T]) -> T:
        """Run a verb that reads and needs no snapshot beyond each statement's own."""

        def call() -> T:
            with self.hub.database.glance() as tx:
                return verb(tx)

        return await self.run(call)

    async def write(self, verb: Callable[[Tx], T]) -> T:
        """Run a verb in a transaction that may write, and commit it.

        Where the database's disk is full, the reserve beside it is given up and the verb run
        once more: links and the log go on while uploads have stopped (DECISIONS: disk full).
        """
        try:
            return await self._commit(verb)
        except StorageFull:
            if not await self.run(self._give_up_reserve):
                raise
            return await self._commit(verb)

    def _give_up_reserve(self) -> bool:
        reserve = self.hub.reserve
        held = reserve.state() is ReserveState.HELD
        if held:
            reserve.release()
            _log.error("disk full: the reserve is given up, free some space")
        return held

    async def _commit(self, verb: Callable[[Tx], T]) -> T:
        if self.hub.database.dialect == "sqlite":
            return await self._shared_writes.write(verb)

        def call() -> T:
            with self.hub.database.write() as tx:
                return verb(tx)

        return await self.run(call)

    async def authenticate(self, caller: Caller) -> Principal:
        """The principal of the request's bearer token (RFC 6750); Unauthenticated otherwise.

        A token seen within the last 5 s costs a dictionary look-up. Tokens that begin with
        `ept_` are personal access tokens, good from some addresses only. TooMany: the
        principal, or for a token that is no good the address, asks too often.
        """
        token = caller.bearer_token()
        if token is None:
            self.charge_address()
            raise Unauthenticated(
                "This needs an access token.",
                code="token-missing",
                remedy="Send the header `Authorization: Bearer <token>`.",
            )
        personal = is_personal_token(token)
        key = hashlib.sha256(token.encode()).digest() + caller.country.encode()
        if personal:
            key += caller.address.encode()
        known = self._known.get(key)
        moment = time.monotonic()
        if known is not None and moment < known[0] and self.hub.now().timestamp() < known[1]:
            self.charge(known[2])
            return known[2]
        try:
            if personal:
                who, expires = await self._look_up_personal(token, caller)
            else:
                who, expires = await self.run(
                    lambda: self._look_up(token, caller.country or None, self.hub.now())
                )
        except Unauthenticated:
            self.charge_address()
            raise
        self._known[key] = (moment + TOKEN_RECHECK_SECONDS, expires, who)
        self._known.move_to_end(key)
        if len(self._known) > TOKENS_CACHED_MAX:
            self._known.popitem(last=False)
        self.charge(who)
        return who

    def look_again(self, caller: Caller, began: datetime) -> Principal:
        """`authenticate` for a caller whom it let in at `began`, on a worker thread, unremembered.

        For files that take their time: before anything is made of one, whoever sent it must still
        be let in. That a token's time was over meanwhile is no fault, for as long as what would
        have ended it is known: a large file takes longer than a token lives. So it is with a key
        that retired meanwhile. Unauthenticated otherwise.
        """
        as_of = max(began, self.hub.now() - TOKENS_KEPT)
        token, country = caller.bearer_token() or "", caller.country or None
        if not is_personal_token(token):
            with self.hub.database.glance() as tx:
                keyring = load_keyring(tx, self.hub.keys.box, now=as_of)
            return self._look_up(token, country, as_of, keyring)[0]
        with self.hub.database.glance() as tx:
            found = find_personal_token(
                tx, token, address=caller.address, country=country, now=as_of
            )
        return found.who

    def charge(self, who: Principal) -> None:
        """Count the request at hand for `who`, unless it is counted already; TooMany."""
        note_caller(who)
        self._rates.charge(who.label)

    def charge_address(self) -> None:
        """Count the request at hand for the address that it comes from, as `charge` does."""
        one = ticket.get()
        if one is not None and self._rates.on:
            address = address_of(one.scope, self.hub.policy)
            self._rates.charge(neighbourhood(address))

    async def _look_up_personal(self, token: str, caller: Caller) -> tuple[Principal, float]:
        now = self.hub.now()
        known = await self.glance(
            lambda tx: find_personal_token(
                tx, token, address=caller.address, country=caller.country or None, now=now
            )
        )
        if known.use_is_news:
            try:
                await self.write(lambda tx: note_use(tx, known.id, now=now))
            except EntrepotError as error:
                # A full disk must not keep anybody out.
                _log.warning("use of a token not noted", extra={"reason": error.message})
        return known.who, known.expires_at.timestamp()

    def _look_up(
        self, token: str, country: str | None, now: datetime, keyring: Keyring | None = None
    ) -> tuple[Principal, float]:
        hub = self.hub
        issuer = hub.policy.public_url
        claims = verify_token(keyring or hub.keys.current, token, issuer=issuer, now=now)
        if claims is None:
            # Signed by a key this process has not seen yet, or by nobody of ours.
            refreshed = hub.keys.refresh_for_unknown()
            claims = verify_token(refreshed, token, issuer=issuer, now=now)
        if claims is None:
            raise Unauthenticated(
                "The access token is not valid.",
                code="token-invalid",
                remedy="Get a new token from this hub, for example on its token page.",
            )
        if country is not None:
            claims["ip_country"] = country
        with hub.database.read() as tx:
            return principal_of(tx, claims), float(claims["exp"])

    def forget_tokens(self) -> None:
        """Look every token up again on its next use."""
        self._known.clear()

    def close(self) -> None:
        """Let running verbs finish and end the threads."""
        self._threads.close()
