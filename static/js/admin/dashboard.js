// The live dashboard of one event: numbers once a second, the map as it happens, and what staff may do at once.

import Alpine from "/static/vendor/alpine-csp.js"
import { request } from "../api.js"
import { count, eventDate, money, plural } from "../format.js"
import { announce, toast, toasts } from "../toasts.js"
import { throttled } from "../throttle.js"
import { confirm } from "./confirm.js"
import { dashboardMap } from "./dashboard-map.js"
import { enter, may } from "./frame.js"
import { BANDS } from "./heat.js"
import { send } from "./send.js"
import { Trend } from "./trend.js"
import { Watch } from "./watch.js"
import { eventState, spoken } from "./words.js"

const MORE_SECONDS = 300
const RELOADED_KEY = "seatmap.reloaded-for-plan"
const TABLE_MS = 1000
const EVENT_MS = 10_000 // until a colleague's pause is seen here
const STAGES = [["held", "Seats chosen"], ["checkout", "Checkout begun"], ["booked", "Booked"], ["expired", "Ran out of time"]]
const REFUSALS = {
  seat_taken: "Somebody was faster",
  seat_blocked: "Not for sale",
  too_many_seats: "Too many seats",
  not_on_sale: "Not on sale",
  hold_expired: "Hold had ended",
  hold_changed: "Seats had changed",
  price_changed: "Price had changed",
  unavailable: "A store was away",
  recovering: "Being restored",
}

const eventId = Number(location.pathname.match(/^\/admin\/events\/(\d+)/)?.[1])
const user = await enter("events")
let watch = null // outside of Alpine's proxies, which would make every seat 50 times slower
let map = null

