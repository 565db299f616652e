// The list of events.

import Alpine from "/static/vendor/alpine-csp.js"
import { getEvents } from "./api.js"
import { dayParts, eventDate, plural, priceRange, saleNotice } from "./format.js"
import { drawPoster } from "./poster.js"

Alpine.data("events", () => ({
  state: "loading", // loading, ready, failed
  problem: "",
  events: [],

  async init() {
    await this.load()
    const redraw = () => this.drawPosters()
    document.documentElement.addEventListener("themechange", redraw)
    addEventListener("resize", redraw)
  },

  async load() {
    this.state = "loading"
    try {
      const found = await getEvents()
      found.sort((a, b) => Date.parse(a.starts_at) - Date.parse(b.starts_at))
      this.events = found.map(describe)
      this.state = "ready"
      this.$nextTick(() => this.drawPosters())
    } catch (error) {
      this.problem = error.message
      this.state = "failed"
    }
  },

  drawPosters() {
    this.$root.querySelectorAll("canvas").forEach((canvas, index) => drawPoster(canvas, this.events[index].event))
  },

  get isLoading() {
    return this.state === "loading"
  },
  get isFailed() {
    return this.state === "failed"
  },
  get isEmpty() {
    return this.state === "ready" && this.events.length === 0
  },
}))
Alpine.start()

function describe(event) {
  const { available } = event.counts
  const notice = saleNotice(event)
  return {
    id: event.id,
    event,
    address: `/events/${event.id}`,
    name: event.name,
    description: event.description,
    venue: event.venue,
    date: eventDate(event.starts_at, event.timezone),
    ...dayParts(event.starts_at, event.timezone),
    prices: priceRange(event.categories.map(({ price }) => price + event.fee_per_seat), event.currency),
    state: notice ? SHORT[event.status === "cancelled" ? "cancelled" : event.sale] : available === 0 ? "Sold out" : plural(available, "seat left", "seats left"),
    notice: event.sale === "not_yet" ? notice : "",
    look: `state ${notice || available === 0 ? "is-closed" : available < event.seat_count * 0.15 ? "is-few" : "is-open"}`,
  }
}

const SHORT = { not_yet: "Not yet on sale", paused: "Sale paused", ended: "Sale ended", closed: "Not on sale", cancelled: "Cancelled" }
