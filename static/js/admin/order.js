// One order: who, which seats, what was paid, what happened; and what the box office can do about it.

import Alpine from "/static/vendor/alpine-csp.js"
import { request } from "../api.js"
import { eventDate, money, plural } from "../format.js"
import { shortReference } from "../ids.js"
import { toast, toasts } from "../toasts.js"
import { confirm } from "./confirm.js"
import { enter, may } from "./frame.js"
import { reseatWork } from "./order-reseat.js"
import { send } from "./send.js"
import { detailsText, orderState, PAYMENTS, paymentWord, REFUNDS, spoken } from "./words.js"

const POLL_MS = 4000

const entered = enter("orders")
const id = location.pathname.match(/^\/admin\/orders\/([\w-]+)/)[1]
const address = `/api/admin/orders/${id}`

Alpine.data("order", () => ({
  ...reseatWork(),
  state: "loading", // loading, ready, failed
  problem: "",
  mayChange: false,
  order: null, // as the server tells it
  shown: {},
  marked: [], // seats that are ticked
  busy: false,

  async init() {
    this.mayChange = may(await entered, "box_office")
    try {
      this.show(await request(address))
      this.state = "ready"
    } catch (error) {
      this.problem = error.message
      this.state = "failed"
      if (!error.code) throw error
    }
    setInterval(() => document.hidden || this.refresh(), POLL_MS)
  },

  async refresh() {
    if (this.state !== "ready" || this.busy) return
    const order = await request(address).catch(() => null)
    if (order && !this.busy) this.show(order)
  },

  show(order) {
    this.order = order
    this.shown = describe(order)
    const active = new Set(activeSeats(order))
    this.marked = this.marked.filter((seat) => active.has(seat))
    document.title = `Order ${this.shown.reference} – Box office`
  },

  mark(seat, event) {
    const others = this.marked.filter((other) => other !== seat)
    this.marked = event.target.checked ? [...others, seat] : others
  },

  isMarked(seat) {
    return this.marked.includes(seat)
  },

  is(state) {
    return this.state === state
  },

  async resend() {
    await this.attempt(async () => {
      await send("POST", `${address}/resend`)
      toast(`The confirmation is on its way to ${this.order.email}.`, "good")
    })
  },

  async markPaid() {
    const sure = await confirm({
      title: `Was ${this.shown.total} paid?`, text: "The order is confirmed, and the log says that you took the money.", action: "It was paid", keep: "Not yet",
    })
    if (sure) await this.act("mark-paid", undefined, "Marked as paid.")
  },

  async cancel() {
    const sure = await confirm({
      title: "Cancel this order?", text: "Its seats go back on sale and what was paid is refunded. This cannot be undone.",
      action: "Cancel the order", danger: true, asksReason: true,
    })
    if (sure) await this.act("cancel", { reason: sure.reason }, "The order is cancelled.")
  },

  async retryPayment() {
    const sure = await confirm({ title: "Try it again?", text: this.shown.stuckText, action: "Try again", keep: "Leave it" })
    if (sure) await this.act("retry-payment", undefined, "It was tried again.")
  },

  async payOut() {
    const refunds = this.order.payments.flatMap((payment) => payment.refunds).filter(({ status }) => status === "by_hand")
    const sure = await confirm({
      title: `Was ${this.shown.toPayOut} handed out?`, text: "The log says that you gave the money back. This cannot be undone.",
      action: "It was handed out", keep: "Not yet",
    })
    if (sure) await this.act("pay-out", { refunds: refunds.map(({ id: refund }) => refund) }, `${this.shown.toPayOut} handed out.`)
  },

  async refund() {
    const seats = [...this.marked]
    const labels = this.order.seats.filter(({ seat }) => seats.includes(seat)).map(({ label }) => label).join("; ")
    const sure = await confirm({
      title: `Refund ${plural(seats.length, "seat")}?`, text: `${labels}: back on sale at once. The rest of the order stays.`,
      action: "Refund", danger: true, asksReason: true,
    })
    if (sure) await this.act("refund", { seats, reason: sure.reason }, `${plural(seats.length, "seat")} refunded.`)
  },

  async act(verb, body, done) {
    await this.attempt(async () => {
      this.show(await send("POST", `${address}/${verb}`, body ?? {}))
      this.marked = []
      toast(done, "good")
    })
  },

  // Whether it worked.
  async attempt(act) {
    this.busy = true
    try {
      await act()
      return true
    } catch (error) {
      toast(error.message, "bad")
      return false
    } finally {
      this.busy = false
    }
  },
}))
Alpine.data("toasts", toasts)
Alpine.start()

