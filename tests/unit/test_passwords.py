"""Passwords: what may be chosen, how they are hashed, and that only so many are at once."""

import asyncio
from collections.abc import Iterator

import pytest
from argon2 import Type, extract_parameters

from seatmap.errors import Refused
from seatmap.web.passwords import COMMON, Passwords, check_password, hash_password

ADDRESS = "ada.lovelace@example.org"


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords()
    yield made
    made.close()


@pytest.mark.parametrize(
    "password",
    [
        "correct horse",
        "alllowercase",
        "ALLUPPERCASE",
        "8675309424",
        "          x y",
        "päßwörtchen",
        "x1y2" * 16,
        "xyz " * 64,
    ],
)
def test_no_kind_of_character_is_asked_for(password: str) -> None:
    check_password(password, ADDRESS)


@pytest.mark.parametrize(
    "password",
    [
        "",
        "ninechars",
        "xyz " * 64 + "x",
        "Password123",
        "QWERTYUIOP",
        ADDRESS,
        "Ada.Lovelace",
        "ababababababab",
        "Manchester1",
        "iloveyou2024!",
        "!!liverpool23",
        "1234567890",
        "1q2w3e4r5t",
    ],
)
def test_what_is_refused(password: str) -> None:
    with pytest.raises(Refused) as caught:
        check_password(password, ADDRESS)
    assert caught.value.code == "password_refused"
    assert not password or password not in caught.value.detail


def test_the_most_common_ones_are_refused_and_so_they_are_with_something_around_them() -> None:
    """ASVS asks for the 3,000 most common of a length that is taken."""
    words = [word for word in COMMON if len(word) >= 5 and not word.isdigit()]
    assert len(words) > 10_000
    tried = (
        [f"{word:0<10}" for word in words] + [f"{word}2024!" for word in words] + ["1234567890", "0123456789"]
    )
    taken = [word for word in tried if not refused(word)]
    assert taken == []


def refused(password: str) -> bool:
    try:
        check_password(password, ADDRESS)
    except Refused:
        return True
    return False


def test_the_hash_is_as_strong_as_owasp_asks() -> None:
    parameters = extract_parameters(hash_password("correct horse"))
    assert parameters.type is Type.ID
    assert parameters.memory_cost >= 19 * 1024
    assert parameters.time_cost >= 2
    assert parameters.parallelism == 1
    assert parameters.salt_len >= 16


async def test_each_hash_is_another_and_fits_its_password_only(passwords: Passwords) -> None:
    one, other = await passwords.hash("correct horse"), await passwords.hash("correct horse")
    assert one != other
    assert await passwords.fits(one, "correct horse")
    assert not await passwords.fits(one, "correct horsf")
    assert not passwords.is_worn(one)


async def test_the_same_word_from_another_keyboard_fits(passwords: Passwords) -> None:
    composed, decomposed = "p\u00e4sswort ist lang", "pa\u0308sswort ist lang"
    assert await passwords.fits(await passwords.hash(composed), decomposed)


@pytest.mark.parametrize("known", ["", "no hash", "$argon2id$v=19$m=1"])
async def test_what_is_no_hash_fits_nothing(passwords: Passwords, known: str) -> None:
    assert not await passwords.fits(known, "nobody's password")


async def test_those_who_would_wait_too_long_are_refused_and_the_loop_goes_on(passwords: Passwords) -> None:
    known = hash_password("correct horse")
    answers = [asyncio.create_task(passwords.fits(known, "correct horse")) for _ in range(40)]
    beats = 0
    while not all(answer.done() for answer in answers):
        await asyncio.sleep(0)
        beats += 1
    results = await asyncio.gather(*answers, return_exceptions=True)
    refused = [result for result in results if isinstance(result, Refused)]
    assert 0 < len(refused) < 40
    assert {error.code for error in refused} == {"too_many_attempts"}
    assert all(result is True for result in results if not isinstance(result, Refused))
    assert beats > 100
    assert await passwords.fits(known, "correct horse")  # and there is room again
