// The ring around the seat under the mouse, and the words beside it. Moved over the map, so that pointing at seats
// never draws the canvas. For eyes only: the grid says the same to screen readers.

import { accessibleWords } from "./accessible.js"
import { money } from "./format.js"
import { AVAILABLE, MINE, WORDS } from "./store.js"
import { SEAT } from "./venue.js"

const GAP_PX = 8
const EDGE_PX = 8

export class Tooltip {
  #host
  #map
  #store
  #describe
  #seat = -1

  // describe(seat): {text, active}, what is said under the seat's name and whether a press does something
  constructor(host, map, store, describe = (seat) => buyersWords(store, seat)) {
    this.#host = host
    this.#map = map
    this.#store = store
    this.#describe = describe
    this.ring = host.querySelector("[data-ring]")
    this.box = host.querySelector("[data-tooltip]")
    map.addEventListener("view", () => this.show(-1))
    store.onChange((seats) => this.#seat >= 0 && (!seats || seats.includes(this.#seat)) && this.#fill())
  }

  show(seat) {
    if (seat === this.#seat) return
    this.#seat = seat
    this.ring.hidden = this.box.hidden = seat < 0
    if (seat < 0) return this.#host.classList.remove("is-over-seat")
    this.#fill()
    this.#place()
  }

  #fill() {
    const [title, words] = this.box.children
    const { text, active } = this.#describe(this.#seat)
    title.textContent = this.#store.venue.label(this.#seat)
    words.textContent = text
    this.#host.classList.toggle("is-over-seat", active)
  }

  #place() {
    const [x, y] = this.#map.pointOf(this.#seat)
    const { width } = this.#map.view
    const edge = SEAT * this.#map.view.scale + 8
    Object.assign(this.ring.style, {
      left: `${x - edge / 2}px`, top: `${y - edge / 2}px`, width: `${edge}px`, height: `${edge}px`,
    })
    const { offsetWidth, offsetHeight } = this.box
    const above = y - edge / 2 - GAP_PX - offsetHeight
    Object.assign(this.box.style, {
      left: `${Math.max(EDGE_PX, Math.min(width - offsetWidth - EDGE_PX, x - offsetWidth / 2))}px`,
      top: `${above < EDGE_PX ? y + edge / 2 + GAP_PX : above}px`,
    })
  }
}

function buyersWords({ venue, view }, seat) {
  const look = view[seat]
  const price = `${venue.categoryName(seat)} · ${money(venue.price(seat), venue.currency)}`
  const state = look === AVAILABLE ? price : look === MINE ? `${price} · yours` : capitalised(WORDS[look])
  const place = accessibleWords(venue, seat, look)
  const text = !place ? state : look === AVAILABLE || look === MINE ? `${state} · ${place}` : capitalised(place)
  return { text, active: look === AVAILABLE || look === MINE }
}

export const capitalised = (text) => text[0].toUpperCase() + text.slice(1)
