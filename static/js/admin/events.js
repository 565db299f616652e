// The list of events: which there are, in which state, how they sell.

import Alpine from "/static/vendor/alpine-csp.js"
import { count, eventDate } from "../format.js"
import { toast, toasts } from "../toasts.js"
import { enter, may } from "./frame.js"
import { listPanel } from "./list.js"
import { send } from "./send.js"
import { eventState } from "./words.js"

const POLL_MS = 4000

const entered = enter("events")

Alpine.data("events", () => ({
  ...listPanel({ entered, path: "/api/admin/events", key: "events", describe, pollMs: POLL_MS }),
  mayChange: false,

  entered(user) {
    this.mayChange = may(user, "admin")
  },

  async restore(row) {
    try {
      await send("POST", `/api/admin/events/${row.id}/restore`)
      toast(`${row.name} is back.`, "good")
    } catch (error) {
      toast(error.message, "bad")
    }
    await this.load()
  },
}))
Alpine.data("toasts", toasts)
Alpine.start()

function describe(event) {
  const { counts, seat_count: seats } = event
  const [state, look] = eventState(event)
  const share = (number) => (seats ? Number(((100 * number) / seats).toFixed(2)) : 0)
  return {
    id: event.id,
    address: `/admin/events/${event.id}`,
    name: event.name,
    venue: event.venue,
    date: eventDate(event.starts_at, event.timezone),
    deleted: event.deleted,
    state,
    look,
    soldShare: share(counts?.booked ?? 0),
    heldShare: share(counts?.held ?? 0),
    seats: counts
      ? `${count(counts.booked)} sold, ${count(counts.held)} held of ${count(seats)}`
      : `${count(seats)} seats`,
  }
}
