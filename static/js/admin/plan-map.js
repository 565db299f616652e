// A map to work on: shows a plan and its seats' states, and lets one choose seats by click, key or rectangle. Chosen
// seats look like a buyer's own. Not Alpine's business: never give this object to it.

import { accessibleWords } from "../accessible.js"
import { money } from "../format.js"
import { capitalised } from "../map-tooltip.js"
import { SeatStore, WORDS } from "../store.js"
import { Venue } from "../venue.js"
import { mountMap } from "./mount-map.js"

const STATES = WORDS.slice(0, 4).with(1, "held")
const CHOSEN_WORDS = WORDS.with(1, "held").with(4, "chosen")

export class PlanMap extends EventTarget {
  chosen = new Set()
  drawsBox = false // a drag draws a rectangle instead of moving the map

  #box

  // mayChoose(seat): whether a press on it means anything. Dispatches "chosen".
  constructor(host, plan, { mayChoose = () => true, timezone = "" } = {}) {
    super()
    this.venue = new Venue(plan)
    this.venue.timezone = timezone
    this.store = new SeatStore(this.venue)
    host.replaceChildren()
    const { map, box } = mountMap(host, this.store, {
      choose: (seat) => mayChoose(seat) && this.toggle([seat]),
      describe: (seat) => ({ text: this.#words(seat), active: mayChoose(seat) }),
      states: CHOSEN_WORDS,
      drag: (from, to) => this.#drag(from, to),
      drop: (from, to) => this.#drop(from, to),
    })
    this.map = map
    this.#box = box
  }

  // `statuses`: a digit per seat. Shows what changed.
  update({ epoch, version, statuses }) {
    this.store.takeSnapshot({ epoch, version }, Uint8Array.from(statuses))
  }

  // Chooses these; if they were all chosen, none of them any more.
  toggle(seats) {
    const all = seats.every((seat) => this.chosen.has(seat))
    for (const seat of seats) all ? this.chosen.delete(seat) : this.chosen.add(seat)
    this.#show()
  }

  add(seats) {
    for (const seat of seats) this.chosen.add(seat)
    this.#show()
  }

  clear() {
    this.chosen.clear()
    this.#show()
  }

  #show() {
    this.store.setMine(this.chosen)
    this.dispatchEvent(new Event("chosen"))
  }

  #words(seat) {
    const { venue, store } = this
    const price = `${venue.categoryName(seat)} · ${money(venue.price(seat), venue.currency)}`
    const place = accessibleWords(venue, seat, store.base[seat])
    return `${price} · ${capitalised(STATES[store.base[seat]])}${place && ` · ${place}`}`
  }

  #drag(from, to) {
    if (!this.drawsBox) return false
    const { left, top, right, bottom } = corners(from, to)
    this.#box.hidden = false
    Object.assign(this.#box.style, { left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` })
    return true
  }

  #drop(from, to) {
    if (!this.drawsBox) return
    this.#box.hidden = true
    const seats = this.#seatsIn(corners(from, to))
    if (seats.length > 0) this.toggle(seats)
  }

  #seatsIn(screen) {
    const [left, top] = this.map.view.toPlan(screen.left, screen.top)
    const [right, bottom] = this.map.view.toPlan(screen.right, screen.bottom)
    const { x, y, grid } = this.venue
    const seats = []
    grid.eachRun(left, top, right, bottom, (from, to) => {
      for (const seat of grid.items.subarray(from, to)) {
        if (x[seat] >= left && x[seat] <= right && y[seat] >= top && y[seat] <= bottom) seats.push(seat)
      }
    })
    return seats
  }
}

const corners = ([ax, ay], [bx, by]) => ({
  left: Math.min(ax, bx), top: Math.min(ay, by), right: Math.max(ax, bx), bottom: Math.max(ay, by),
})
