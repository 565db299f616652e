// "Choose from a list": section, then row, then seats, as plain buttons. The first way for screen readers, and a
// good one for everybody else.

import { accessibleWords } from "./accessible.js"
import { money, plural, priceRange } from "./format.js"
import { tonesOf } from "./map-palette.js"
import { AVAILABLE, MINE } from "./store.js"
import { throttled } from "./throttle.js"

const REFRESH_MS = 400

// Module scope: nothing of the session may become reactive.
let session = null
let tones = []

export const listPanel = (visit) => () => ({
  open: false,
  section: -1,
  row: -1,
  sections: [],
  rows: [],
  seats: [],

  async init() {
    session = await visit.catch(() => null)
    if (!session) return
    tones = tonesOf(session.venue.categories)
    const refreshSoon = throttled(REFRESH_MS, () => this.open && this.refresh())
    session.addEventListener("seats", refreshSoon)
    session.addEventListener("hold", refreshSoon)
  },

  toggled(event) {
    this.open = event.detail.open
    if (!this.open) return
    this.refresh()
    this.$nextTick(() => this.$refs.sections.querySelector(".list-entry:not(:disabled)")?.focus())
  },

  refresh() {
    this.sections = session.venue.sections.map((name, index) => this.describeSection(name, index))
    this.rows = this.section < 0 ? [] : rowsOf(this.section).map((index) => describeRow(index, index === this.row))
    this.seats = this.row < 0 ? [] : seatsOf(this.row).map(describeSeat)
  },

  describeSection(name, index) {
    const left = session.store.leftInSection[index]
    return { index, name: name || "All seats", left: leftText(left), soldOut: left === 0, current: index === this.section }
  },

  pickSection(index) {
    this.section = index
    this.row = -1
    this.refresh()
    this.$nextTick(() => this.$refs.rows.querySelector(".list-entry:not(:disabled)")?.focus())
  },

  pickRow(index) {
    this.row = index
    this.refresh()
    this.$nextTick(() => this.$refs.seats.querySelector(".list-seat:not(:disabled)")?.focus())
  },

  back() {
    const column = this.row >= 0 ? this.$refs.rows : this.$refs.sections
    if (this.row >= 0) this.row = -1
    else this.section = -1
    this.refresh()
    this.$nextTick(() => column.querySelector(".list-entry[aria-current=true], .list-entry:not(:disabled)")?.focus())
  },

  pickSeat(index) {
    session.toggle(index)
  },

  get step() {
    return this.section < 0 ? "list at-sections" : this.row < 0 ? "list at-rows" : "list at-seats"
  },
  get sectionName() {
    return this.section < 0 ? "" : session.venue.sections[this.section]
  },
  get seatsTitle() {
    if (this.row < 0) return "Seats"
    const { label } = session.venue.rows[this.row]
    return [this.sectionName, label && `row ${label}`].filter(Boolean).join(", ")
  },
})

function rowsOf(section) {
  return [...session.venue.rows.keys()].filter((index) => session.venue.rows[index].section === section)
}

function seatsOf(row) {
  const { first, count } = session.venue.rows[row]
  return Array.from({ length: count }, (_, k) => first + k)
}

function describeRow(index, current) {
  const { venue, store } = session
  const seats = seatsOf(index)
  const left = seats.filter((seat) => store.view[seat] === AVAILABLE)
  const prices = (left.length > 0 ? left : seats).map((seat) => venue.price(seat))
  return {
    index,
    current,
    name: venue.rowLabel(venue.rows[index]),
    left: leftText(left.length),
    price: priceRange(prices, venue.currency),
    soldOut: left.length === 0,
    swatch: `swatch tone-${tones[venue.category[seats[0]]]}`,
  }
}

function describeSeat(seat) {
  const { venue, store } = session
  const look = store.view[seat]
  const price = money(venue.price(seat), venue.currency)
  return {
    index: seat,
    number: venue.numbers[seat],
    label: [venue.label(seat), venue.categoryName(seat), price, accessibleWords(venue, seat, look)].filter(Boolean).join(", "),
    price,
    chosen: look >= MINE,
    disabled: look !== AVAILABLE && look < MINE,
    look: `list-seat tone-${tones[venue.category[seat]]}`,
  }
}

const leftText = (left) => (left === 0 ? "none left" : plural(left, "left", "left"))
