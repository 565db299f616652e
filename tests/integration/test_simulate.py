"""Many buyers, one seat, through the public interface of a real web process."""

import asyncio
import io
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest
from rich.console import Console
from running_site import running_site

from seatmap import demo
from seatmap.config import Settings
from seatmap.errors import Refused, Unavailable
from seatmap.simulate import Result, address, report, simulate, uuid7
from seatmap.verify import verify

STUDIO = 2


@pytest.fixture
async def url(settings: Settings) -> AsyncIterator[str]:
    await demo.make(settings)
    async with running_site(settings) as url:
        yield url


def said(result: Result) -> str:
    console = Console(file=io.StringIO(), width=100)
    report(result, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


async def test_one_wins_and_all_others_are_told_why(settings: Settings, url: str) -> None:
    result = await simulate(settings, STUDIO, "row b, seat 3", users=30, url=url)
    assert (result.label, result.seat, result.seat_before) == ("row B, seat 3", 12, "available")
    assert (result.winners, result.refused, result.unanswered) == (1, {"seat_taken": 29}, 0)
    assert (result.booked, result.active_bookings) == (1, 1)
    assert 0 < result.median_ms <= result.p99_ms <= result.last_ms
    assert "row B, seat 3" in said(result)
    assert await verify(settings, None) == []


async def test_a_seat_that_is_gone_is_gone(settings: Settings, url: str) -> None:
    assert (await simulate(settings, STUDIO, "7", users=1, url=url)).booked == 1
    async with httpx.AsyncClient(base_url=url) as http, asyncio.timeout(30):
        # Whoever books is told before the map is.
        shown = f"/api/events/{STUDIO}/seats?compact=1"
        while (await http.get(shown)).json()["counts"]["booked"] != 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    result = await simulate(settings, STUDIO, "7", users=5, url=url)
    assert (result.seat_before, result.winners, result.booked) == ("booked", 0, 0)
    assert (result.refused, result.active_bookings) == ({"seat_taken": 5}, 1)
    assert "booked already" in said(result)


@pytest.mark.parametrize(
    ("event", "seat", "code", "words"),
    [
        (STUDIO, "row b, seet 3", "seat_out_of_range", "row B, seat 3"),
        (STUDIO, "?", "seat_out_of_range", "row A, seat 1"),
        (STUDIO, "60", "seat_out_of_range", "0 to 59"),
        (99, "0", "event_not_found", "99"),
    ],
)
async def test_what_does_not_exist_is_said(
    settings: Settings, url: str, event: int, seat: str, code: str, words: str
) -> None:
    with pytest.raises(Refused) as refusal:
        await simulate(settings, event, seat, users=2, url=url)
    assert refusal.value.code == code
    assert words in refusal.value.detail


async def test_a_site_that_is_not_there(settings: Settings) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        await simulate(settings, STUDIO, "0", users=2, url="http://127.0.0.1:9")


def test_the_running_up_is_found(settings: Settings) -> None:
    assert address(settings) == "http://127.0.0.1:0"
    state = settings.data / "up.json"
    state.write_bytes(msgspec.json.encode({"url": "http://127.0.0.1:81"}))
    try:
        assert address(settings) == "http://127.0.0.1:81"
    finally:
        state.unlink()


def test_ids_sort_by_time() -> None:
    made = [uuid7() for _ in range(100)]
    assert {(one.version, one.variant) for one in made} == {(7, "specified in RFC 4122")}
    assert [one.int >> 80 for one in made] == sorted(one.int >> 80 for one in made)
