// What is known of every seat. `base` is what the server said; `view` is what is drawn: the overlay of my
// unanswered commands over what is mine over the base. Nothing but the server writes the base, so taking an
// optimistic click back is deleting its overlay. Typed arrays: never give this object to Alpine.

export const AVAILABLE = 0
export const HELD = 1
export const BOOKED = 2
export const BLOCKED = 3
export const MINE = 4 // in my hold, or in an order of mine
export const PENDING = 5 // I asked; no answer yet
export const LOOKS = 6

export const WORDS = ["available", "held by somebody else", "sold", "not for sale", "yours", "one moment…"]

export class SeatStore {
  position = { epoch: 0, version: 0 }
  mine = new Set()
  owned = new Set() // seats that I have booked
  #overlay = new Set()
  #listeners = []

  constructor(venue) {
    this.venue = venue
    this.base = new Uint8Array(venue.seatCount)
    this.view = new Uint8Array(venue.seatCount)
    this.counts = new Int32Array(4)
    this.leftInCategory = new Int32Array(venue.categories.length)
    this.leftInSection = new Int32Array(venue.sections.length)
    this.#recount()
  }

  // listener(seats): the seats that look different now; null means all of them may.
  onChange(listener) {
    this.#listeners.push(listener)
  }

  takeSnapshot(position, statuses) {
    this.position = position
    this.base.set(statuses)
    this.#recount()
    for (const seat of this.owned) this.#forgetFree(seat)
    for (let seat = 0; seat < this.view.length; seat++) this.view[seat] = this.base[seat]
    for (const seat of [...this.owned, ...this.mine, ...this.#overlay]) this.#refresh(seat)
    this.#emit(null)
  }

  // `entries`: u32 seat << 8 | status
  takeEntries(position, entries) {
    this.position = position
    const changed = []
    for (const entry of entries) {
      const seat = entry >>> 8
      if (seat >= this.base.length) continue
      this.#count(seat, -1)
      this.base[seat] = entry & 3
      this.#forgetFree(seat)
      this.#count(seat, 1)
      if (this.#refresh(seat)) changed.push(seat)
    }
    this.#emit(changed)
  }

  setMine(seats) {
    const before = this.mine
    this.mine = new Set(seats)
    this.#refreshAll(before, this.mine)
  }

  setOwned(seats) {
    const before = this.owned
    this.owned = new Set(seats)
    this.#refreshAll(before, this.owned)
  }

  // Shows seats as asked for.
  cover(seats) {
    for (const seat of seats) this.#overlay.add(seat)
    this.#emit(seats.filter((seat) => this.#refresh(seat)))
  }

  uncover(seats) {
    for (const seat of seats) this.#overlay.delete(seat)
    this.#emit(seats.filter((seat) => this.#refresh(seat)))
  }

  get left() {
    return this.counts[AVAILABLE]
  }

  // Whoever buys it next, it is theirs.
  #forgetFree(seat) {
    if (this.base[seat] === AVAILABLE) this.owned.delete(seat)
  }

  #refreshAll(before, after) {
    const touched = [...new Set([...before, ...after])]
    this.#emit(touched.filter((seat) => this.#refresh(seat)))
  }

  #look(seat) {
    if (this.#overlay.has(seat)) return PENDING
    if (this.mine.has(seat) || (this.owned.has(seat) && this.base[seat] === BOOKED)) return MINE
    return this.base[seat]
  }

  #refresh(seat) {
    const look = this.#look(seat)
    if (look === this.view[seat]) return false
    this.view[seat] = look
    return true
  }

  #recount() {
    this.counts.fill(0)
    this.leftInCategory.fill(0)
    this.leftInSection.fill(0)
    for (let seat = 0; seat < this.base.length; seat++) this.#count(seat, 1)
  }

  #count(seat, by) {
    const status = this.base[seat]
    this.counts[status] += by
    if (status !== AVAILABLE) return
    this.leftInCategory[this.venue.category[seat]] += by
    this.leftInSection[this.venue.section[seat]] += by
  }

  #emit(seats) {
    if (seats === null || seats.length > 0) for (const listener of this.#listeners) listener(seats)
  }
}
