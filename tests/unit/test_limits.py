"""How often anybody may ask: buckets and caps, on a clock that the tests turn."""

import contextlib

import pytest
from starlette.requests import HTTPConnection

from seatmap.config import Settings
from seatmap.errors import Refused, Unavailable
from seatmap.web import limits
from seatmap.web.limits import BURST_SECONDS, FLOOD_REFUSALS, Bucket, Limits, Line

SETTINGS = Settings(
    socket_messages_per_s=5,
    visitor_requests_per_s=10,
    address_requests_per_s=20,
    visitor_connections=3,
    address_connections=5,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counts(clock: Clock) -> Limits:
    return Limits(SETTINGS, clock)


def came_from(host: str) -> HTTPConnection:
    return HTTPConnection({"type": "websocket", "client": (host, 1), "headers": []})


def refusal(line: Line) -> Refused:
    found = line.message()
    assert found is not None
    return found


def allowed(line: Line, most: int = 1000) -> int:
    """How many messages are taken at this moment."""
    return next(i for i in range(most) if line.message())


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Bucket()
    assert [bucket.take(7.0, 10, 2) for _ in range(20)] == [0] * 20
    assert bucket.take(7.0, 10, 2) == pytest.approx(0.1)
    assert bucket.take(7.05, 10, 2) == pytest.approx(0.05)
    assert bucket.take(7.11, 10, 2) == 0
    assert [bucket.take(99.0, 10, 2) > 0 for _ in range(21)] == [False] * 20 + [True]


def test_a_refused_try_costs_nothing() -> None:
    bucket = Bucket()
    for _ in range(1000):
        bucket.take(7.0, 10, 2)
    assert bucket.take(7.2, 10, 2) == 0


def test_one_socket_has_its_rate(counts: Limits, clock: Clock) -> None:
    with counts.connect(came_from("192.0.2.1"), "ada") as line:
        assert allowed(line) == 5 * BURST_SECONDS
        refused = refusal(line)
        assert (refused.code, refused.status, refused.extra["retry_after"]) == ("too_many_requests", 429, 1)
        assert "This page asks more than 5 times a second" in refused.detail
        clock.now += 1
        assert allowed(line) == 5


def test_more_sockets_give_a_visitor_no_more_than_theirs(counts: Limits) -> None:
    lines = [counts.connect(came_from(f"192.0.2.{i}"), "ada") for i in range(3)]
    assert sum(map(allowed, lines)) == 10 * BURST_SECONDS
    assert "You ask" in refusal(lines[2]).detail
    with counts.connect(came_from("192.0.2.9"), "bob") as other:
        assert other.message() is None


def test_more_visitors_give_an_address_no_more_than_its_own(counts: Limits) -> None:
    lines = [counts.connect(came_from("192.0.2.1"), f"visitor {i}") for i in range(5)]
    for _ in range(2):
        assert sum(map(allowed, lines)) <= 20 * BURST_SECONDS
    assert "192.0.2.1" in refusal(lines[4]).detail
    with counts.connect(came_from("192.0.2.2"), "bob") as other:
        assert other.message() is None


def test_http_and_websocket_share_a_visitors_count(counts: Limits) -> None:
    for _ in range(10 * int(BURST_SECONDS)):
        counts.ask_as("ada")
    with pytest.raises(Refused, match="You ask"):
        counts.ask_as("ada")
    with counts.connect(came_from("192.0.2.1"), "ada") as line:
        assert "You ask" in refusal(line).detail


def test_an_ipv6_customer_is_one_address_and_its_neighbour_another(counts: Limits) -> None:
    for i in range(20 * int(BURST_SECONDS)):
        with counts.connect(came_from(f"2001:db8:1:2:{i:x}::1"), f"{i}"):
            pass
    with pytest.raises(Refused, match="2001:db8:1:2::/64"):
        counts.connect(came_from("2001:db8:1:2:ffff::1"), "one more")
    counts.connect(came_from("2001:db8:1:3::1"), "neighbour")


def test_open_sockets_are_counted_until_they_close(counts: Limits, clock: Clock) -> None:
    lines = [counts.connect(came_from("192.0.2.1"), "ada") for _ in range(3)]
    with pytest.raises(Refused, match="3 pages open") as caught:
        counts.connect(came_from("192.0.2.7"), "ada")
    assert (caught.value.code, caught.value.status) == ("too_many_connections", 429)
    lines += [counts.connect(came_from("192.0.2.1"), "bob") for _ in range(2)]
    with pytest.raises(Refused, match="Your network has more pages open"):
        counts.connect(came_from("192.0.2.1"), "cid")
    for line in lines:
        with line:
            pass
    clock.now += 60
    with counts.connect(came_from("192.0.2.1"), "ada"):
        pass


def test_who_goes_on_although_refused_floods_and_who_pauses_does_not(counts: Limits, clock: Clock) -> None:
    with counts.connect(came_from("192.0.2.1"), "ada") as line:
        for _ in range(5 * int(BURST_SECONDS) + FLOOD_REFUSALS - 1):
            line.message()
            assert not line.flooded
        clock.now += BURST_SECONDS
        assert line.message() is None
        assert not line.flooded
        for _ in range(3 * FLOOD_REFUSALS):
            clock.now += 0.02  # some are taken in between
            line.message()
        assert line.flooded


def test_those_who_ask_no_more_are_forgotten(counts: Limits, clock: Clock) -> None:
    with counts.connect(came_from("192.0.2.1"), "stays"):
        for i in range(20_000):
            clock.now += 0.2
            counts.ask_as(f"visitor {i}")
            counts.ask_from(f"198.51.100.{i}")
        assert len(counts._visitors) <= limits.PRUNE_FROM
        assert len(counts._addresses) <= limits.PRUNE_FROM
        assert counts._visitors.get("stays", clock.now).connections == 1


def test_a_flood_of_new_names_is_not_pruned_again_and_again(counts: Limits, clock: Clock) -> None:
    """All of them count for a while; looking through them grows no faster than they do."""
    for i in range(10_000):
        counts.ask_as(f"visitor {i}")
    assert len(counts._visitors) == 10_000
    clock.now += 60
    for i in range(10_000):
        counts.ask_as(f"later {i}")
    assert len(counts._visitors) < 20_000


def test_the_operator_hears_of_a_busy_address_now_and_then(
    counts: Limits, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3000):
        with contextlib.suppress(Refused):
            counts.ask_from("192.0.2.1\r\nforged line")
        clock.now += 0.03
    assert 1 <= len(caplog.records) <= 3
    assert "SEATMAP_FORWARDED_ALLOW_IPS" in caplog.text
    assert "\nforged" not in caplog.text


def test_a_whole_venue_behind_one_address_may_come() -> None:
    """With the defaults: 8,000 open their pages within ten seconds, and there are 1,600 clicks a second."""
    clock = Clock()
    counts = Limits(Settings(), clock)
    lines = []
    for i in range(8000):
        clock.now += 10 / 8000
        counts.ask_as(f"visitor {i}")
        lines.append(counts.connect(came_from("192.0.2.1"), f"visitor {i}"))
    for line in lines:
        clock.now += 1 / 1600
        assert line.message() is None


def test_a_process_takes_no_more_pages_than_it_has_files_for(counts: Limits) -> None:
    counts.connections_max = 2
    lines = [counts.connect(came_from(f"192.0.2.{i}"), f"v{i}") for i in range(2)]
    with pytest.raises(Unavailable, match="as this server can carry"):
        counts.connect(came_from("192.0.2.9"), "bob")
    lines[0].close()
    with counts.connect(came_from("192.0.2.9"), "bob"):
        assert counts.connections == 2
    assert counts.connections == 1


def test_files_are_kept_for_everything_else(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seatmap.open_files.limit", lambda: 1024)
    assert Limits(SETTINGS, clock).connections_max == 1024 - limits.FILES_KEPT
