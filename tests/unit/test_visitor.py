"""The visitor's cookie: only what we signed counts, and it is bound to the host where https is spoken."""

import base64
from http.cookies import SimpleCookie

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import Signer

from seatmap.web.visitor import Visitors

ours = Visitors(b"a secret of thirty-two bytes ...")
VISITOR = "0123456789abcdef" * 2


def issued(visitors: Visitors = ours, visitor: str = VISITOR, *, https: bool = False) -> str:
    """The name=value of a new cookie."""
    return visitors.set_cookie(visitor, https=https).split(";")[0]


def read(cookie: str, *, https: bool = False) -> str | None:
    return ours.read({"cookie": cookie}, https=https)


@pytest.mark.parametrize("https", [True, False])
def test_a_cookie_of_ours_is_read_back(https: bool) -> None:
    assert read(issued(https=https), https=https) == VISITOR


def test_nobody_without_a_cookie() -> None:
    assert ours.read({}, https=False) is None
    assert read("") is None


def test_over_plain_http_it_is_a_plain_cookie_that_scripts_cannot_read() -> None:
    cookie = SimpleCookie(ours.set_cookie(VISITOR, https=False))["visitor"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
    assert (cookie["secure"], cookie["domain"]) == ("", "")
    assert int(cookie["max-age"]) > 30 * 24 * 3600


def test_over_https_it_is_secure_and_bound_to_the_host() -> None:
    cookie = SimpleCookie(ours.set_cookie(VISITOR, https=True))["__Host-visitor"]
    assert (cookie["secure"], cookie["httponly"], cookie["path"], cookie["domain"]) == (True, True, "/", "")


def test_a_plain_cookie_is_not_taken_over_https() -> None:
    """A page on a sub-domain or plain http could have set it."""
    assert read(issued(https=False), https=True) is None


@pytest.mark.parametrize("index", range(len(issued()) - len("visitor=")))
def test_a_cookie_changed_anywhere_is_not_ours(index: int) -> None:
    name, value = issued().split("=", 1)
    other = "A" if value[index] != "A" else "B"
    # The last character of a signature carries bits that decode to nothing; all else must matter.
    forged = value[:index] + other + value[index + 1 :]
    if index == len(value) - 1 and same_signature(value, forged):
        return
    assert read(f"{name}={forged}") is None


def same_signature(one: str, other: str) -> bool:
    def decoded(value: str) -> bytes:
        return base64.urlsafe_b64decode(value.rpartition(".")[2] + "=")

    return decoded(one) == decoded(other)


@pytest.mark.parametrize("length", range(0, len(issued()), 7))
def test_a_truncated_cookie_is_not_ours(length: int) -> None:
    assert read(issued()[:length]) is None


@pytest.mark.parametrize(
    "visitors",
    [Visitors(b"another secret"), Visitors(b"")],
    ids=["another server's", "no secret"],
)
def test_a_cookie_signed_with_another_secret_is_not_ours(visitors: Visitors) -> None:
    assert read(issued(visitors)) is None


def test_a_cookie_signed_by_us_for_something_else_is_not_a_visitor() -> None:
    other = Signer(b"a secret of thirty-two bytes ...", salt="something.else").sign(VISITOR).decode()
    assert read(f"visitor={other}") is None


@pytest.mark.parametrize(
    "visitor", ["", "x", VISITOR.upper(), VISITOR + "0", VISITOR[:-1], f"{VISITOR}\n", "a|b"]
)
def test_a_signed_value_that_is_no_visitor_id_is_not_taken(visitor: str) -> None:
    value = ours._signer.sign(visitor).decode()
    assert ours.read({"cookie": f"visitor={value}"}, https=False) is None


@pytest.mark.parametrize(
    "others",
    ['prefs={"a":1}; {}', "a b=1; {}", "a[0]=1; {}", "flag; {}", "é=ü; {}", '{}; x="', "{}; ", ";;{};;"],
)
def test_other_peoples_cookies_do_not_hide_ours(others: str) -> None:
    assert read(others.replace("{}", issued())) == VISITOR


@given(st.text(max_size=200))
def test_any_cookie_header_is_read_without_harm(header: str) -> None:
    assert read(header) is None
    assert read(header, https=True) is None


def test_every_visitor_is_another() -> None:
    assert len({Visitors.new() for _ in range(1000)}) == 1000
