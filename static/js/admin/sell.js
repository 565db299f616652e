// Selling over the counter: free seats are chosen on the live map, named to somebody, and sold at once.

import Alpine from "/static/vendor/alpine-csp.js"
import { accessibleWords, isKept } from "../accessible.js"
import { eventDate, money, plural } from "../format.js"
import { shortReference, uuid7 } from "../ids.js"
import { capitalised } from "../map-tooltip.js"
import { AVAILABLE, WORDS } from "../store.js"
import { toast, toasts } from "../toasts.js"
import { enter, may } from "./frame.js"
import { mountMap } from "./mount-map.js"
import { send } from "./send.js"
import { Watch } from "./watch.js"

const LINKS = { live: "Live", connecting: "Connecting", reconnecting: "Reconnecting" }
const STATES = WORDS.with(1, "held").with(4, "to be sold")

const id = Number(location.pathname.match(/^\/admin\/events\/(\d+)/)[1])
const entered = enter("events")
const chosen = new Set()
let watch = null // these two are never Alpine's
let map = null

Alpine.data("sell", () => ({
  id,
  address: `/admin/events/${id}`,
  state: "loading", // loading, ready, failed
  problem: "",
  name: "",
  place: "",
  link: "connecting",
  seen: false, // the map is there
  hasPlaces: false,
  rows: [], // {seat, label, category, price}
  total: "",
  buyer: "",
  email: "",
  paid: true,
  refusal: "",
  busy: false,
  unanswered: null, // a sale of which nobody knows yet what became of it
  last: "",
  lastAddress: "",

  async init() {
    if (!may(await entered, "box_office")) return this.fail("Your account looks only; an admin can give you the role of the box office.")
    try {
      watch = await Watch.load(id)
    } catch (error) {
      this.fail(error.message)
      if (!error.code) throw error
      return
    }
    const { event, venue } = watch
    venue.reprice(event.categories, event.fee_per_seat)
    venue.timezone = event.timezone
    this.name = event.name
    this.place = [event.venue, eventDate(event.starts_at, event.timezone)].filter(Boolean).join(" · ")
    this.hasPlaces = venue.accessible.size > 0
    document.title = `Sell ${event.name} – Box office`
    this.state = "ready"
    this.$nextTick(() => this.begin())
  },

  begin() {
    map = mountMap(this.$refs.map, watch.store, {
      choose: (seat) => this.toggle(seat),
      describe: (seat) => ({ text: words(seat), active: maySell(seat) }),
      states: STATES,
    }).map
    watch.addEventListener("frame", () => this.follow()) // what is chosen looks the same when somebody else has it
    watch.addEventListener("link", () => {
      this.link = watch.link
    })
    watch.addEventListener("plan", () => location.reload())
    watch.start()
    window.seatmap = { pointOf, statusOf: (seat) => watch.store.view[seat] } // for tests
  },

  fail(problem) {
    this.problem = problem
    this.state = "failed"
  },

  is(state) {
    return this.state === state
  },

  get linkText() {
    return LINKS[this.link]
  },

  get dotLook() {
    return `dot is-${this.link}`
  },

  // While a sale is without an answer, nothing of it may change: it is asked for again as it was.
  locked() {
    return this.busy || this.unanswered !== null
  },

  action() {
    if (this.unanswered) return "Ask again whether it was sold"
    return this.rows.length ? `Sell ${plural(this.rows.length, "seat")} · ${this.total}` : "Sell"
  },

  toggle(seat) {
    if (this.locked() || (!chosen.has(seat) && !maySell(seat))) return
    chosen.has(seat) ? chosen.delete(seat) : chosen.add(seat)
    this.refusal = ""
    this.showChosen()
  },

  // Somebody else may be faster.
  follow() {
    this.seen = true
    if (this.locked()) return
    const gone = [...chosen].filter((seat) => !maySell(seat))
    if (gone.length === 0) return
    for (const seat of gone) chosen.delete(seat)
    toast(`Somebody was faster: ${gone.map((seat) => watch.venue.label(seat)).join("; ")}.`, "bad")
    this.showChosen()
  },

  showChosen() {
    const { venue, store } = watch
    store.setMine(chosen)
    this.rows = [...chosen].sort((a, b) => a - b).map((seat) => ({
      seat, label: venue.label(seat), category: venue.categoryName(seat), price: money(venue.price(seat), venue.currency),
    }))
    this.total = money(venue.total(chosen), venue.currency)
  },

  async submit() {
    const sale = this.unanswered ?? {
      order_id: uuid7(), seats: this.rows.map(({ seat }) => seat), total: watch.venue.total(chosen), name: this.buyer.trim(), email: this.email.trim(), paid: this.paid,
    }
    this.busy = true
    this.refusal = ""
    try {
      this.sold(await send("POST", `/api/admin/events/${id}/sell`, sale))
      this.unanswered = null
    } catch (error) {
      this.unanswered = error.temporary ? sale : null
      this.refusal = error.message
    }
    this.busy = false
    this.follow()
  },

  sold(order) {
    this.last = `${shortReference(order.id)}, ${plural(order.seats.length, "seat")} for ${order.name}`
    this.lastAddress = `/admin/orders/${order.id}`
    toast(`${plural(order.seats.length, "seat")} sold.`, "good")
    chosen.clear()
    this.showChosen()
    this.buyer = this.email = ""
    this.paid = true
  },
}))
Alpine.data("toasts", toasts)
Alpine.start()

function maySell(seat) {
  const status = watch.store.base[seat]
  return status === AVAILABLE || isKept(watch.venue, seat, status)
}

function words(seat) {
  const { venue, store } = watch
  const place = accessibleWords(venue, seat, store.base[seat])
  return `${venue.categoryName(seat)} · ${money(venue.price(seat), venue.currency)} · ${capitalised(STATES[store.view[seat]])}${place && ` · ${place}`}`
}

function pointOf(seat) {
  map.reveal(seat)
  const box = document.querySelector("#sell-map").getBoundingClientRect()
  const [x, y] = map.pointOf(seat)
  return { x: box.left + x, y: box.top + y }
}
