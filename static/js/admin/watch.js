// A live look at one event for its staff: the seats as they are, since when the held ones are, and once a second how
// the event fares. No DOM. Tells: "frame" (one came), "seats" (some look different), "ages", "numbers" (in `numbers`),
// "history" (in `detail`), "link", "plan".

import { getEvent, getPlan } from "../api.js"
import { Connection } from "../connection.js"
import { Follower } from "../follower.js"
import { AGES, HEARTBEAT } from "../protocol.js"
import { HELD, SeatStore } from "../store.js"
import { Venue } from "../venue.js"

const AGE_STEP_MS = 10_000

export class Watch extends EventTarget {
  link = "connecting" // connecting, live, reconnecting
  stale = false
  numbers = null // the last `dashboard` message
  #connection
  #follower

  static async load(eventId) {
    const [event, plan] = await Promise.all([getEvent(eventId), getPlan(eventId)])
    return new Watch(event, new Venue(plan))
  }

  constructor(event, venue) {
    super()
    this.event = event
    this.venue = venue
    this.store = new SeatStore(venue)
    this.heldAt = new Float64Array(venue.seatCount) // performance.now(); 0: not held, or nobody knows yet
    this.store.onChange((seats) => this.#noteHolds(seats))
    this.#follower = new Follower(this.store, () => this.#sync())
    this.#connection = new Connection(() => this.#address(), {
      message: (message) => this.#hear(message),
      frame: (frame) => this.#take(frame),
      close: () => this.#showLink("reconnecting"),
    })
  }

  start() {
    this.#connection.start()
  }

  // How long a seat has been held, in ms; 0 where that is not known.
  ageOf(seat) {
    return this.heldAt[seat] ? performance.now() - this.heldAt[seat] : 0
  }

  #address() {
    const { epoch, version } = this.store.position
    const scheme = location.protocol === "https:" ? "wss" : "ws"
    const since = epoch ? `?epoch=${epoch}&version=${version}` : ""
    return `${scheme}://${location.host}/ws/admin/events/${this.event.id}${since}`
  }

  #sync() {
    this.#connection.send({ type: "sync", id: "sync", ...this.store.position })
  }

  #hear(message) {
    switch (message.type) {
      case "hello": return this.#showLink("live")
      case "history": return this.dispatchEvent(new CustomEvent("history", { detail: message }))
      case "dashboard":
        this.numbers = message
        return this.#tell("numbers")
    }
  }

  #take(frame) {
    if (frame.planVersion !== (this.venue.planVersion & 0xffff)) return this.#tell("plan")
    if (frame.type === AGES) return this.#takeAges(frame.entries)
    if (frame.type === HEARTBEAT) this.stale = frame.stale
    this.#follower.take(frame)
    this.#tell("frame")
  }

  // This page saw the newer holds itself, to the moment; of the others the server says the step.
  #takeAges(entries) {
    const now = performance.now()
    for (const entry of entries) {
      const seat = entry >>> 8
      const age = (entry & 0xff) * AGE_STEP_MS
      const known = now - this.heldAt[seat]
      if (!this.heldAt[seat] || known < age || known > age + 2 * AGE_STEP_MS) this.heldAt[seat] = now - age
    }
    this.#tell("ages")
  }

  #noteHolds(seats) {
    if (seats === null) this.heldAt.fill(0)
    else {
      const now = performance.now()
      for (const seat of seats) this.heldAt[seat] = this.store.base[seat] === HELD ? now : 0
    }
    this.#tell("seats")
  }

  #showLink(link) {
    this.link = link
    if (link !== "live") this.#follower.stop()
    this.#tell("link")
  }

  #tell(name) {
    this.dispatchEvent(new Event(name))
  }
}
