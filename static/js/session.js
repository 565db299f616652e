// One visitor's visit to one event: the seats as they are, what is mine, and the commands that change it. No DOM.
//
// Tells its listeners: "seats" (the map changed), "hold" (what is mine or its clock changed), "link" (the
// connection), "order" (booking began, ended or failed), "notice" (a sentence for the visitor, in `detail`).

import { getEvent, getOrders, getPlan } from "./api.js"
import { Commands } from "./commands.js"
import { Connection } from "./connection.js"
import { Countdown } from "./countdown.js"
import { Follower } from "./follower.js"
import { uuid7 } from "./ids.js"
import { LOST_SENTENCES } from "./lost.js"
import { seatsOf } from "./order-seats.js"
import { PendingOrder } from "./pending-order.js"
import { comparePositions, HEARTBEAT } from "./protocol.js"
import { whyNot } from "./seat-words.js"
import { AVAILABLE, PENDING, SeatStore } from "./store.js"
import { afterClosing, untilOnSale } from "./until-on-sale.js"
import { Venue } from "./venue.js"

const AWAY_AFTER_MS = 5000 // a shorter interruption is nobody's business
const ASK_WHEN_OVERDUE_MS = 3000 // the clock shows 0:00 and the server has not said that the hold ended
const NO_HOLD = { id: "", seats: [], extendable: false, checkout: "", checkoutSeats: [] }

export class Session extends EventTarget {
  link = "connecting" // connecting, live, reconnecting
  behind = false // the map may be older than it should be
  viewers = 0
  hold = NO_HOLD
  asking = new Set() // seats in hold commands that are not answered yet
  releasing = new Set() // and in release commands
  lost = null // {seats, reason}: what I held until it ended without my asking
  booking = false // an order is on its way
  order = null // the order just booked
  failure = "" // why the last order failed
  countdown = new Countdown()

  #connection
  #commands
  #follower
  #pendingOrder
  #minePosition = { epoch: 0, version: 0 }
  #welcomed = false // the hello has come, its `mine` has not
  #awayTimer = null
  #askedOverdue = false

  static async load(eventId) {
    const [event, plan] = await Promise.all([getEvent(eventId), getPlan(eventId)])
    return new Session(event, new Venue(plan))
  }

