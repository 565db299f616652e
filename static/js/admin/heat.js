// The map's seats in other colours: by how long they have been held. Looks like a store to the map, which draws a
// seat by its category and its look; here the category is the band of its age.

import { AVAILABLE, HELD } from "../store.js"

// The newest first. `price` decides the tone, as it does for price categories: the oldest gets tone 0.
export const BANDS = [
  { name: "under 1 min", price: 1, until: 60_000 },
  { name: "1–2 min", price: 2, until: 120_000 },
  { name: "2–4 min", price: 3, until: 240_000 },
  { name: "4–8 min", price: 4, until: 480_000 },
  { name: "longer", price: 5, until: Infinity },
]
const FREE = BANDS.length // drawn pale: filtered away
const SHOWN = new Set(BANDS.keys())

export class HeatStore {
  #watch
  #byAge = false
  #bands
  #looks
  #listeners = []

  constructor(watch) {
    const { store, venue } = watch
    this.#watch = watch
    this.venue = Object.create(venue, { category: { value: venue.category, writable: true }, categories: { value: venue.categories, writable: true } })
    this.view = store.view
    this.leftInSection = store.leftInSection
    this.#bands = new Uint8Array(venue.seatCount)
    this.#looks = new Uint8Array(venue.seatCount)
    store.onChange((seats) => this.#update(seats))
    watch.addEventListener("ages", () => this.#byAge && this.#update(null))
  }

  onChange(listener) {
    this.#listeners.push(listener)
  }

  // Returns which categories are to be shown in full colour: a Set for SeatMap.filter.
  paint({ byAge }) {
    const { store, venue } = this.#watch
    this.#byAge = byAge
    this.venue.category = byAge ? this.#bands : venue.category
    this.venue.categories = byAge ? [...BANDS, { name: "free", price: 0 }] : venue.categories
    this.view = byAge ? this.#looks : store.view
    if (byAge) this.#repaint(null)
    return byAge ? SHOWN : new Set(venue.categories.keys())
  }

  #update(seats) {
    const changed = this.#byAge ? this.#repaint(seats) : seats
    if (changed === null || changed.length > 0) for (const listener of this.#listeners) listener(changed)
  }

  // Which of `seats` (null: of all) look different now.
  #repaint(seats) {
    const changed = []
    const { length } = this.#bands
    for (let i = 0; i < (seats ?? this.#bands).length; i++) {
      const seat = seats ? seats[i] : i
      const look = this.#watch.store.base[seat]
      const band = look === HELD ? bandOf(this.#watch.ageOf(seat)) : FREE
      const painted = look === HELD ? AVAILABLE : look
      if (band === this.#bands[seat] && painted === this.#looks[seat]) continue
      this.#bands[seat] = band
      this.#looks[seat] = painted
      changed.push(seat)
    }
    return changed.length * 2 > length ? null : changed
  }
}

const bandOf = (age) => BANDS.findIndex(({ until }) => age < until)
