// The basket: held seats, their clock, the total; then name and email, the booking, and the end of the story.

import { announce, toast } from "./toasts.js"
import { bestTogether } from "./best.js"
import { clock, money, plural, saleNotice } from "./format.js"
import { shortReference } from "./ids.js"
import { tonesOf } from "./map-palette.js"
import { seatsOf, totalOf } from "./order-seats.js"
import { Payment } from "./payment.js"
import { AVAILABLE } from "./store.js"
import { throttled } from "./throttle.js"

const TICK_MS = 250
const LOST_MS = 200
const URGENT_MS = 60_000
const OFFER_TIME_MS = 120_000 // "More time" becomes loud
const SLOW_ORDER_MS = 6000
const SPOKEN_MS = [300_000, 120_000, 60_000, 30_000] // the clock is read aloud at these, never each second
const METHODS = { free: "Free", door: "Pay at the door", test_card: "Card (test)" }
const BUYER_KEY = "seatmap.buyer"

// Module scope: nothing of the session may become reactive.
let session = null
let shared = null
let payment = null
let tones = []
let slowTimer = 0

export const basketPanel = (visit, sharedWithMap) => () => ({
  step: "choosing", // choosing, details, booking, paying, booked
  items: [],
  total: "",
  clock: "",
  ring: 0,
  msLeft: 0,
  extendable: false,
  extending: false,
  lost: null,
  failure: "",
  slow: false,
  order: null,
  unpaid: null, // the order as the server told it, while it is to be paid
  methods: [],
  party: 2,
  limit: 1,
  canBuy: false,
  sheetOpen: false,
  buyer: { name: "", email: "" },

  async init() {
    shared = sharedWithMap
    session = await visit.catch(() => null)
    if (!session) return
    tones = tonesOf(session.venue.categories)
    this.buyer = rememberedBuyer()
    session.addEventListener("hold", () => this.showHold())
    session.addEventListener("order", () => this.showOrder())
    session.addEventListener("link", () => this.showSale())
    // Whether lost seats can be had again changes with the map, which may tell of their release after `mine` does.
    session.addEventListener("seats", throttled(LOST_MS, () => {
      if (session.lost) this.lost = describeLost()
    }))
    setInterval(() => this.tick(), TICK_MS)
    this.methods = payMethods(session.event)
    this.showSale()
    payment = new Payment(session.event.id, (order) => this.showPayment(order))
    payment.resume()
  },

  // ---- what the session says ----

  showSale() {
    this.limit = session.limit
    this.canBuy = saleNotice(session.event, session.sale) === ""
  },

  showHold() {
    const { hold, asking, venue } = session
    const booking = hold.checkoutSeats
    const seats = [...new Set([...hold.seats, ...booking, ...asking])].sort((a, b) => a - b)
    this.items = seats.map((seat) => describeItem(seat))
    this.total = money(venue.total(seats), venue.currency)
    this.extendable = hold.extendable
    this.lost = describeLost()
    if (seats.length === 0 && this.step === "details") this.step = "choosing"
    if (hold.checkout && !session.booking) payment?.resume(hold.checkout)
    if (booking.length > 0 && !["booked", "paying"].includes(this.step)) this.step = "booking"
    else if (this.step === "booking" && !session.booking) this.step = hold.seats.length > 0 ? "details" : "choosing"
    this.tick()
  },

  showOrder() {
    this.failure = session.failure
    this.items = this.items.map(({ seat }) => describeItem(seat))
    if (session.order?.checkout) payment.begin(session.order)
    else if (session.order) {
      this.order = describeOrder(session.order)
      this.step = "booked"
      this.sheetOpen = true
      announce(`Booked. Your order reference is ${this.order.reference}.`)
      this.focusOn("bookedTitle")
    } else if (session.booking) {
      this.step = "booking"
      this.watchSlowness()
    } else {
      this.step = session.hold.seats.length > 0 ? "details" : "choosing"
      if (this.failure) {
        this.sheetOpen = true
        announce(this.failure, true)
      }
    }
  },

  // An order that costs money: waiting for it, or what became of it.
  showPayment(order) {
    this.order = describeOrder(order)
    this.unpaid = order.status === "pending" && order.checkout ? order : null
    this.sheetOpen = true
    if (this.unpaid) {
      this.step = "paying"
    } else if (order.status === "cancelled") {
      session.loseOrder(order.seats.map(({ seat }) => seat))
      this.step = "choosing"
    } else {
      this.step = "booked"
      session.own(order)
      announce(`${this.order.title} Your order reference is ${this.order.reference}.`)
      this.focusOn("bookedTitle")
    }
  },

  pay() {
    payment.leave(this.unpaid)
  },

  watchSlowness() {
    this.slow = false
    clearTimeout(slowTimer)
    slowTimer = setTimeout(() => {
      this.slow = true
    }, SLOW_ORDER_MS)
  },

  tick() {
    const { countdown } = session
    const before = this.msLeft
    const now = countdown.leftMs()
    for (const mark of SPOKEN_MS) {
      if (before > mark && now <= mark && now > 0) announce(`${durationWords(mark)} left to book your seats.`, mark <= 60_000)
    }
    this.msLeft = now
    this.clock = clock(now)
    this.ring = Number((100 * (1 - countdown.fraction())).toFixed(1))
  },

  // ---- what the visitor does ----

  remove(item) {
    session.release([item.seat])
  },

  clear() {
    session.release([...session.hold.seats])
  },

  reveal(item) {
    this.sheetOpen = false
    shared.map?.show(item.seat)
  },

  async extend() {
    this.extending = true
    await session.extend()
    this.extending = false
  },

  retry() {
    session.retry()
  },

  dismissLost() {
    session.forgetLost()
  },

  more() {
    this.party = Math.min(this.limit, this.party + 1)
  },

  less() {
    this.party = Math.max(1, this.party - 1)
  },

  takeBest() {
    const { venue, store } = session
    const seats = bestTogether(venue, store.view, this.party, shared.isWanted ?? (() => true))
    if (!seats) return toast(`There are no ${plural(this.party, "seat")} together any more. Try fewer, or other categories.`)
    shared.map?.show(seats[seats.length >> 1])
    session.take(seats)
  },

  toDetails() {
    this.failure = ""
    this.step = "details"
    this.sheetOpen = true
    this.focusOn("name")
  },

  toChoosing() {
    this.step = "choosing"
  },

  // Asks for the buyer's name and email, sends the order. The total on the button is what is sent.
  book(event) {
    const form = new FormData(event.target)
    this.buyer = { name: form.get("name").trim(), email: form.get("email").trim() }
    rememberBuyer(this.buyer)
    session.book({ ...this.buyer, ...(this.methods.length > 1 && { payment_method: form.get("payment_method") }) })
  },

  startOver() {
    this.step = "choosing"
    this.sheetOpen = false
    session.startOver()
  },

  toggleSheet() {
    this.sheetOpen = !this.sheetOpen
  },

  closeSheet() {
    this.sheetOpen = false
  },

  focusOn(ref) {
    this.$nextTick(() => this.$refs[ref]?.focus())
  },

  // ---- what the template asks ----

  get isChoosing() {
    return this.step === "choosing"
  },
  get isDetails() {
    return this.step === "details"
  },
  get isBooking() {
    return this.step === "booking"
  },
  get isPaying() {
    return this.step === "paying"
  },
  get isBooked() {
    return this.step === "booked"
  },
  get isEmpty() {
    return this.items.length === 0
  },
  get showsEmpty() {
    return this.isChoosing && this.isEmpty && !this.lost
  },
  get showsClock() {
    return !this.isEmpty && !this.isBooked && !this.isBooking && !this.isPaying
  },
  get showsItems() {
    return !this.isEmpty && !this.isBooked && !this.isPaying
  },
  get showsBest() {
    return this.isChoosing && this.canBuy
  },
  get isUrgent() {
    return this.msLeft < URGENT_MS
  },
  get offersTime() {
    return this.extendable && (this.isDetails || this.msLeft < OFFER_TIME_MS)
  },
  get isWaiting() {
    return this.items.some(({ pending }) => pending)
  },
  get countText() {
    return plural(this.items.length, "seat")
  },
  get canGoOn() {
    return !this.isEmpty && this.items.some(({ pending }) => !pending)
  },
  get summary() {
    if (this.isBooked) return "Booked"
    if (this.isPaying) return "Waiting for your payment"
    if (this.lost) return "Your seats were released"
    return this.isEmpty ? "Choose your seats" : `${this.countText} · ${this.total}`
  },
  get look() {
    return { "is-open": this.sheetOpen, "is-urgent": this.isUrgent && this.showsClock }
  },
})

