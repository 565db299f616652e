// The map and what surrounds it: category chips, zoom and pan buttons, the list as another way to choose.

import { money, plural } from "./format.js"
import { SeatMap } from "./map.js"
import { tonesOf } from "./map-palette.js"
import { Tooltip } from "./map-tooltip.js"
import { SeatGrid } from "./seat-grid.js"
import { throttled } from "./throttle.js"

const ZOOM_STEP = 1.6
const PAN_STEP = 0.25 // of the map
const COUNTS_MS = 250

// `shared` gets the map, for the other panels and for tests.
export const mapPanel = (visit, shared) => () => ({
  categories: [],
  hasAccessible: false,
  listOpen: false,

  async init() {
    const session = await visit.catch(() => null)
    if (!session) return
    this.showCategories(session)
    this.hasAccessible = session.venue.accessible.size > 0
    this.mountMap(session)
    session.addEventListener("seats", throttled(COUNTS_MS, () => this.countCategories(session.store)))
  },

  mountMap(session) {
    const host = this.$refs.map
    const choose = (seat) => session.toggle(seat)
    let tooltip = null
    const map = new SeatMap(host, session.store, { choose, hover: (seat) => tooltip?.show(seat) })
    tooltip = new Tooltip(host, map, session.store)
    new SeatGrid(this.$refs.grid, map, session.store, choose)
    shared.map = map
    shared.isWanted = (category) => this.categories[category].shown
  },

  showCategories({ venue }) {
    const tones = tonesOf(venue.categories)
    const used = new Set(venue.category.filter((_, seat) => !venue.removed.has(seat)))
    this.categories = venue.categories.map(({ name, price }, index) => ({
      index, name, price: money(price, venue.currency), left: "", soldOut: false, shown: true, used: used.has(index),
      swatch: `swatch tone-${tones[index]}`,
    }))
  },

  countCategories(store) {
    for (const category of this.categories) {
      const left = store.leftInCategory[category.index]
      category.left = left > 0 ? `${plural(left, "left", "left")}` : "sold out"
      category.soldOut = left === 0
    }
  },

  // The first press shows this category alone; further presses add and remove; none left shows all again.
  toggleCategory(category) {
    const all = this.categories.every(({ shown }) => shown)
    if (all) for (const other of this.categories) other.shown = other === category
    else category.shown = !category.shown
    if (!this.categories.some(({ shown }) => shown)) for (const other of this.categories) other.shown = true
    shared.map.filter(new Set(this.categories.filter(({ shown }) => shown).map(({ index }) => index)))
  },

  get filtered() {
    return this.categories.some(({ shown }) => !shown)
  },

  toggleList() {
    this.listOpen = !this.listOpen
    this.$dispatch("list-toggled", { open: this.listOpen })
    if (!this.listOpen) this.$refs.listButton.focus()
  },

  get listButtonText() {
    return this.listOpen ? "Back to the map" : "Choose from a list"
  },

  zoomIn() {
    shared.map?.zoomBy(ZOOM_STEP)
  },
  zoomOut() {
    shared.map?.zoomBy(1 / ZOOM_STEP)
  },
  fit() {
    shared.map?.fit()
  },
  pan(across, down) {
    shared.map?.panBy(across * PAN_STEP, down * PAN_STEP)
  },
})
