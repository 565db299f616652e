"""Where commands may come from, and how large they may be."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from seatmap.errors import Refused
from seatmap.protocol import MESSAGE_BYTES_MAX
from seatmap.web.guard import SecurityHeaders, check_origin, is_https, read_body

HOST = "tickets.example"


def refused(
    origin: str | None, *, scheme: str = "https", allowed: tuple[str, ...] = (), **headers: str
) -> bool:
    given = {"host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    if origin is not None:
        given["origin"] = origin
    try:
        check_origin({"scheme": scheme}, given, allowed)
    except Refused as refusal:
        return refusal.code == "wrong_origin"
    return False


@pytest.mark.parametrize(
    ("scheme", "origin"),
    [
        ("https", "https://tickets.example"),
        ("https", "https://Tickets.Example"),
        ("wss", "https://tickets.example"),
        ("http", "http://tickets.example"),
        ("ws", "http://tickets.example"),
    ],
)
def test_our_own_pages_may_send_commands(scheme: str, origin: str) -> None:
    assert not refused(origin, scheme=scheme)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://evil.tickets.example",
        "https://tickets.example.evil.example",
        "https://evil-tickets.example",
        "https://tickets.example:8443",
        "https://tickets.example@evil.example",
        "http://tickets.example",
        "wss://tickets.example",
        "tickets.example",
        "https://tickets.example/",
        "null",
        "",
    ],
)
def test_pages_of_others_may_not(origin: str) -> None:
    assert refused(origin)


def test_the_port_is_part_of_who_we_are() -> None:
    assert not refused("http://127.0.0.1:8000", scheme="http", host="127.0.0.1:8000")
    assert refused("http://127.0.0.1:8001", scheme="http", host="127.0.0.1:8000")
    assert refused("http://127.0.0.1", scheme="http", host="127.0.0.1:8000")


@pytest.mark.parametrize("origin", ["https://box.example", "https://BOX.example"])
@pytest.mark.parametrize("setting", ["https://box.example", "https://Box.Example"])
def test_an_origin_that_the_operator_allows_may(origin: str, setting: str) -> None:
    assert not refused(origin, allowed=("https://first.example", setting))


def test_a_program_that_names_no_origin_may() -> None:
    assert not refused(None)
    assert not refused(None, sec_fetch_site="none")
    assert not refused(None, sec_fetch_site="same-origin")


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_a_browser_that_only_says_it_is_elsewhere_may_not(site: str) -> None:
    assert refused(None, sec_fetch_site=site)


def test_a_request_without_a_host_has_no_own_origin() -> None:
    with pytest.raises(Refused):
        check_origin({"scheme": "http"}, {"origin": "http://tickets.example"}, ())


def test_a_refusal_names_the_origin_and_the_setting() -> None:
    with pytest.raises(Refused, match=r"evil\.example.*SEATMAP_ORIGINS"):
        check_origin({"scheme": "http"}, {"origin": "http://evil.example", "host": HOST}, ())


@pytest.mark.parametrize(
    ("scheme", "expected"), [("http", False), ("ws", False), ("https", True), ("wss", True)]
)
def test_tls_is_known_by_its_scheme(scheme: str, expected: bool) -> None:
    assert is_https({"scheme": scheme}) is expected


# ---- bodies ----


class Sender:
    """A request whose body comes in chunks; counts how many were asked for."""

    def __init__(self, *chunks: bytes, length: str | None = None, gone: bool = False) -> None:
        self.asked = 0
        self._chunks: Iterator[bytes] = iter(chunks)
        self._gone = gone
        headers = [] if length is None else [(b"content-length", length.encode())]
        scope: dict[str, Any] = {"type": "http", "method": "POST", "headers": headers}
        self.request = Request(scope, self._receive)

    async def _receive(self) -> Message:
        self.asked += 1
        chunk = next(self._chunks, None)
        if chunk is None and self._gone:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}


async def test_a_body_in_chunks_is_read_whole() -> None:
    assert await read_body(Sender(b'{"a"', b": 1}").request) == b'{"a": 1}'


async def test_the_largest_body_is_read() -> None:
    body = b"x" * MESSAGE_BYTES_MAX
    assert await read_body(Sender(body, length=str(len(body))).request) == body


@pytest.mark.parametrize("length", [str(MESSAGE_BYTES_MAX + 1), "9" * 5000])
async def test_a_body_that_says_it_is_too_large_is_not_even_read(length: str) -> None:
    sender = Sender(b"x", length=length)
    with pytest.raises(Refused) as refusal:
        await read_body(sender.request)
    assert (refusal.value.code, refusal.value.status, sender.asked) == ("too_large", 413, 0)


@pytest.mark.parametrize("length", [None, "10"], ids=["no length", "a wrong length"])
async def test_a_body_that_grows_too_large_is_refused_at_once(length: str | None) -> None:
    sender = Sender(*[b"x" * 5000] * 100, length=length)
    with pytest.raises(Refused) as refusal:
        await read_body(sender.request)
    assert (refusal.value.code, sender.asked) == ("too_large", 2)


@pytest.mark.parametrize("length", ["many", "", "-5", "1e9"])
async def test_a_length_that_is_no_number_does_no_harm(length: str) -> None:
    assert await read_body(Sender(b"{}", length=length).request) == b"{}"


async def test_a_sender_that_goes_away_is_refused_and_is_no_bug() -> None:
    with pytest.raises(Refused) as refusal:
        await read_body(Sender(b"{", gone=True).request)
    assert refusal.value.code == "malformed"


# ---- what every answer carries ----


async def headers_of(scope: dict[str, Any], start: str, *own: tuple[bytes, bytes]) -> dict[str, str]:
    sent: list[Message] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": start, "status": 200, "headers": list(own)})

    async def send(message: Message) -> None:
        sent.append(dict(message))

    await SecurityHeaders(app)(scope, None, send)  # type: ignore[arg-type]
    return {name.decode(): value.decode() for name, value in sent[0]["headers"]}


@pytest.mark.parametrize(
    ("kind", "start"),
    [("http", "http.response.start"), ("websocket", "websocket.http.response.start")],
    ids=["an answer", "a refused websocket"],
)
async def test_every_answer_is_guarded(kind: str, start: str) -> None:
    headers = await headers_of({"type": kind, "scheme": "http"}, start)
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "strict-transport-security" not in headers


async def test_over_https_browsers_are_told_to_stay_there() -> None:
    headers = await headers_of({"type": "http", "scheme": "https"}, "http.response.start")
    assert int(headers["strict-transport-security"].removeprefix("max-age=")) >= 31_536_000


async def test_a_page_with_a_policy_of_its_own_keeps_it() -> None:
    own = (b"content-security-policy", b"default-src 'self'")
    headers = await headers_of({"type": "http", "scheme": "http"}, "http.response.start", own)
    assert headers["content-security-policy"] == "default-src 'self'"