function describeItem(seat) {
  const { venue } = session
  const row = venue.rows[venue.row[seat]]
  return {
    seat,
    label: venue.label(seat),
    place: [row.label && `Row ${row.label}`, `${row.label ? "seat" : "Seat"} ${venue.numbers[seat]}`].filter(Boolean).join(", "),
    price: money(venue.price(seat), venue.currency),
    pending: session.asking.has(seat) || session.releasing.has(seat),
    note: noteOf(seat),
    swatch: `swatch tone-${tones[venue.category[seat]]}`,
    locked: session.booking || session.hold.checkoutSeats.includes(seat),
  }
}

function noteOf(seat) {
  if (session.asking.has(seat)) return "Holding…"
  if (session.releasing.has(seat)) return "Releasing…"
  const { venue } = session
  return [venue.sections[venue.section[seat]], venue.categoryName(seat)].filter(Boolean).join(" · ")
}

function describeLost() {
  if (!session.lost) return null
  const { seats, reason } = session.lost
  const free = seats.filter((seat) => session.store.view[seat] === AVAILABLE).length
  return {
    title: { expired: "Your time ran out", lost: "Your hold was lost", payment_failed: "The payment did not go through" }[reason] ?? "Your hold ended",
    text: {
      expired: "Your seats went back on sale. Nothing was charged.",
      lost: "The box office had to restart and could not keep your hold. Nothing was charged.",
    }[reason] ?? "These seats are not held for you any more. Nothing was charged.",
    seats: seats.map((seat) => ({ seat, label: session.venue.label(seat) })),
    canRetry: free > 0,
    button: seats.length === 1 ? "Try this seat again" : "Try these again",
  }
}

function describeOrder(order) {
  return {
    reference: shortReference(order.id),
    id: order.id,
    email: order.email,
    total: money(totalOf(order), order.currency),
    title: order.status === "pending" ? "Your seats are reserved" : "You’re going!",
    seats: seatsOf(order).map(({ seat, label, price }) => ({ seat, label, price: money(price, order.currency) })),
  }
}

function payMethods({ payment_methods: methods }) {
  return methods.map((value, index) => ({ value, text: METHODS[value] ?? value, first: index === 0 }))
}

const durationWords = (ms) => (ms >= 60_000 ? plural(ms / 60_000, "minute") : `${ms / 1000} seconds`)

// For this visit only, so that a reload does not empty the form.
function rememberedBuyer() {
  try {
    return { name: "", email: "", ...JSON.parse(sessionStorage.getItem(BUYER_KEY)) }
  } catch {
    return { name: "", email: "" }
  }
}

function rememberBuyer(buyer) {
  try {
    sessionStorage.setItem(BUYER_KEY, JSON.stringify(buyer))
  } catch {
    // typed again after a reload
  }
}
