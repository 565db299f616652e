// The list of orders, with search.

import Alpine from "/static/vendor/alpine-csp.js"
import { request } from "../api.js"
import { eventDate, money, plural } from "../format.js"
import { shortReference } from "../ids.js"
import { seatsOf, totalOf } from "../order-seats.js"
import { toasts } from "../toasts.js"
import { enter } from "./frame.js"
import { listPanel } from "./list.js"
import { orderState, paymentWord } from "./words.js"

const POLL_MS = 5000
const PAYMENTS = ["none", "unpaid", "paid", "failed", "refund_due", "refunded"]

const entered = enter("orders")

Alpine.data("orders", () => ({
  ...listPanel({ entered, path: "/api/admin/orders", key: "orders", describe, pollMs: POLL_MS }),
  events: [],
  payments: PAYMENTS.map((value) => ({ value, text: paymentWord(value) })),

  // The first question waits for the options: what the address asks for may be one of them.
  async entered() {
    const found = await request("/api/admin/events?limit=200").catch(() => ({ events: [] }))
    this.events = found.events.map(({ id, name }) => ({ id, name }))
    await this.$nextTick()
  },
}))
Alpine.data("toasts", toasts)
Alpine.start()

function describe(order) {
  const [state, look] = orderState(order.status)
  const labels = seatsOf(order).map(({ label }) => label)
  return {
    id: order.id,
    address: `/admin/orders/${order.id}`,
    reference: shortReference(order.id),
    name: order.name,
    email: order.email,
    event: order.event_name,
    made: eventDate(order.created_at),
    seats: labels.length > 2 ? `${labels[0]} and ${plural(labels.length - 1, "more", "more")}` : labels.join(" · "),
    state,
    look,
    payment: paymentWord(order.payment_status),
    needs: needs(order),
    total: money(totalOf(order), order.currency),
  }
}

// What a person has to do about its money.
function needs(order) {
  if (order.stuck) return "Stuck"
  return order.to_pay_out ? `${money(order.to_pay_out, order.currency)} to be handed out` : ""
}
