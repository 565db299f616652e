// The seat map: three canvases (ground, seats, names), one viewport, one frame loop. Draws what a store says and
// tells which seat was chosen or pointed at.

import { Backdrop } from "./map-backdrop.js"
import { Gestures } from "./map-gestures.js"
import { readPalette } from "./map-palette.js"
import { SeatLayer } from "./map-seats.js"
import { PITCH, SEAT } from "./venue.js"
import { Viewport } from "./map-viewport.js"

const RATIO_MAX = 2.5 // device pixels per CSS pixel: more is not seen, and costs
const TOUCH_TARGET_PX = 24 // WCAG 2.5.8: a tap on smaller seats zooms in first
const MOUSE_TARGET_PX = 9
const HOVER_FROM_PX = 4
const READABLE_SCALE = 2.2
const SLOW_DRAW_MS = 9 // slower: a gesture moves the finished picture, and draws anew now and then
const REDRAW_MS = 140
const GESTURE_MS = 90
const GLIDE_MS = 220

const still = matchMedia("(prefers-reduced-motion: reduce)")

export class SeatMap extends EventTarget {
  drawMs = 0 // moving average of a full draw

  #host
  #store
  #canvases
  #backdrop
  #seats
  #shown
  #changed = []
  #all = true // everything must be drawn
  #frame = 0
  #drawn = null // the view of the picture on screen
  #drawnAt = 0
  #gestureAt = 0
  #glide = null
  #soldOut = "" // sections without a seat left, as drawn

