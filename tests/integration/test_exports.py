"""The lists as CSV: whole, in pages, and harmless to spreadsheets."""

import csv
import io
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from site_clients import PRICE, Site, Visitor, make_event, order, result, visited_site
from staff_world import bearer, make_key, run

from seatmap.config import Settings
from seatmap.ledger import exports
from seatmap.model import Role
from seatmap.web.exports import cell


@pytest.fixture
async def site(settings: Settings) -> AsyncIterator[Site]:
    await make_event(settings)
    async with visited_site(settings) as site:
        yield site


@pytest.fixture
async def staff(site: Site) -> Visitor:
    visitor = site.visitor()
    visitor.http.headers.update(bearer((await make_key(site.settings, Role.viewer))[0]))
    return visitor


async def table(staff: Visitor, name: str, query: str = "") -> list[dict[str, str]]:
    answer = await staff.http.get(f"/api/admin/exports/{name}.csv{query}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert f'filename="{name}' in answer.headers["content-disposition"]
    assert answer.content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


async def bought(site: Site, *seats: int, **fields: str) -> str:
    visitor = site.visitor()
    hold = await visitor.post(1, "hold", {"seats": seats})
    return str((await visitor.post(1, "book", order(hold, **fields)))["id"])


async def test_an_order_is_in_all_three_lists(site: Site, staff: Visitor) -> None:
    order_id = await bought(site, 4, 5, name="Zoë Müller")
    [row] = await table(staff, "orders")
    assert (row["order_id"], row["name"], row["status"]) == (order_id, "Zoë Müller", "confirmed")
    assert (row["seat_count"], row["total_minor"], row["currency"]) == ("2", str(2 * PRICE), "EUR")
    assert row["seats"] == "Hall, row A, seat 5; Hall, row A, seat 6"
    seats = await table(staff, "seats")
    assert [row["seat"] for row in seats] == [str(i) for i in range(40)]
    assert {row["seat"] for row in seats if row["status"] == "booked"} == {"4", "5"}
    assert seats[4]["order_id"] == order_id
    people = await table(staff, "attendees")
    assert [(row["seat"], row["name"], row["price_minor"]) for row in people] == [
        ("4", "Zoë Müller", str(PRICE)),
        ("5", "Zoë Müller", str(PRICE)),
    ]


async def test_a_cancelled_order_has_no_attendees(site: Site, staff: Visitor) -> None:
    visitor = site.visitor()
    booked = await visitor.post(1, "book", order(await visitor.post(1, "hold", {"seats": [4]})))
    await visitor.post(1, "cancel", {"order_id": booked["id"]})
    [row] = await table(staff, "orders")
    assert row["status"] == "cancelled"
    assert row["cancelled_at"]
    assert await table(staff, "attendees") == []
    assert (await table(staff, "seats"))[4]["status"] == "available"


async def test_an_order_is_listed_with_the_seats_that_it_has(site: Site, staff: Visitor) -> None:
    order_id = await bought(site, 4, 5)
    seller = site.visitor()
    secret, _ = await make_key(site.settings, Role.box_office, "seller@example.org")
    for verb, body in (("reseat", {"seats": {"4": 8}}), ("refund", {"seats": [5]})):
        path = f"/api/admin/orders/{order_id}/{verb}"
        result(await seller.http.post(path, json=body, headers=bearer(secret)))
    [row] = await table(staff, "orders")
    assert (row["seat_count"], row["seats"]) == ("1", "Hall, row A, seat 9")
    result(await seller.http.post(f"/api/admin/orders/{order_id}/cancel", json={}, headers=bearer(secret)))
    [row] = await table(staff, "orders")
    assert (row["status"], row["seats"]) == ("cancelled", "Hall, row A, seat 9")


async def test_only_one_events_rows(site: Site, staff: Visitor) -> None:
    other = await make_event(site.settings, 3)
    await bought(site, 4)
    assert len(await table(staff, "seats", f"?event={other}")) == 3
    assert len(await table(staff, "seats")) == 43
    for name, rows in (("orders", 1), ("attendees", 1)):
        assert len(await table(staff, name, "?event=1")) == rows
        assert await table(staff, name, f"?event={other}") == []
    assert await table(staff, "orders", "?event=999999") == []
    assert (await staff.http.get("/api/admin/exports/orders.csv?event=one")).status_code == 422


async def test_pages_join_without_a_seam(site: Site, staff: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row once, whether the last page is full or not."""
    await run(
        site.settings,
        """
        WITH v AS (
            INSERT INTO verdicts (order_id, event_id, visitor, body_hash, outcome)
            SELECT gen_random_uuid(), 1, 'v', '', 'committed' FROM generate_series(1, 12) RETURNING order_id
        ), o AS (
            INSERT INTO orders (id, event_id, visitor, name, email, status, total, currency)
            SELECT order_id, 1, 'v', 'Ada', 'a@b', 'confirmed', 0, 'EUR' FROM v RETURNING id
        )
        INSERT INTO bookings (order_id, event_id, seat, status, price, currency, seq_on)
        SELECT id, 1, row_number() OVER () - 1, 'confirmed', 0, 'EUR', 1 FROM o
        """,
    )
    for rows in (1, 4, 5, 12, 13):
        monkeypatch.setattr(exports, "ROWS_AT_ONCE", rows)
        for name, key in (("orders", "order_id"), ("attendees", "seat")):
            found = [row[key] for row in await table(staff, name, "?event=1")]
            assert len(found) == len(set(found)) == 12, (name, rows)


@pytest.mark.parametrize(
    "name", ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://evil.example","x")', "＝1"]
)
async def test_a_name_is_no_formula(site: Site, staff: Visitor, name: str) -> None:
    await bought(site, 4, name=name, order_id=str(uuid4()))
    for export in ("orders", "attendees", "seats"):
        rows = [row for row in await table(staff, export) if row.get("seat", "4") == "4"]
        assert rows[0]["name"] == f"'{name}"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("\tx", "'\tx"),
        ("\r=1", "'\r=1"),
        ("a=1", "a=1"),
        ("x;=1;@b", "x;'=1;'@b"),  # a spreadsheet may take semicolons for the ends of cells
        ("x; -1", "x; -1"),
        (-5, -5),
        (None, None),
    ],
)
def test_only_texts_that_begin_like_a_formula_change(value: object, told: object) -> None:
    assert cell(value) == told
