"""docs/payments.md draws the states of the code and of the database, which refuses every other step."""

import re
from collections.abc import Mapping
from pathlib import Path

import asyncpg
import pytest
from checkout_world import open_shop
from ledger_world import run_sql
from payment_world import open_till

from seatmap.config import Settings
from seatmap.ledger.payments import ORDER_TRANSITIONS, PAYMENT_TRANSITIONS

PAGE = (Path(__file__).parents[2] / "docs" / "payments.md").read_text()
CODE = {"order": ORDER_TRANSITIONS, "payment": PAYMENT_TRANSITIONS}


def drawn(heading: str) -> set[tuple[str, str]]:
    """The arrows under a heading."""
    part = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return set(re.findall(r"(?m)^(\w+) ──► (\w+)", part))


def pairs(table: Mapping[str, tuple[str, ...]]) -> set[tuple[str, str]]:
    return {(was, becomes) for was, after in table.items() for becomes in after}


@pytest.mark.parametrize(("thing", "heading"), [("order", "An order"), ("payment", "A payment")])
async def test_the_drawing_the_code_and_the_database_say_the_same(
    settings: Settings, thing: str, heading: str
) -> None:
    async with open_shop(settings, 2) as shop:
        rows = await run_sql(shop.stores.pool, f"SELECT was, becomes FROM {thing}_transitions")
    assert drawn(heading) == pairs(CODE[thing]) == {tuple(row) for row in rows}


async def test_the_database_takes_no_other_step(settings: Settings) -> None:
    states = {state for pair in pairs(PAYMENT_TRANSITIONS) for state in pair}
    async with open_till(settings) as till:
        payment = await till.payment(await till.order("ann", 3))
        for was in sorted(states):
            for becomes in sorted(states - {was}):
                await till.shop.sql("ALTER TABLE payments DISABLE TRIGGER transitions")
                await till.shop.sql("UPDATE payments SET status = $1 WHERE id = $2", was, payment.id)
                await till.shop.sql("ALTER TABLE payments ENABLE TRIGGER transitions")
                step = till.shop.sql("UPDATE payments SET status = $1 WHERE id = $2", becomes, payment.id)
                if (was, becomes) in pairs(PAYMENT_TRANSITIONS):
                    await step
                else:
                    with pytest.raises(
                        asyncpg.RaiseError, match=f"{was} cannot become {becomes} in payments"
                    ):
                        await step
