"""Letters about orders become mails: so many a second, since an on-sale needs Postgres for itself."""

from seatmap.config import Settings
from seatmap.ledger import letters, mails
from seatmap.ledger.mails import Mail
from seatmap.ledger.pool import Pool, connection
from seatmap.order_letter import write

# RFC 2606 keeps these for examples and tests: nobody reads what is sent there. Load tests buy under such addresses.
EXAMPLES = ("test", "example", "invalid", "example.com", "example.net", "example.org")


async def post(pool: Pool, settings: Settings) -> int:
    """Enqueues the mails of up to `letters_per_s` letters, less the mails that still wait; how many it enqueued.

    Letters are taken in the transaction that enqueues their mails, so each becomes one mail, whoever dies.
    """
    async with connection(pool) as conn, conn.transaction():
        due = await letters.take(conn, settings.letters_per_s)
        if not due:
            return 0
        matters = await letters.matters(conn, {letter.order_id for letter in due})
        ready = []
        for letter in due:
            matter = matters.get(letter.order_id)
            if matter is not None and not is_example(matter.email):
                written = write(settings, letter.kind, matter)
                ready += [Mail(matter.email, *written)] if written else []
        await mails.enqueue_last(conn, ready)
    return len(ready)


def is_example(address: str) -> bool:
    """Whether an address can be nobody's."""
    domain = "." + address.rpartition("@")[2].lower().rstrip(".")
    return domain.endswith(tuple(f".{name}" for name in EXAMPLES))
