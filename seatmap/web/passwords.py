"""Passwords: which may be chosen, and their hashes, made where they do not hold up the loop."""

import asyncio
import string
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from seatmap.errors import Refused

LENGTH_MIN, LENGTH_MAX = 10, 256
THREADS = 2
WAITING_MAX = 20  # more would wait longer than people do, and hold 19 MiB each when their turn comes

T = TypeVar("T")

# The 30,000 that people chose most, and more of their kind that are as long as is asked for.
COMMON = frozenset(FREQUENCY_LISTS["passwords"]) | frozenset(
    files(__package__).joinpath("common_passwords.txt").read_text().split()
)
AROUND = string.digits + string.punctuation + " "  # what people put before and behind such a word
AROUND_MAX = 6  # characters on each side; more of them are a secret of their own
STEM_MIN = 4

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def check_password(password: str, email: str) -> None:
    """Refuses with password_refused what is short, endless or what anybody would try first."""
    count = len(_normal(password))
    if not LENGTH_MIN <= count <= LENGTH_MAX:
        raise Refused(
            "password_refused", f"A password has {LENGTH_MIN} to {LENGTH_MAX} characters; this one {count}."
        )
    plain = _normal(password).casefold()
    owned = {email.casefold(), email.partition("@")[0].casefold()}
    if _is_common(plain) or plain in owned or len(set(plain)) < 3:
        raise Refused("password_refused")


def _is_common(plain: str) -> bool:
    """Whether it is one that people choose, or such a word with a year or an exclamation mark."""
    if plain in COMMON:
        return True
    before = min(AROUND_MAX, len(plain) - len(plain.lstrip(AROUND)))
    behind = min(AROUND_MAX, len(plain) - len(plain.rstrip(AROUND)))
    stems = (plain[i : len(plain) - j] for i in range(before + 1) for j in range(behind + 1))
    return any(len(stem) >= STEM_MIN and not stem.isdigit() and stem in COMMON for stem in stems)


def hash_password(password: str) -> str:
    """The hash to keep. Takes about 40 ms of one core and 19 MiB."""
    return _hasher.hash(_normal(password))


def _fits(known: str, password: str) -> bool:
    try:
        return _hasher.verify(known, _normal(password))
    except (VerificationError, InvalidHashError):
        return False


def _normal(password: str) -> str:
    """The same characters, however the keyboard composed them."""
    return unicodedata.normalize("NFKC", password)


class Passwords:
    """Hashes in few threads, with few waiting: whoever comes later is refused instead of slowing the site."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._waiting = 0
        self._nobodys = hash_password("nobody's password")

    def close(self) -> None:
        """Start no further work."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """The hash to keep. Refuses with too_many_attempts when there is too much to do."""
        return await self._run(lambda: hash_password(password))

    async def fits(self, known: str, password: str) -> bool:
        """Whether `password` is that of the hash `known`; an empty one takes as long, and fits nothing."""
        fits = await self._run(lambda: _fits(known or self._nobodys, password))
        return fits and bool(known)

    @staticmethod
    def is_worn(known: str) -> bool:
        """Whether the hash was made by weaker rules than today's."""
        return _hasher.check_needs_rehash(known)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING_MAX:
            raise Refused("too_many_attempts", "Too many people sign in at once; try again.", retry_after=1)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1
