"""The endpoints of what an event takes place in and what that costs: another plan, one category less."""

from typing import Annotated

from msgspec import Meta, Struct

from seatmap.checkout.plan_change import Wanted, change_plan
from seatmap.checkout.price_edits import remove_category
from seatmap.ledger import staff_events
from seatmap.web.admin_event import AdminEvent, PlanBody, admin_event, who
from seatmap.web.admin_events import event_number
from seatmap.web.admin_plans import wanted_plan
from seatmap.web.endpoint import Access, Call, Endpoint
from seatmap.web.rooms import Rooms


class ReplacementQuery(Struct, frozen=True):
    """The category whose price the seats of the one that goes should have; 0 for none."""

    replacement: Annotated[int, Meta(ge=0, lt=1 << 53)] = 0


class VenueDesk:
    """Handles the endpoints."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._stores = rooms.stores

    def endpoints(self) -> list[Endpoint]:
        """Both."""
        return [
            Endpoint(
                method="POST",
                path="/api/admin/events/{event_id}/plan",
                handle=self.change_plan,
                access=Access.admin,
                tag="admin events",
                summary="Give it another plan; seats that somebody has stay",
                body=PlanBody,
                answer=AdminEvent,
                refuses=("event_not_found", "wrong_state", "not_found", "plan_invalid", "plan_in_use"),
                example={"grid": {"rows": 12, "columns": 20, "aisles": [10], "section": "Stalls"}},
            ),
            Endpoint(
                method="DELETE",
                path="/api/admin/events/{event_id}/categories/{category_id}",
                handle=self.remove_category,
                access=Access.admin,
                tag="admin events",
                summary="Take a category away; its seats get another",
                query=ReplacementQuery,
                answer=AdminEvent,
                refuses=("event_not_found", "wrong_state", "category_not_found", "category_in_use"),
            ),
        ]

    async def change_plan(self, call: Call) -> AdminEvent:
        event_id, body = event_number(call), call.body
        event = (await staff_events.get(self._stores.pool, event_id)).event
        category = event.categories[0].name if event.categories else "Standard"
        plan, plan_id = await wanted_plan(self._stores.pool, body, event.venue or event.name, category)
        await change_plan(self._stores, event_id, Wanted(plan, plan_id), user_id=who(call))
        return await self._changed(event_id)

    async def remove_category(self, call: Call) -> AdminEvent:
        event_id = event_number(call)
        category_id = call.number("category_id", "category_not_found")
        replacement = call.query.replacement or None
        await remove_category(self._stores, event_id, category_id, replacement, user_id=who(call))
        return await self._changed(event_id)

    async def _changed(self, event_id: int) -> AdminEvent:
        staff = await staff_events.get(self._stores.pool, event_id)
        if staff.event.status != "draft":
            self._rooms.look_again(event_id)
        return admin_event(self._rooms, staff)