  constructor(event, venue) {
    super()
    this.event = event
    this.sale = event.sale
    this.message = "" // the box office's to everybody
    this.limit = event.seats_per_visitor
    this.venue = venue
    venue.reprice(event.categories, event.fee_per_seat)
    venue.timezone = event.timezone
    this.store = new SeatStore(venue)
    this.store.onChange(() => this.#tell("seats"))
    this.#pendingOrder = new PendingOrder(event.id)
    this.#connection = new Connection(() => this.#address(), {
      message: (message) => this.#hear(message),
      frame: (frame) => this.#takeFrame(frame),
      close: () => this.#disconnected(),
    })
    this.#commands = new Commands((command) => this.#connection.send(command), {
      overdue: () => this.#connection.restart(),
    })
    this.#follower = new Follower(this.store, () => this.#sync())
  }

  start() {
    this.#disconnected("connecting")
    this.#connection.start()
    setInterval(() => this.#checkClock(), 1000)
    this.#loadOwned()
    untilOnSale(this, () => this.#loadEvent())
  }

  // ---- what the visitor does ----

  // A seat on the map or in the list was chosen: take it, or give it back.
  toggle(seat) {
    const look = this.store.view[seat]
    if (this.booking || this.hold.checkoutSeats.includes(seat)) return this.#notice("Your order is being booked; one moment.")
    if (this.hold.seats.includes(seat)) return this.release([seat])
    if (look === PENDING) return
    if (look !== AVAILABLE) return this.#notice(whyNot(this.venue, seat, look))
    return this.take([seat])
  }

  async take(seats) {
    if (!this.#maySell()) return
    const room = this.limit - this.hold.seats.length - this.asking.size
    if (seats.length > room) {
      return this.#notice(`You can have up to ${this.limit} seats for this event.`, "bad")
    }
    this.lost = null
    const answer = await this.#covering(seats, this.asking, () => ({ type: "hold", seats }))

    if (answer.error) this.#explain(answer.error)
    else if (answer.mine) this.#say(`${this.#name(seats)} held for you. ${this.hold.seats.length} in your basket.`)
    else if (!seats.every((seat) => this.store.mine.has(seat))) {
      this.#notice(`${this.#name(seats)}: no answer came, and the seat is not in your basket. Please try again.`, "bad")
    }
    if (answer.error?.temporary) this.refresh()
    if (answer.error?.code === "not_on_sale") this.#loadEvent()
  }

  async release(seats) {
    const answer = await this.#covering(seats, this.releasing, () => {
      const still = seats.filter((seat) => this.hold.seats.includes(seat))
      return still.length > 0 ? { type: "release", hold_id: this.hold.id, seats: still } : null
    })
    if (answer.error) this.#explain(answer.error)
    else this.#say(`${this.#name(seats)} released.`)
  }

  // Shows the seats as asked for until the answer is there. The base stays untouched, so a refusal needs no undoing.
  async #covering(seats, group, make) {
    for (const seat of seats) group.add(seat)
    this.store.cover(seats)
    this.#tell("hold")
    const answer = await this.#commands.ask(make)
    for (const seat of seats) group.delete(seat)
    this.#takeAnswer(answer)
    this.store.uncover(seats)
    this.#tell("hold")
    return answer
  }

  async extend() {
    const answer = await this.#commands.ask(() => this.hold.id && { type: "extend", hold_id: this.hold.id })
    this.#takeAnswer(answer)
    if (answer.error) this.#explain(answer.error)
    else if (answer.mine) this.#notice("You have more time now.", "good")
  }

  // Asks what is mine; for when an answer got lost.
  async refresh() {
    this.#takeAnswer(await this.#commands.ask(() => ({ type: "mine" })))
  }

  // Holds again what was lost, as far as it is still free.
  retry() {
    const free = this.lost?.seats.filter((seat) => this.store.view[seat] === AVAILABLE) ?? []
    if (free.length === 0) return this.#notice("These seats are taken now. Please choose others.", "bad")
    const gone = this.lost.seats.length - free.length
    if (gone > 0) this.#notice(`${gone} of your seats ${gone === 1 ? "is" : "are"} taken now; holding the rest.`)
    return this.take(free)
  }

  forgetLost() {
    this.lost = null
    this.#tell("hold")
  }

  // buyer: {name, email} and, where there is a choice, {payment_method}
  book(buyer) {
    return this.#order(() => {
      const { id, seats } = this.hold
      if (!id) return null
      const command = { type: "book", order_id: uuid7(), hold_id: id, seats, total: this.venue.total(seats), ...buyer }
      this.#pendingOrder.keep(command)
      return command
    })
  }

  // Back from the page of success to choosing.
  startOver() {
    this.order = null
    this.#tell("order")
  }

  // ---- orders ----

  async #order(make) {
    this.booking = true
    this.failure = ""
    this.#tell("order")
    const answer = await this.#commands.ask(make)
    this.booking = false
    this.#pendingOrder.forget()
    if (answer.order) this.#booked(answer.order)
    else await this.#notBooked(answer.error)
    this.#tell("order")
  }

  #booked(order) {
    this.order = order
    this.lost = null
    this.hold = NO_HOLD
    this.countdown.stop()
    this.own(order)
    this.store.setMine([])
    this.#tell("hold")
  }

  // Its seats are shown as mine wherever they are sold.
  own(order) {
    this.store.setOwned([...this.store.owned, ...seatsOf(order).map(({ seat }) => seat)])
  }

  // An order that was reserved and not paid.
  loseOrder(seats) {
    this.order = null
    this.lost = { seats, reason: "payment_failed" }
    this.#notice(LOST_SENTENCES.payment_failed, "bad")
    this.#tell("hold")
  }

  async #notBooked(error) {
    this.failure = error?.detail ?? "Your hold has ended, so nothing was booked."
    if (error?.code === "price_changed") await this.#loadEvent()
    await this.refresh()
  }

  // An order that was asked for and not answered, before this page was loaded or in another life of it.
  #resumeOrder() {
    const command = this.#pendingOrder.command
    if (command && !this.booking) this.#order(() => this.#pendingOrder.command)
  }

  // Its prices and the state of its sale, which may have changed since the page was loaded.
  async #loadEvent() {
    try {
      this.event = await getEvent(this.event.id)
      this.sale = this.event.sale
      this.venue.reprice(this.event.categories, this.event.fee_per_seat)
      this.#tell("link")
    } catch {
      // the server checks everything anyway
    }
  }

  async #loadOwned() {
    try {
      const orders = await getOrders()
      const mine = orders.filter((order) => order.event_id === this.event.id && order.status !== "cancelled")
      this.store.setOwned(mine.flatMap((order) => seatsOf(order).map(({ seat }) => seat)))
    } catch {
      // only decoration: these seats are shown as sold
    }
  }

  // ---- what the server says ----

  #address() {
    const scheme = location.protocol === "https:" ? "wss" : "ws"
    const { epoch, version } = this.store.position
    return `${scheme}://${location.host}/ws/events/${this.event.id}?epoch=${epoch}&version=${version}`
  }

  #hear(message) {
    switch (message.type) {
      case "hello": return this.#welcome(message)
      case "mine": return this.#hearMine(message)
      case "reply":
        // A late reply, to what is no longer waited for, still says what is mine.
        if (!this.#commands.take(message) && message.mine) this.#takeMine(message.mine, performance.now())
    }
  }

  #welcome(hello) {
    if (hello.plan_version !== this.venue.planVersion) return this.#tell("plan")
    if (hello.sale === "closed" && this.sale !== "closed") afterClosing(() => this.#loadEvent())
    this.sale = hello.sale
    this.limit = hello.seats_per_visitor
    this.#welcomed = this.link !== "live" // one in the middle only says what is new
    this.message = hello.message
    this.#tell("link")
  }

  #hearMine(mine) {
    const first = this.#welcomed
    this.#welcomed = false
    if (first) this.#minePosition = { epoch: 0, version: 0 } // whatever it says, it is the truth of now
    this.#takeMine(mine, performance.now(), { reconnected: first })
    if (first) {
      this.#connected()
      this.#commands.open()
      this.#resumeOrder()
    }
  }

  #takeAnswer({ mine, sentAt }) {
    if (mine) this.#takeMine(mine, sentAt, { asked: true })
  }

  #takeMine(mine, countedFrom, { asked = false, reconnected = false } = {}) {
    if (comparePositions(mine, this.#minePosition) < 0) return
    this.#minePosition = { epoch: mine.epoch, version: mine.version }

    const before = this.hold.seats
    this.hold = {
      id: mine.hold_id,
      seats: mine.seats,
      extendable: mine.extendable,
      checkout: mine.checkout,
      checkoutSeats: mine.checkout_seats,
    }
    this.store.setMine([...mine.seats, ...mine.checkout_seats])
    if (mine.seats.length > 0) this.countdown.start(mine.expires_in_ms, countedFrom)
    else this.countdown.stop()

    const ended = mine.reason || (reconnected && !this.booking && !this.#pendingOrder.command && mine.seats.length === 0)
    if (!asked && ended) this.#noteLost(before, mine.reason || "away")
    this.#askedOverdue = false
    this.#tell("hold")
  }

  #noteLost(before, reason) {
    const gone = before.filter((seat) => !this.store.mine.has(seat))
    if (gone.length === 0) return
    this.lost = { seats: gone, reason }
    this.#notice(LOST_SENTENCES[reason] ?? "Some of your seats are not held any more.", "bad")
  }

  #takeFrame(frame) {
    if (frame.planVersion !== (this.venue.planVersion & 0xffff)) return this.#tell("plan")
    const wasBehind = this.behind
    if (frame.type === HEARTBEAT) {
      this.viewers = frame.viewers
      this.behind = frame.stale
    }
    this.#follower.take(frame)
    if (wasBehind !== this.behind) this.#tell("link")
    this.#tell("position")
  }

  #sync() {
    this.#connection.send({ type: "sync", ...this.store.position })
  }

  // ---- the link ----

  #connected() {
    clearTimeout(this.#awayTimer)
    this.#awayTimer = null
    this.behind = false
    this.link = "live"
    this.#tell("link")
  }

  #disconnected(link = "reconnecting") {
    this.link = link
    this.#welcomed = false
    this.#commands.close()
    this.#follower.stop()
    this.#awayTimer ??= setTimeout(() => {
      this.behind = true
      this.#tell("link")
    }, AWAY_AFTER_MS)
    this.#tell("link")
  }

  #checkClock() {
    if (this.#askedOverdue || this.booking || this.countdown.overdueMs() < ASK_WHEN_OVERDUE_MS) return
    this.#askedOverdue = true
    this.refresh()
  }

  #maySell() {
    if (this.sale !== "on_sale") this.#notice("Tickets for this event are not on sale at the moment.")
    else if (this.hold.checkout || this.booking) this.#notice("Your order is being booked; one moment.")
    else if (this.link !== "live" && this.behind) this.#notice("There is no connection right now. Please try again in a moment.", "bad")
    else return true
    return false
  }

  // ---- words ----

  #name(seats) {
    return seats.length === 1 ? this.venue.label(seats[0]) : `${seats.length} seats`
  }

  #explain(error) {
    const seat = error.seats?.[0]
    const label = seat === undefined ? "" : this.venue.label(seat)
    const text = error.detail || error.title
    this.#notice(label && !text.includes(label) ? `${label}: ${text}` : text, "bad")
  }

  #notice(text, kind = "info") {
    this.dispatchEvent(new CustomEvent("notice", { detail: { text, kind } }))
  }

  // For ears only: what sighted visitors see anyway.
  #say(text) {
    this.dispatchEvent(new CustomEvent("say", { detail: { text } }))
  }

  #tell(name) {
    this.dispatchEvent(new Event(name))
  }
}
