// My orders, and giving one back.

import Alpine from "/static/vendor/alpine-csp.js"
import { getEvents, getOrders, sendCommand } from "./api.js"
import { eventDate, money, plural } from "./format.js"
import { shortReference } from "./ids.js"
import { seatsOf, totalOf } from "./order-seats.js"
import { PendingOrder } from "./pending-order.js"
import { toast, toasts } from "./toasts.js"

const PAYMENT_MS = 3000 // an open payment is looked after this often

Alpine.data("bookings", () => ({
  state: "loading", // loading, ready, failed
  problem: "",
  orders: [],
  asked: null, // the order that the dialog is about
  cancelling: false,

  async init() {
    await settlePending()
    await this.load()
    setInterval(() => this.orders.some(({ payAddress }) => payAddress) && !document.hidden && this.load(), PAYMENT_MS)
  },

  async load() {
    if (this.orders.length === 0) this.state = "loading"
    try {
      const [orders, events] = await Promise.all([getOrders(), getEvents().catch(() => [])])
      const eventOf = new Map(events.map((event) => [event.id, event]))
      this.orders = orders.map((order) => describe(order, eventOf.get(order.event_id)))
      this.state = "ready"
    } catch (error) {
      this.problem = error.message
      this.state = "failed"
    }
  },

  askToCancel(order) {
    this.asked = order
    this.$refs.dialog.showModal()
  },

  keep() {
    this.$refs.dialog.close()
  },

  // Repeating is safe: the order id makes it one cancellation.
  async cancel() {
    const order = this.asked
    this.cancelling = true
    try {
      await sendCommand(order.eventId, { type: "cancel", order_id: order.id })
      toast(`Your order for ${order.event} is cancelled. The seats are on sale again.`, "good")
    } catch (error) {
      toast(error.message, "bad")
    }
    this.cancelling = false
    this.$refs.dialog.close()
    await this.load()
  },

  get isLoading() {
    return this.state === "loading" && this.orders.length === 0
  },
  get isFailed() {
    return this.state === "failed"
  },
  get isEmpty() {
    return this.state === "ready" && this.orders.length === 0
  },
  get question() {
    return this.asked ? `Give back ${this.asked.countText} for ${this.asked.event}?` : ""
  },
}))
Alpine.data("toasts", toasts)
Alpine.start()

// An order whose answer was never heard is asked for once more, so that this page tells the truth.
async function settlePending() {
  for (const eventId of PendingOrder.events()) {
    const pending = new PendingOrder(eventId)
    try {
      if (pending.command) await sendCommand(eventId, pending.command)
      pending.forget()
    } catch (error) {
      if (error.temporary) toast("An order of yours has no answer yet; the box office will be asked again.")
      else pending.forget()
    }
  }
}

const STATES = {
  confirmed: ["Booked", "state is-open"],
  pending: ["Waiting for payment", "state is-few"],
  door: ["Booked, pay at the door", "state is-open"],
  cancelled: ["Cancelled", "state is-closed"],
}

const isAtDoor = ({ status, payment_method: method, payment_status: payment }) =>
  status !== "cancelled" && method === "door" && payment === "unpaid"

function describe(order, event) {
  const seats = seatsOf(order)
  const [state, look] = STATES[isAtDoor(order) ? "door" : order.status] ?? [order.status, "state is-closed"]
  return {
    id: order.id,
    eventId: order.event_id,
    address: `/events/${order.event_id}`,
    event: order.event_name,
    place: event ? [event.venue, eventDate(event.starts_at, event.timezone)].join(" · ") : "",
    reference: shortReference(order.id),
    made: eventDate(order.created_at),
    buyer: `${order.name} · ${order.email}`,
    total: money(totalOf(order), order.currency),
    countText: plural(seats.length, "seat"),
    seats: seats.map(({ seat, label, category, price }) => ({ seat, label, category, price: money(price, order.currency) })),
    payAddress: order.status === "pending" && order.checkout ? order.checkout.url : "",
    canCancel: order.status !== "cancelled",
    state,
    look,
    box: `card order${order.status === "cancelled" ? " is-cancelled" : ""}`,
  }
}
