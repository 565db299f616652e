// One order: who, which seats, what was paid, what happened; and what the box office can do about it.

import Alpine from "/static/vendor/alpine-csp.js"
import { request } from "../api.js"
import { plural } from "../format.js"
import { isActive } from "../order-seats.js"
import { toast, toasts } from "../toasts.js"
import { confirm } from "./confirm.js"
import { enter, may } from "./frame.js"
import { reseatWork } from "./order-reseat.js"
import { describe } from "./order-words.js"
import { send } from "./send.js"

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
    const active = order.seats.filter(isActive).map(({ seat }) => seat)
    this.marked = this.marked.filter((seat) => active.includes(seat))
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
    const labels = this.shown.seats.filter(({ seat }) => seats.includes(seat)).map(({ label }) => label).join("; ")
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
