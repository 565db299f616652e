"""`signins`: what 200 tries a second to sign in do to those who only look on."""

import asyncio
import time
from collections import Counter
from urllib.parse import urlsplit

import msgspec

from loadtest.bench_screens import CLICKERS, LATE_SECONDS, VIEWERS, Wall, click, give_back, viewer
from loadtest.bench_site import Site, opened
from loadtest.client import Client
from loadtest.figures import Rounds, percentile
from loadtest.machine import busy
from seatmap.plan.demo import theatre

TRIES_PER_S, GUESSERS = 200, 16
ADDRESSES = 3  # that the guessers come from, as a proxy says
SECONDS, ROUNDS = 5.0, 5
ANSWER_SECONDS = 30.0
WARM_TIMES = 30


class Guesser:
    """A kept-alive connection that tries passwords."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self._reader, self._writer, self._host = reader, writer, host

    @classmethod
    async def connect(cls, url: str) -> "Guesser":
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port), parts.netloc)

    async def guess(self, number: int) -> int:
        """The status that a wrong password is answered with."""
        body = msgspec.json.encode({"email": f"{number}@example.org", "password": "a wrong password"})
        self._writer.write(
            f"POST /api/account/sign-in HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(body)}\r\n"
            f"X-Forwarded-For: 192.0.2.{number % ADDRESSES}\r\n\r\n".encode()
            + body
        )
        async with asyncio.timeout(ANSWER_SECONDS):
            head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await self._reader.readexactly(length)
        return int(head[9:12])

    def close(self) -> None:
        self._writer.close()


async def signins(site: Site, rounds: Rounds) -> None:
    """Rounds by turns without and with the guessers, before 200 viewers of a theatre and 50 holds a second."""
    async with opened(site, theatre()) as event_id:
        wall = Wall()
        pages = [await viewer(site, event_id, wall) for _ in range(VIEWERS)]
        clickers = [await Client.connect(site.url, event_id) for _ in range(CLICKERS)]
        await click(clickers, 1.0)
        for _ in range(ROUNDS):
            without = await _round(site, rounds, wall, clickers, [], "without")
            guessers = [await Guesser.connect(site.url) for _ in range(GUESSERS)]
            await _use_up(guessers)
            guessed = await _round(site, rounds, wall, clickers, guessers, "with")
            for guesser in guessers:
                guesser.close()
            rounds.add("p99_with_to_without", guessed / without, "×", "≤ 1.2 ×")
        for client in [*pages, *clickers]:
            client.close()


async def _use_up(guessers: list[Guesser]) -> None:
    """Try until nearly all tries are refused: the first of each address are let through."""
    for _ in range(WARM_TIMES):
        answers = await _guess(guessers, 1.0)
        if answers[429] > 0.9 * answers.total():
            return
    raise SystemExit(f"Tries to sign in are not throttled: {dict(answers)}.")


async def _round(
    site: Site, rounds: Rounds, wall: Wall, clickers: list[Client], guessers: list[Guesser], name: str
) -> float:
    """The p99 from a click to the screens, in ms."""
    await give_back(clickers)
    wall.clear()
    before, own, all_before, began = site.cpu(), time.process_time(), busy(), time.perf_counter()
    clicked, answers = await asyncio.gather(click(clickers, SECONDS), _guess(guessers, SECONDS))
    seconds, after = time.perf_counter() - began, site.cpu()
    ours = sum(after.values()) - sum(before.values()) + time.process_time() - own
    await asyncio.sleep(LATE_SECONDS)
    delays, missed = wall.delays(clicked)
    rounds.add(f"{name}_others_busy", (busy() - all_before - ours) / seconds * 100, "% of a core", "0")
    rounds.spread(f"{name}_click_to_screen", delays, "ms")
    rounds.add(f"{name}_missed", missed, "screens")
    rounds.add(f"{name}_web_busy", (after["web"] - before["web"]) / seconds * 100, "% of a core")
    if guessers:
        rounds.add("tries_per_s", answers.total() / seconds, "1/s", f"{TRIES_PER_S}/s")
        for status, count in sorted(answers.items()):
            rounds.add(f"answered_{status}", count / answers.total() * 100, "%")
    return percentile(delays, 99)


async def _guess(guessers: list[Guesser], seconds: float) -> Counter[int]:
    """Status → answers, at a steady pace as far as the answers let it."""
    answers: Counter[int] = Counter()
    began = time.perf_counter()
    total = int(seconds * TRIES_PER_S)

    async def one(place: int, guesser: Guesser) -> None:
        for number in range(place, total, len(guessers)):
            await asyncio.sleep(max(0.0, began + number / TRIES_PER_S - time.perf_counter()))
            answers[await guesser.guess(number)] += 1

    await asyncio.gather(*(one(place, guesser) for place, guesser in enumerate(guessers)))
    return answers