Alpine.data("dashboard", () => ({
  state: "loading", // loading, ready, failed
  problem: "",
  name: "",
  place: "",
  sale: ["", ""],
  paused: false,
  message: "",
  busy: false,
  link: "connecting",
  seen: false, // the map is there
  tiles: [],
  funnel: [],
  refusals: [],
  health: [],
  processes: "",
  trendText: "",
  sections: [],
  byAge: false,
  bands: BANDS.map(({ name }, index) => ({ name, look: `swatch band-${index}` })),
  picked: null, // the seat that was pressed: {seat, label, text, held}
  mayChange: may(user, "admin"),
  maySell: may(user, "box_office"),
  sellAddress: `/admin/events/${eventId}/sell`,

  async init() {
    try {
      watch = await Watch.load(eventId)
      this.showEvent(await request(`/api/admin/events/${eventId}`))
    } catch (error) {
      this.problem = error.message
      this.state = "failed"
      if (!error.code) throw error
      return
    }
    this.state = "ready"
    this.$nextTick(() => this.begin())
  },

  begin() {
    const trend = new Trend(this.$refs.trend)
    map = dashboardMap(this.$refs.map, watch, (seat) => this.pick(seat))
    const showSections = throttled(TABLE_MS, () => this.showSections())
    watch.addEventListener("seats", showSections)
    watch.addEventListener("seats", () => {
      this.seen = true
    }, { once: true })
    watch.addEventListener("seats", () => this.refreshPicked())
    watch.addEventListener("history", ({ detail }) => trend.begin(detail.holds_per_s, detail.books_per_s))
    watch.addEventListener("numbers", () => {
      trend.add(watch.numbers.holds_per_s, watch.numbers.books_per_s)
      this.showNumbers(watch.numbers)
      this.refreshPicked()
    })
    watch.addEventListener("link", () => {
      this.link = watch.link
    })
    watch.addEventListener("plan", loadAgain)
    watch.start()
    setInterval(() => this.reloadEvent(), EVENT_MS)
  },

  // ---- what is shown ----

  showEvent(event) {
    this.name = event.name
    this.place = [event.venue, eventDate(event.starts_at, event.timezone)].filter(Boolean).join(" · ")
    this.sale = eventState(event)
    this.paused = event.paused
    this.message = event.message
    document.title = `${event.name} live – Box office`
  },

  async reloadEvent() {
    const event = await request(`/api/admin/events/${eventId}`).catch(() => null) // the next time tells
    if (event) this.showEvent(event)
  },

  showNumbers(now) {
    const { held, booked } = now.funnel
    const counts = now.counts
    this.tiles = [
      { name: "Looking now", value: count(now.viewers), note: plural(now.processes.length, "process", "processes") },
      { name: "Holds a second", value: rate(now.holds_per_s), note: `${count(counts.held)} held now` },
      { name: "Bookings a second", value: rate(now.books_per_s), note: `${count(counts.booked)} booked` },
      { name: "Conversion", value: held ? `${Math.round((booked / held) * 100)} %` : "–", note: "of baskets in 5 minutes" },
      { name: "Revenue", value: money(now.revenue, now.currency), note: `${count(counts.available)} seats left` },
      { name: "Answers, 99 %", value: milliseconds(now.command_p99_ms), note: "within this, last 10 s" },
    ]
    this.funnel = STAGES.map(([stage, name]) => ({
      name, number: count(now.funnel[stage]), look: `funnel-bar is-${stage}`,
      share: Math.min(100, held ? (now.funnel[stage] / held) * 100 : 0),
    }))
    this.refusals = Object.entries(now.refusals).map(([code, perSecond]) => (
      { code, name: REFUSALS[code] ?? spoken(code), rate: `${rate(perSecond)} a second` }))
    this.health = [pill("Redis", now.redis), pill("Postgres", now.postgres), stuckPill(now.stuck_payments)]
    this.processes = now.processes.map(({ pid, viewers }) => `process ${pid}: ${plural(viewers, "viewer")}`).join(" · ")
    this.trendText = `Holds and bookings a second over the last 5 minutes; now ${rate(now.holds_per_s)} and ${rate(now.books_per_s)}.`
  },

  showSections() {
    const { venue, store } = watch
    const counts = venue.sections.map(() => [0, 0, 0, 0])
    for (let seat = 0; seat < venue.seatCount; seat++) counts[venue.section[seat]][store.base[seat]]++
    this.sections = venue.sections.map((name, index) => {
      const [free, held, booked, blocked] = counts[index]
      const forSale = free + held + booked
      return {
        index, name: name || "Seats", free: count(free), held: count(held), booked: count(booked), blocked: count(blocked),
        sold: forSale ? (booked / forSale) * 100 : 0, holding: forSale ? (held / forSale) * 100 : 0,
        share: forSale ? `${Math.round((booked / forSale) * 100)} %` : "–",
      }
    })
  },

  paint(byAge) {
    this.byAge = byAge
    map.paint(byAge)
  },

  pick(seat) {
    this.picked = { ...map.describe(seat), seat }
    announce(`${this.picked.label}: ${this.picked.text}`)
  },

  refreshPicked() {
    if (this.picked) this.picked = { ...map.describe(this.picked.seat), seat: this.picked.seat }
  },

  putBack() {
    this.picked = null
  },

  // ---- what is done ----

  async togglePause() {
    const yes = await confirm(this.paused
      ? { title: "Go on selling?", text: "Everybody can choose and book seats again at once.", action: "Resume sales", keep: "Stay paused" }
      : { title: "Pause sales?", text: "Nobody can choose seats until you resume. What is held stays held, and orders under way are finished.", action: "Pause sales", keep: "Go on selling", danger: true })
    if (yes) await this.act(this.paused ? "resume" : "pause", undefined, (event) => {
      this.showEvent(event)
      return this.paused ? "Sales are paused." : "Sales go on."
    })
  },

  async extendAll() {
    const minutes = MORE_SECONDS / 60
    const yes = await confirm({
      title: "Give all holds more time?", action: `Give ${minutes} minutes`, keep: "Leave them",
      text: `Everybody who holds seats now gets ${minutes} more minutes. For after an incident; it cannot be taken back.`,
    })
    if (yes) await this.act("extend-holds", { seconds: MORE_SECONDS }, ({ holds }) => `${plural(holds, "hold")} got ${minutes} more minutes.`)
  },

  async release() {
    const { seat, label } = this.picked
    const yes = await confirm({
      title: "Release this hold?", action: "Release the hold", keep: "Keep it", danger: true,
      text: `${label}, and whatever else is in the same basket, goes on sale again at once. Its visitor is told.`,
    })
    if (yes) await this.act("release-hold", { seat }, ({ seats }) => `Released ${Array.isArray(seats) ? plural(seats.length, "seat") : plural(seats, "seat")}.`)
  },

  writeMessage() {
    this.$refs.text.value = this.message
    this.$refs.dialog.showModal()
  },

  closeMessage() {
    this.$refs.dialog.close()
  },

  async sendMessage() {
    const text = this.$refs.text.value.trim()
    this.$refs.dialog.close()
    await this.act("message", { text }, () => {
      this.message = text
      return text ? "Everybody on this event sees your message." : "The message is gone."
    })
  },

  // `done` says in words what came of it.
  async act(name, body, done) {
    this.busy = true
    try {
      toast(done(await send("POST", `/api/admin/events/${eventId}/${name}`, body)), "good")
    } catch (error) {
      toast(error.message, "bad")
    }
    this.busy = false
  },

  reload() {
    location.reload()
  },

  get isLoading() {
    return this.state === "loading"
  },
  get isReady() {
    return this.state === "ready"
  },
  get isFailed() {
    return this.state === "failed"
  },
  get isCutOff() {
    return this.link === "reconnecting"
  },
  get linkText() {
    return { live: "Live", connecting: "Connecting", reconnecting: "Reconnecting" }[this.link]
  },
  get dotLook() {
    return `dot is-${this.link}`
  },
  get pauseText() {
    return this.paused ? "Resume sales" : "Pause sales"
  },
  get pauseLook() {
    return this.paused ? "button is-primary" : "button"
  },
}))
Alpine.data("toasts", toasts)
Alpine.start()

// Not over and over, should the server not agree with itself for a while.
function loadAgain() {
  const known = `${eventId}:${watch.venue.planVersion}`
  if (sessionStorage.getItem(RELOADED_KEY) === known) return
  sessionStorage.setItem(RELOADED_KEY, known)
  location.reload()
}

const rate = (perSecond) => (perSecond < 10 ? perSecond.toFixed(1) : count(Math.round(perSecond)))
const milliseconds = (ms) => (ms === 0 ? "–" : ms < 10 ? `${ms.toFixed(1)} ms` : `${count(Math.round(ms))} ms`)

function pill(name, { ok, ms }) {
  const slow = ok && ms > 250
  return { name, text: ok ? `${name} ${milliseconds(ms)}` : `${name} does not answer`, look: `state is-${ok ? (slow ? "few" : "open") : "bad"}` }
}

function stuckPill(stuck) {
  return {
    name: "payments",
    text: stuck ? `${plural(stuck, "order")} with stuck money` : "No money stuck",
    look: `state is-${stuck ? "bad" : "open"}`,
    address: stuck ? `/admin/orders?event=${eventId}&stuck=1` : null,
  }
}
