"""`seatmap simulate`: many buyers fight for one seat through the public interface; the winner books it."""

import asyncio
import difflib
import resource
import secrets
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from statistics import median, quantiles
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener
from uuid import UUID

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from seatmap.config import Settings
from seatmap.errors import Refused, Unavailable
from seatmap.ledger import audit
from seatmap.ledger.pool import open_pool

HANDSHAKES_AT_ONCE = 32
CONNECT_SECONDS = 60.0  # for everybody together
ANSWER_SECONDS = 15.0
BOOK_SECONDS = 30.0
RETRY_SECONDS = 0.25


class Result(Struct, frozen=True, kw_only=True):
    """What came of it. Milliseconds count from the moment at which all asked."""

    users: int
    seat: int
    label: str
    seat_before: str  # the seat's status before anybody asked
    winners: int
    refused: dict[str, int]  # by code
    unanswered: int
    booked: int  # winners whose order was acknowledged
    book_problem: str  # why a winner could not book, empty if it could
    active_bookings: int  # of the seat, in Postgres, afterwards
    connected_ms: float
    median_ms: float
    p99_ms: float
    last_ms: float


class Wanted(Struct, frozen=True, kw_only=True):
    """A seat as the site tells it. `price` is in minor units."""

    index: int
    label: str
    price: int
    status: str


class _Buyer:
    """One visitor with a websocket of their own. `answered` is a time of `time.perf_counter`."""

    def __init__(self, address: str, number: int) -> None:
        self.answer: dict[str, Any] | None = None
        self.answered = 0.0
        self.booked = False
        self.problem = ""
        self._address = address
        self._number = number
        self._cookie = ""
        self._socket: ClientConnection | None = None

    async def connect(self) -> None:
        """Open the websocket and wait for the hello."""
        headers = {"cookie": self._cookie} if self._cookie else None
        self._socket = await connect(
            self._address,
            additional_headers=headers,
            compression=None,
            proxy=None,
            ping_interval=None,
            close_timeout=1,
        )
        if self._socket.response is not None and not self._cookie:
            self._cookie = self._socket.response.headers.get("set-cookie", "").partition(";")[0]
        await self._until("type", "hello")

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()

    async def want(self, seat: int) -> None:
        """Ask for the seat and wait for the answer."""
        self.answer = await self._ask({"type": "hold", "id": "want", "seats": [seat]})
        self.answered = time.perf_counter()

    @property
    def won(self) -> bool:
        return self.answer is not None and "mine" in self.answer

    async def book(self, total: int) -> None:
        """Buy the hold; with the same order id again until there is an answer."""
        assert self.answer is not None
        order = {
            "type": "book",
            "id": "book",
            "order_id": str(uuid7()),
            "hold_id": self.answer["mine"]["hold_id"],
            "seats": self.answer["mine"]["seats"],
            "total": total,
            "name": f"Buyer {self._number}",
            "email": f"buyer{self._number}@example.org",
        }
        self.problem = "the answer to the order did not come"
        with suppress(TimeoutError):
            async with asyncio.timeout(BOOK_SECONDS):
                while True:
                    if await self._try(order):
                        return
                    await asyncio.sleep(RETRY_SECONDS)

    async def _try(self, order: dict[str, Any]) -> bool:
        """Whether the order has an answer that will not change."""
        try:
            reply = await self._ask(order)
        except (OSError, WebSocketException):
            with suppress(OSError, WebSocketException):
                await self.connect()
            return False
        error = reply.get("error")
        self.booked = error is None
        self.problem = "" if error is None else error["detail"]
        return error is None or not error["temporary"]

    async def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._socket is not None
        await self._socket.send(msgspec.json.encode(command).decode())
        return await self._until("id", command["id"])

    async def _until(self, key: str, value: str) -> dict[str, Any]:
        assert self._socket is not None
        while True:
            message = await self._socket.recv()
            if isinstance(message, str):
                found: dict[str, Any] = msgspec.json.decode(message)
                if found.get(key) == value:
                    return found