const activeSeats = (order) => order.seats.filter(({ status }) => status !== "cancelled").map(({ seat }) => seat)

function describe(order) {
  const [state, look] = orderState(order.status)
  const active = order.status !== "cancelled"
  const amount = (minor) => money(minor, order.currency)
  return {
    reference: shortReference(order.id),
    id: order.id,
    state,
    look,
    name: order.name,
    email: order.email,
    event: order.event_name,
    eventAddress: `/admin/events/${order.event_id}`,
    made: eventDate(order.created_at),
    method: PAYMENTS[order.payment_method] ?? spoken(order.payment_method),
    payment: paymentWord(order.payment_status),
    total: amount(order.total),
    canChange: active,
    canResend: order.status === "confirmed" && order.email !== "",
    canMarkPaid: active && order.payment_method === "door" && order.payment_status === "unpaid",
    seats: order.seats.map(({ seat, label, category, price, status }) => ({
      seat, label, category, price: amount(price), active: status !== "cancelled", look: status === "cancelled" ? "is-cancelled" : "", state: orderState(status)[0],
    })),
    stuck: order.stuck,
    stuckText: stuckText(order),
    toPayOut: order.to_pay_out ? amount(order.to_pay_out) : "",
    payments: (order.payments ?? []).flatMap(paymentRows),
    history: (order.history ?? []).map((entry, index) => ({
      index, at: eventDate(entry.at), who: entry.who || "Seatmap itself", what: spoken(entry.what), details: detailsText(withLabels(entry.details, order)),
    })),
  }
}

// A payment, and under it what goes back of it.
function paymentRows(payment) {
  const amount = (minor) => money(minor, payment.currency)
  const rows = [{
    key: `payment ${payment.id}`,
    look: "",
    what: PAYMENTS[payment.provider] ?? spoken(payment.provider),
    status: payment.received === null || payment.refunds.length ? spoken(payment.status) : `Stuck: ${money(payment.received, payment.received_currency)} came`,
    amount: amount(payment.amount),
    at: eventDate(payment.updated_at),
  }]
  return rows.concat(payment.refunds.map((refund) => ({
    key: `refund ${refund.id}`,
    look: "is-refund",
    what: "Refund",
    status: refund.paid_out_by ? `Handed out by ${refund.paid_out_by}` : REFUNDS[refund.status] ?? spoken(refund.status),
    amount: amount(-refund.amount),
    at: eventDate(refund.paid_out_at ?? refund.updated_at),
  })))
}

function stuckText({ payments = [] }) {
  const wrong = payments.find(({ status, received, refunds }) => status === "stuck" && received !== null && refunds.length === 0)
  if (wrong) {
    const [came, wanted] = [money(wrong.received, wrong.received_currency), money(wrong.amount, wrong.currency)]
    return `${came} came where ${wanted} was to be paid. Trying again gives back what came and cancels the order.`
  }
  if (payments.some(({ refunds }) => refunds.some(({ status }) => status === "failed"))) {
    return "The payment provider refused to pay it back. Trying again asks once more for the same refund, so it cannot be paid twice."
  }
  return "It has been waiting for longer than it should. Trying again does at once what is tried by itself all the time, and says what does not answer."
}

// The log knows seats by their numbers, people by their labels.
function withLabels(details, { seats }) {
  if (!details?.seats) return details
  const labels = new Map(seats.map(({ seat, label }) => [String(seat), label]))
  const label = (seat) => labels.get(String(seat)) ?? seat
  const told = Array.isArray(details.seats)
    ? details.seats.map(label)
    : Object.entries(details.seats).map(([old, now]) => `${label(old)} → ${label(now)}`)
  return { ...details, seats: told.join("; ") || undefined }
}
