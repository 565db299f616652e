"""The web process's application, put together: stores, rooms, routes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute

from seatmap.checkout.book import Checkout
from seatmap.checkout.payment import Cashier, open_cashier
from seatmap.checkout.stores import Stores, open_stores
from seatmap.config import Settings
from seatmap.errors import SeatmapError
from seatmap.ledger.instance import secret
from seatmap.metrics import listening
from seatmap.tasks import end
from seatmap.web import admin, docs, pages
from seatmap.web.accounts import Accounts
from seatmap.web.admin_orders import OrderDesk
from seatmap.web.admin_sell import CounterDesk
from seatmap.web.api import Api
from seatmap.web.api_keys import ApiKeys
from seatmap.web.dashboard import Dashboards
from seatmap.web.endpoint import Gate
from seatmap.web.execute import Counter
from seatmap.web.exports import Exports
from seatmap.web.guard import SecurityHeaders
from seatmap.web.health import Health
from seatmap.web.idempotency import Repeats
from seatmap.web.jobs import Jobs
from seatmap.web.limits import AddressLimit, Limits
from seatmap.web.metrics import Metrics
from seatmap.web.passwords import Passwords
from seatmap.web.payments import Payments
from seatmap.web.problems import Bugs, on_http_error, on_seatmap_error
from seatmap.web.revocation import Revocation
from seatmap.web.rooms import Rooms
from seatmap.web.sales import Sales
from seatmap.web.sessions import Sessions
from seatmap.web.socket import Socket
from seatmap.web.throttle import Throttle
from seatmap.web.users import Users
from seatmap.web.visitor import Visitors

END_SECONDS = 5.0  # that a part is given to end its own tasks before it is told again


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncIterator[Starlette]:
    """The application, for as long as the block lasts. Raises Unavailable if Postgres does not answer."""
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(settings))
        rooms = Rooms(stores)
        running = asyncio.get_running_loop().create_task(rooms.run())
        stack.push_async_callback(_stop, running)
        checkout = Checkout(stores)
        cashier = await open_cashier(stores)
        payments = Payments(stores, cashier)
        stack.push_async_callback(_stop, asyncio.get_running_loop().create_task(payments.run()))
        stack.push_async_callback(checkout.close)
        await rooms.open_ahead()
        sessions = Sessions(stores.redis, stores.pool, settings)
        revocation = Revocation(sessions)
        stack.push_async_callback(_stop, asyncio.get_running_loop().create_task(revocation.run()))
        passwords = Passwords()
        stack.callback(passwords.close)
        keys = ApiKeys(stores.pool, otherwise=sessions.identify)
        limits = Limits(settings)
        dashboards = Dashboards(rooms, keys.identify, limits)
        stack.push_async_callback(_stop, asyncio.get_running_loop().create_task(dashboards.run()))
        accounts = Accounts(settings, stores.pool, sessions, passwords, Throttle(stores.redis))
        counter = Counter(stores, checkout, cashier)
        visitors = Visitors(settings.secret.encode() or await secret(stores.pool))
        socket = Socket(rooms, counter, visitors, revocation, limits)
        stack.push_async_callback(socket.close)
        metrics = Metrics(rooms, counter, checkout)
        stack.enter_context(listening(settings, metrics.registry))
        yield _build(
            stores,
            rooms,
            counter,
            cashier,
            payments,
            dashboards,
            sessions,
            visitors,
            socket,
            accounts,
            keys,
            limits,
            metrics,
        )


async def _stop(task: asyncio.Task[None]) -> None:
    await end([task], again_s=END_SECONDS)


def _build(
    stores: Stores,
    rooms: Rooms,
    counter: Counter,
    cashier: Cashier,
    payments: Payments,
    dashboards: Dashboards,
    sessions: Sessions,
    visitors: Visitors,
    socket: Socket,
    accounts: Accounts,
    keys: ApiKeys,
    limits: Limits,
    metrics: Metrics,
) -> Starlette:
    settings = stores.settings
    gate = Gate(visitors, keys.identify, settings.origins, Repeats(stores.pool), limits)
    endpoints = [
        *Api(rooms, counter).endpoints(),
        *payments.endpoints(),
        *accounts.endpoints(),
        *Users(stores.pool, sessions).endpoints(),
        *keys.endpoints(),
        *Exports(stores.pool).endpoints(),
        *Sales(stores.pool).endpoints(),
        *Jobs(stores.pool).endpoints(),
        *admin.endpoints(rooms),
        *OrderDesk(stores, cashier).endpoints(),
        *CounterDesk(stores).endpoints(),
        *metrics.endpoints(),
    ]
    return Starlette(
        routes=[
            WebSocketRoute("/ws/events/{event_id}", socket.__call__),  # first: a stampede asks for this one
            WebSocketRoute("/ws/admin/events/{event_id}", dashboards.__call__),
            *pages.routes(visitors),
            *Health(rooms).routes(),
            *docs.routes(endpoints),
            *gate.routes(endpoints),
        ],
        middleware=[Middleware(SecurityHeaders), Middleware(AddressLimit, limits), Middleware(Bugs)],
        exception_handlers={
            SeatmapError: on_seatmap_error,
            HTTPException: on_http_error,
        },
    )
