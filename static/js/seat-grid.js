// Keyboard and screen reader on the map: a real ARIA grid over the canvas, of which only the row in use is in the
// document. The focused cell lies on its seat and is the focus ring.

import { accessibleWords } from "./accessible.js"
import { money } from "./format.js"
import { AVAILABLE, MINE, WORDS } from "./store.js"
import { PITCH, SEAT } from "./venue.js"

const TARGET_PX = 24
const LOOK_AROUND = 9 // row pitches that the up and down keys search
const ROW_PITCH = PITCH * 1.15

export class SeatGrid {
  #host
  #map
  #store
  #venue
  #choose
  #row = -1
  #seat = -1
  #cells = []
  #words

  // words: what each look is called, when it is not a buyer who reads
  constructor(host, map, store, choose, words = WORDS) {
    this.#words = words
    this.#host = host
    this.#map = map
    this.#store = store
    this.#venue = store.venue
    this.#choose = choose
    if (this.#venue.seatCount === 0) return

    host.setAttribute("aria-rowcount", this.#venue.rows.length)
    const first = this.#venue.rows[0]
    this.#goTo(first.first + (first.count >> 1))
    host.addEventListener("keydown", (event) => this.#key(event))
    host.addEventListener("focusin", () => this.#map.reveal(this.#seat))
    map.addEventListener("view", () => this.#place())
    store.onChange((seats) => this.#relabel(seats))
  }

  #key(event) {
    if (event.altKey || event.metaKey) return
    if (event.key === "Enter" || event.key === " ") this.#choose(this.#seat)
    else {
      const seat = this.#neighbour(event.key, event.ctrlKey)
      if (seat === null) return
      if (seat !== this.#seat) this.#goTo(seat, { focus: true })
    }
    event.preventDefault()
  }

  // Where a key leads from here; null for keys that mean nothing here.
  #neighbour(key, withControl) {
    const { rows } = this.#venue
    const { first, count } = rows[this.#row]
    const last = first + count - 1
    switch (key) {
      case "ArrowRight": return Math.min(last, this.#seat + 1)
      case "ArrowLeft": return Math.max(first, this.#seat - 1)
      case "ArrowUp": return this.#vertical(-1)
      case "ArrowDown": return this.#vertical(1)
      case "Home": return withControl ? rows[0].first : first
      case "End": return withControl ? rows.at(-1).first + rows.at(-1).count - 1 : last
      case "PageUp": return this.#otherSection(-1)
      case "PageDown": return this.#otherSection(1)
      case "n": return this.#nextAvailable()
      default: return null
    }
  }

  // By place, not by index: the nearest seat of another row above or below.
  #vertical(direction) {
    const { x, y, row } = this.#venue
    for (let step = 1; step <= LOOK_AROUND; step++) {
      const there = this.#venue.seatAt(x[this.#seat], y[this.#seat] + direction * ROW_PITCH * step, ROW_PITCH * 0.9)
      if (there >= 0 && row[there] !== this.#row) return there
    }
    return this.#seat
  }

  #otherSection(direction) {
    const { rows } = this.#venue
    const { section } = rows[this.#row]
    for (let row = this.#row + direction; rows[row]; row += direction) {
      if (rows[row].section !== section) return rows[row].first
    }
    return this.#seat
  }

  #nextAvailable() {
    const { view } = this.#store
    for (let step = 1; step < view.length; step++) {
      const seat = (this.#seat + step) % view.length
      if (view[seat] === AVAILABLE) return seat
    }
    return this.#seat
  }

  #goTo(seat, { focus = false } = {}) {
    this.#cell?.setAttribute("tabindex", "-1")
    if (this.#venue.row[seat] !== this.#row) this.#buildRow(this.#venue.row[seat])
    this.#seat = seat
    this.#cell.setAttribute("tabindex", "0")
    if (focus) {
      this.#cell.focus({ preventScroll: true })
      this.#map.reveal(seat)
    }
    this.#place()
  }

  get #cell() {
    return this.#cells[this.#seat - this.#venue.rows[this.#row]?.first]
  }

  #buildRow(index) {
    const { rows, sections } = this.#venue
    const row = rows[index]
    this.#row = index
    const element = document.createElement("div")
    element.setAttribute("role", "row")
    element.setAttribute("aria-rowindex", index + 1)
    element.setAttribute("aria-label", [sections[row.section], row.label && `row ${row.label}`].filter(Boolean).join(", "))
    this.#cells = Array.from({ length: row.count }, (_, column) => {
      const cell = document.createElement("div")
      cell.setAttribute("role", "gridcell")
      cell.setAttribute("aria-colindex", column + 1)
      cell.setAttribute("tabindex", "-1")
      return cell
    })
    element.append(...this.#cells)
    this.#host.replaceChildren(element)
    this.#relabel(null)
  }

  #relabel(seats) {
    const { first, count } = this.#venue.rows[this.#row]
    if (seats && !seats.some((seat) => seat >= first && seat < first + count)) return
    this.#cells.forEach((cell, column) => {
      const seat = first + column
      const look = this.#store.view[seat]
      const price = money(this.#venue.price(seat), this.#venue.currency)
      const words = [this.#venue.label(seat), this.#venue.categoryName(seat), price, this.#words[look], accessibleWords(this.#venue, seat, look)]
      cell.setAttribute("aria-label", words.filter(Boolean).join(", "))
      cell.setAttribute("aria-selected", look >= MINE)
      cell.setAttribute("aria-disabled", look !== AVAILABLE && look < MINE)
    })
  }

  #place() {
    const cell = this.#cell
    if (!cell) return
    const [x, y] = this.#map.pointOf(this.#seat)
    const edge = Math.max(TARGET_PX, SEAT * this.#map.view.scale + 8)
    Object.assign(cell.style, {
      left: `${x - edge / 2}px`, top: `${y - edge / 2}px`, width: `${edge}px`, height: `${edge}px`,
    })
  }
}
