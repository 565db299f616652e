// The log of who did what.

import Alpine from "/static/vendor/alpine-csp.js"
import { eventDate } from "../format.js"
import { shortReference } from "../ids.js"
import { toasts } from "../toasts.js"
import { enter } from "./frame.js"
import { listPanel } from "./list.js"
import { detailsText, spoken } from "./words.js"

const POLL_MS = 5000

const entered = enter("audit")

Alpine.data("audit", () => listPanel({ entered, path: "/api/admin/audit", key: "entries", describe, pollMs: POLL_MS }))
Alpine.data("toasts", toasts)
Alpine.start()

function describe(entry) {
  return {
    id: entry.id,
    at: eventDate(entry.at),
    who: entry.user || "Seatmap itself",
    what: `${spoken(entry.object).replace("Api", "API")}: ${spoken(entry.verb).toLowerCase()}`,
    event: entry.event_id ? `Event ${entry.event_id}` : "",
    eventAddress: entry.event_id ? `/admin/events/${entry.event_id}` : "",
    order: entry.order_id ? shortReference(entry.order_id) : "",
    orderAddress: entry.order_id ? `/admin/orders/${entry.order_id}` : "",
    details: detailsText(entry.details),
  }
}
