// One event: its fields, its states, and its map to work on.

import Alpine from "/static/vendor/alpine-csp.js"
import { request } from "../api.js"
import { eventDate, money, plural } from "../format.js"
import { toast, toasts } from "../toasts.js"
import { zones } from "../zoned.js"
import { confirm } from "./confirm.js"
import { changesOf, formOf, newCategory } from "./event-form.js"
import { seatWork } from "./event-seats.js"
import { venueWork } from "./event-venue.js"
import { enter, may } from "./frame.js"
import { send } from "./send.js"
import { awaitsSeats, eventState, jobSentence } from "./words.js"

const POLL_MS = 3000

const entered = enter("events")
const id = Number(location.pathname.match(/^\/admin\/events\/(\d+)/)[1])
const address = `/api/admin/events/${id}`

const QUESTIONS = {
  publish: { title: "Publish this event?", text: "Everybody can see it from now on, and buy as soon as its sale is open.", action: "Publish", keep: "Not yet" },
  pause: { title: "Pause the sale?", text: "Nobody can hold or book until you resume; what is held stays held until its time is over.", action: "Pause the sale", keep: "Go on selling" },
  cancel: {
    title: "Cancel this event?", text: "No more bookings. All orders are cancelled and refunded. This cannot be undone.",
    action: "Cancel the event", keep: "Keep it", danger: true, asksReason: true,
  },
  delete: { title: "Delete this event?", text: "It disappears from every list. You can restore it from the list of deleted ones.", action: "Delete", keep: "Keep it", danger: true },
}

Alpine.data("event", () => ({
  ...seatWork(id),
  ...venueWork(id),
  state: "loading", // loading, ready, failed
  problem: "",
  mayChange: false,
  maySell: false,
  form: null,
  head: {},
  dirty: false,
  saving: false,
  failure: "",
  zones: zones(),

  async init() {
    const user = await entered
    this.mayChange = may(user, "admin")
    this.maySell = may(user, "box_office")
    await this.load()
    setInterval(() => document.hidden || this.refresh(), POLL_MS)
    addEventListener("beforeunload", (event) => this.dirty && event.preventDefault())
  },

  async load() {
    try {
      const event = await request(address)
      this.show(event)
      this.form = formOf(event)
      this.state = "ready"
      this.$nextTick(() => this.showSeats(event))
    } catch (error) {
      this.problem = error.message
      this.state = "failed"
      if (!error.code) throw error
    }
  },

  // Everything but the fields, which belong to whoever types.
  async refresh() {
    if (this.state !== "ready") return
    const event = await request(address).catch(() => null)
    if (!event) return
    this.show(event)
    await this.showSeats(event)
  },

  show(event) {
    this.event = event
    const [state, look] = eventState(event)
    const { counts, job } = event
    this.head = {
      name: event.name,
      place: [event.venue, eventDate(event.starts_at, event.timezone)].filter(Boolean).join(" · "),
      state,
      look,
      awaitsSeats: awaitsSeats(job),
      jobText: jobSentence(job),
      jobFailed: job?.state === "failed",
      counts: counts ? `${plural(counts.booked, "sold", "sold")} · ${counts.held} held · ${counts.available} free · ${Math.max(0, counts.blocked - this.removedCount)} blocked` : plural(event.seat_count, "seat"),
      isDraft: event.status === "draft" && !event.deleted,
      isOnSale: event.status === "published" && !event.paused && !event.deleted,
      isPaused: event.status === "published" && event.paused && !event.deleted,
      isPublic: event.status !== "draft" && !event.deleted,
      isPublished: event.status === "published" && !event.deleted,
      isDeleted: event.deleted,
    }
    document.title = `${event.name} – Box office`
  },

  async save(submitted) {
    this.saving = true
    this.failure = ""
    try {
      const event = await send("PATCH", address, changesOf(submitted.target, this.form))
      this.show(event)
      this.form = formOf(event)
      this.dirty = false
      toast("Saved.", "good")
      await this.showSeats(event, { anew: true })
    } catch (error) {
      this.failure = error.message
    }
    this.saving = false
  },

  addCategory() {
    this.form.categories.push(newCategory(`new ${this.form.categories.length}`))
    this.dirty = true
  },

  touch() {
    this.dirty = true
  },

  // publish, pause, resume, cancel, restore
  async turn(verb) {
    const sure = QUESTIONS[verb] ? await confirm(QUESTIONS[verb]) : { reason: "" }
    if (!sure) return
    await this.attempt(async () => {
      this.show(await send("POST", `${address}/${verb}`, verb === "cancel" ? { reason: sure.reason } : undefined))
      toast(DONE[verb], "good")
    })
  },

  async duplicate() {
    await this.attempt(async () => {
      const copy = await send("POST", `${address}/duplicate`)
      this.dirty = false
      location.assign(`/admin/events/${copy.id}`)
    })
  },

  async remove() {
    if (!(await confirm(QUESTIONS.delete))) return
    await this.attempt(async () => {
      await send("DELETE", address)
      this.dirty = false
      location.assign("/admin")
    })
  },

  async attempt(act) {
    try {
      await act()
    } catch (error) {
      toast(error.message, "bad")
    }
  },

  is(state) {
    return this.state === state
  },
  feeExample() {
    return this.event ? `Added to each seat’s price, in ${this.event.currency}. Now ${money(this.event.fee_per_seat, this.event.currency)}.` : ""
  },
}))
Alpine.data("toasts", toasts)
Alpine.start()

const DONE = {
  publish: "Published.",
  pause: "The sale is paused.",
  resume: "The sale goes on.",
  cancel: "Cancelled. Refunds are on their way; see Jobs.",
  restore: "Restored.",
}