async def simulate(
    settings: Settings, event_id: int, seat: str, *, users: int, url: str = "", progress: bool = False
) -> Result:
    """Let `users` buyers ask for one seat at the same moment, and whoever gets it book it.

    `seat` is an index or a label; `url` the site, empty for the one that runs on the data folder. Raises
    Refused for an unknown event or seat, Unavailable where the site or Postgres does not answer.
    """
    url = url.rstrip("/") or address(settings)
    wanted = await find_seat(url, event_id, seat)
    _allow_open_files(users)
    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), disable=not progress)
    async with AsyncExitStack() as stack:
        pool = await open_pool(settings, size=1)
        stack.push_async_callback(pool.close)
        stack.enter_context(bar)
        buyers = [_Buyer(_socket_address(url, event_id), number) for number in range(1, users + 1)]
        stack.push_async_callback(_close, buyers)
        began = time.perf_counter()
        await _connect(buyers, _step(bar, "Connecting", users))
        connected_ms = (time.perf_counter() - began) * 1000
        shot = await _fight(buyers, wanted, _step(bar, "Answered", users))
        winners = [buyer for buyer in buyers if buyer.won]
        await asyncio.gather(*(buyer.book(wanted.price) for buyer in winners))
        active = await audit.active_bookings(pool, event_id, wanted.index)
    return _result(buyers, wanted, shot, connected_ms, active)


def _step(bar: Progress, title: str, total: int) -> Callable[[], None]:
    task = bar.add_task(title, total=total)
    return lambda: bar.advance(task)


async def _connect(buyers: list[_Buyer], done: Callable[[], None]) -> None:
    """Everybody on their websocket, a few handshakes at a time."""
    slots = asyncio.Semaphore(HANDSHAKES_AT_ONCE)

    failures: list[Exception] = []

    async def one(buyer: _Buyer) -> None:
        async with slots:
            try:
                await buyer.connect()
                done()
            except (OSError, WebSocketException) as error:
                failures.append(error)

    with suppress(TimeoutError):
        async with asyncio.timeout(CONNECT_SECONDS):
            await asyncio.gather(*(one(buyer) for buyer in buyers))
            if not failures:
                return
    why = f": {failures[0]}" if failures else f" within {CONNECT_SECONDS:g} s"
    raise Unavailable(f"Not all {len(buyers)} users could connect{why}.")


async def _fight(buyers: list[_Buyer], wanted: Wanted, done: Callable[[], None]) -> float:
    """Everybody asks at once; answers when that was. Who gets no answer in time is left without one."""
    start = asyncio.Event()

    async def one(buyer: _Buyer) -> None:
        await start.wait()
        with suppress(TimeoutError, OSError, WebSocketException):
            async with asyncio.timeout(ANSWER_SECONDS):
                await buyer.want(wanted.index)
                done()

    tasks = [asyncio.create_task(one(buyer)) for buyer in buyers]
    await asyncio.sleep(0.1)  # what the handshakes left to do is not part of the race
    shot = time.perf_counter()
    start.set()
    await asyncio.gather(*tasks)
    return shot


async def _close(buyers: list[_Buyer]) -> None:
    await asyncio.gather(*(buyer.close() for buyer in buyers), return_exceptions=True)


def _result(buyers: list[_Buyer], wanted: Wanted, shot: float, connected_ms: float, active: int) -> Result:
    winners = [buyer for buyer in buyers if buyer.won]
    answers = [buyer.answer for buyer in buyers if buyer.answer is not None]
    waits = sorted((buyer.answered - shot) * 1000 for buyer in buyers if buyer.answer is not None) or [0.0]
    return Result(
        users=len(buyers),
        seat=wanted.index,
        label=wanted.label,
        seat_before=wanted.status,
        winners=len(winners),
        refused=dict(Counter(answer["error"]["code"] for answer in answers if "error" in answer)),
        unanswered=len(buyers) - len(answers),
        booked=sum(buyer.booked for buyer in winners),
        book_problem=next((buyer.problem for buyer in winners if buyer.problem), ""),
        active_bookings=active,
        connected_ms=round(connected_ms, 1),
        median_ms=round(median(waits), 2),
        p99_ms=round(quantiles(waits, n=100, method="inclusive")[98] if len(waits) > 1 else waits[0], 2),
        last_ms=round(waits[-1], 2),
    )