  // on: {choose(seat), hover(seat | -1)}, and for maps that are drawn upon {drag(from, to), drop(from, to)}, as in
  // map-gestures.js. Dispatches "view" when the view moved.
  constructor(host, store, { choose, hover, drag, drop }) {
    super()
    this.#host = host
    this.#store = store
    this.venue = store.venue
    this.view = new Viewport(this.venue.box)
    this.#shown = new Set(this.venue.categories.keys())
    this.#canvases = ["ground", "seats", "names"].map((name) => host.querySelector(`[data-layer=${name}]`))
    const [ground, seats, names] = this.#canvases
    this.#backdrop = new Backdrop(ground, names, store, this.view)
    this.#seats = new SeatLayer(seats, store, this.view)

    store.onChange((changed) => this.#mark(changed))
    new ResizeObserver(() => this.#resize()).observe(host)
    document.documentElement.addEventListener("themechange", () => this.restyle())
    new Gestures(host, {
      pan: (dx, dy) => this.#gesture(this.view.panned(dx, dy)),
      zoom: (x, y, factor) => this.#gesture(this.view.zoomed(x, y, factor)),
      tap: (x, y, isTouch) => this.#tap(x, y, isTouch, choose),
      hover: (x, y) => hover(SEAT * this.view.scale < HOVER_FROM_PX ? -1 : this.seatAt(x, y)),
      leave: () => hover(-1),
      drag,
      drop,
    })
    this.restyle()
    this.#resize()
  }

  // ---- view ----

  zoomBy(factor) {
    this.#glideTo(this.view.zoomed(this.view.width / 2, this.view.height / 2, factor))
  }

  panBy(across, down) {
    this.#glideTo(this.view.panned(-across * this.view.width, -down * this.view.height))
  }

  fit() {
    this.#glideTo(this.view.fitted())
  }

  // Brings a seat into view, large enough to see; at once, so that what is laid over it can follow.
  reveal(seat, margin = 60) {
    const [x, y] = this.pointOf(seat)
    const { width, height, scale } = this.view
    const inside = x > margin && x < width - margin && y > margin && y < height - margin
    if (scale >= READABLE_SCALE * 0.6 && inside) return
    this.#move(this.view.centredOn(this.venue.x[seat], this.venue.y[seat], Math.max(scale, READABLE_SCALE)))
  }

  // The same, gliding.
  show(seat) {
    const scale = Math.max(this.view.scale, READABLE_SCALE)
    this.#glideTo(this.view.centredOn(this.venue.x[seat], this.venue.y[seat], scale))
  }

  // Where a seat is, in CSS pixels of the map.
  pointOf(seat) {
    return this.view.toScreen(this.venue.x[seat], this.venue.y[seat])
  }

  seatAt(x, y) {
    return this.venue.seatAt(...this.view.toPlan(x, y), Math.max(PITCH * 0.62, 4 / this.view.scale))
  }

  // ---- look ----

  // Only these categories in full colour: a Set of their indexes.
  filter(shown) {
    this.#shown = shown
    this.restyle()
  }

  restyle() {
    const palette = readPalette(this.#host, this.venue.categories)
    this.#backdrop.restyle(palette)
    this.#seats.restyle(palette, this.#shown)
    this.#invalidate()
  }

  #mark(changed) {
    if (changed === null) this.#all = true
    else if (!this.#all) for (const seat of changed) this.#changed.push(seat)
    this.#ask()
  }

  #invalidate() {
    this.#all = true
    this.#ask()
  }

  #ask() {
    this.#frame ||= requestAnimationFrame((now) => {
      this.#frame = 0
      this.#paint(now)
    })
  }

  #resize() {
    const { width, height } = this.#host.getBoundingClientRect()
    if (width < 1 || height < 1) return // not shown yet
    const ratio = Math.min(devicePixelRatio || 1, RATIO_MAX)
    this.view.resize(width, height)
    this.#backdrop.resize(ratio)
    this.#seats.resize(ratio)
    this.#moved()
  }

  // ---- moving ----

  #move(to) {
    this.#glide = null
    this.view.set(to)
    this.#moved()
  }

  #gesture(to) {
    this.#gestureAt = performance.now()
    this.#move(to)
  }

  #glideTo(to) {
    if (still.matches) return this.#move(to)
    const { scale, x, y } = this.view
    this.#glide = { from: { scale, x, y }, to, startedAt: performance.now() }
    this.#ask()
  }

  #advanceGlide(now) {
    const { from, to, startedAt } = this.#glide
    const time = Math.min(1, Math.max(0, (now - startedAt) / GLIDE_MS))
    const eased = 1 - (1 - time) ** 3
    const between = (key) => from[key] + (to[key] - from[key]) * eased
    this.view.set({ scale: between("scale"), x: between("x"), y: between("y") })
    this.#all = true
    this.#gestureAt = now
    if (time === 1) this.#glide = null
    else this.#ask()
    this.#tellView()
  }

  #moved() {
    this.#invalidate()
    this.#tellView()
  }

  #tellView() {
    this.#host.classList.toggle("is-fitted", this.view.isFitted)
    this.dispatchEvent(new Event("view"))
  }

  #tap(x, y, isTouch, choose) {
    const target = isTouch ? TOUCH_TARGET_PX : MOUSE_TARGET_PX
    const size = PITCH * this.view.scale
    if (size < target) return this.#glideTo(this.view.zoomed(x, y, Math.max(2, (target * 1.25) / size)))
    const seat = this.seatAt(x, y)
    if (seat >= 0) choose(seat)
  }

  // ---- drawing ----

  #paint(now) {
    if (this.view.scale === 0) return // not on screen yet
    if (this.#glide) this.#advanceGlide(now)
    if (this.#all && this.#mayShift(now)) return this.#shift()
    if (this.#all) this.#drawAll(now)
    else if (this.#changed.length > 0) this.#drawChanges()
    this.#changed.length = 0
  }

  // During a gesture over a heavy scene.
  #mayShift(now) {
    const moving = this.#glide || performance.now() - this.#gestureAt < GESTURE_MS
    return this.#drawn && moving && this.drawMs > SLOW_DRAW_MS && now - this.#drawnAt < REDRAW_MS
  }

  #shift() {
    const by = this.view.scale / this.#drawn.scale
    const x = this.view.x - this.#drawn.x * by
    const y = this.view.y - this.#drawn.y * by
    for (const canvas of this.#canvases) canvas.style.transform = `translate(${x}px, ${y}px) scale(${by})`
    setTimeout(() => this.#ask(), REDRAW_MS)
  }

  #drawAll(now) {
    const startedAt = performance.now()
    this.#all = false
    this.#drawnAt = now
    this.#drawn = { scale: this.view.scale, x: this.view.x, y: this.view.y }
    for (const canvas of this.#canvases) canvas.style.transform = ""
    this.#backdrop.draw()
    this.#seats.draw()
    const took = performance.now() - startedAt
    this.drawMs = this.drawMs ? this.drawMs * 0.7 + took * 0.3 : took
  }

  #drawChanges() {
    this.#seats.patch(this.#changed)
    const soldOut = this.#store.leftInSection.reduce((text, left, index) => (left === 0 ? `${text},${index}` : text), "")
    if (soldOut === this.#soldOut) return
    this.#soldOut = soldOut
    this.#backdrop.drawNames()
  }
}