def report(result: Result, console: Console) -> None:
    """Say what came of it, in words."""
    console.print(f"{result.users} users wanted {result.label} (seat {result.seat}) at once.", markup=False)
    if result.seat_before != "available":
        console.print(f"It was {result.seat_before} already, so nobody could have it.", style="yellow")
    table = Table("What they were told", "Users")
    table.add_row("[green]yours[/]", str(result.winners))
    for code, count in sorted(result.refused.items()):
        table.add_row(code, str(count))
    if result.unanswered:
        table.add_row("[red]nothing[/]", str(result.unanswered))
    console.print(table)
    console.print(
        f"Answered after {result.median_ms:g} ms (median), {result.p99_ms:g} ms (p99), "
        f"{result.last_ms:g} ms (the last)."
    )
    if result.booked:
        console.print("The winner booked it.")
    if result.book_problem:
        console.print(f"A winner could not book: {result.book_problem}", style="red", markup=False)
    sold = f"Active bookings of the seat in Postgres: {result.active_bookings}."
    console.print(sold, style="bold green" if result.active_bookings <= 1 else "bold red")


async def find_seat(url: str, event_id: int, seat: str) -> Wanted:
    """The seat that a person means by an index or a label. Refused for an unknown event or seat."""
    seats: list[dict[str, Any]] = (await asyncio.to_thread(_get, f"{url}/api/events/{event_id}/seats"))[
        "seats"
    ]
    labels = {found["label"].casefold(): found for found in seats}
    name = " ".join(seat.split()).casefold()
    if name.isascii() and name.isdigit():
        if int(name) >= len(seats):
            raise Refused("seat_out_of_range", f"The seats of event {event_id} are 0 to {len(seats) - 1}.")
        found = seats[int(name)]
    elif name in labels:
        found = labels[name]
    else:
        near = difflib.get_close_matches(name, labels, n=3, cutoff=0.4)
        meant = " or ".join(f"“{labels[label]['label']}”" for label in near)
        hint = f" Did you mean {meant}?" if meant else f" A seat is called like “{seats[0]['label']}”."
        raise Refused("seat_out_of_range", f"Event {event_id} has no seat “{seat}”.{hint}")
    return msgspec.convert(found, Wanted)


def _get(address: str) -> Any:
    """What a GET answers, from JSON. Raises Refused with the site's own words, or Unavailable."""
    try:
        # Without the environment's proxies, which know nothing of a site on this machine.
        with build_opener(ProxyHandler({})).open(address, timeout=ANSWER_SECONDS) as response:
            return msgspec.json.decode(response.read())
    except HTTPError as error:
        with suppress(msgspec.DecodeError, KeyError, TypeError):
            problem = msgspec.json.decode(error.read())
            if problem["code"] == "event_not_found":
                raise Refused("event_not_found", problem["detail"]) from None
        raise Unavailable(f"{address} answered with {error.code} {error.reason}.") from None
    except (OSError, ValueError) as error:
        raise Unavailable(f"{address} does not answer as a Seatmap would: {error}.") from None


def address(settings: Settings) -> str:
    """The site of the `up` that runs on the data folder, else the one that the settings name."""
    with suppress(OSError, msgspec.DecodeError, KeyError):
        return str(msgspec.json.decode((settings.data / "up.json").read_bytes())["url"])
    return f"http://{settings.host}:{settings.port}"


def uuid7() -> UUID:
    """A new UUID that sorts by time (RFC 9562 §5.7)."""
    stamp = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    return UUID(int=stamp & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)


def _socket_address(url: str, event_id: int) -> str:
    parts = urlsplit(url)
    return f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}{parts.path}/ws/events/{event_id}"


def _allow_open_files(users: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = users + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
