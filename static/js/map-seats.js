// The seats' canvas: copies sprites into one pixel buffer, so that a full draw costs by the pixels of the screen
// and not by the number of seats; then repaints only what changed.

import { isKept, SIGN } from "./accessible.js"
import { AVAILABLE } from "./store.js"
import { SEAT } from "./venue.js"
import { KEPT, Sprites } from "./map-sprites.js"

const PATCH_MAX = 200 // more changes than this are put on the screen in one piece
const NUMBER_FROM = 17 // CSS pixels: larger seats show their number

const sign = new Path2D(SIGN)

export class SeatLayer {
  #canvas
  #pen
  #venue
  #store
  #view // the Viewport
  #ratio = 1
  #image
  #pixels
  #sprites = null

  constructor(canvas, store, view) {
    this.#canvas = canvas
    this.#pen = canvas.getContext("2d")
    this.#store = store
    this.#venue = store.venue
    this.#view = view
  }

  resize(ratio) {
    this.#ratio = ratio
    this.#canvas.width = Math.round(this.#view.width * ratio)
    this.#canvas.height = Math.round(this.#view.height * ratio)
    this.#image = new ImageData(this.#canvas.width, this.#canvas.height)
    this.#pixels = new Uint32Array(this.#image.data.buffer)
  }

  // New colours or another filter.
  restyle(palette, shown) {
    this.palette = palette
    this.shown = shown
    this.#sprites = null
  }

  draw() {
    this.#prepareSprites()
    this.#pixels.fill(0)
    this.#eachVisible((seat) => this.#blit(seat))
    this.#pen.putImageData(this.#image, 0, 0)
    if (this.#showsNumbers) this.#eachVisible((seat) => this.#number(seat))
  }

  // Repaints these seats and what touches them.
  patch(seats) {
    const { edge } = this.#sprites
    const reach = (edge + 1) / this.#factor
    const whole = seats.length > PATCH_MAX
    for (const seat of seats) {
      const [left, top] = this.#corner(seat)
      if (left <= -edge || top <= -edge || left >= this.#canvas.width || top >= this.#canvas.height) continue
      this.#clear(left, top, edge)
      this.#eachNear(seat, reach, (near) => this.#blit(near))
      if (whole) continue
      this.#pen.putImageData(this.#image, 0, 0, left, top, edge, edge)
      if (this.#showsNumbers) this.#eachNear(seat, reach, (near) => this.#number(near))
    }
    if (!whole) return
    this.#pen.putImageData(this.#image, 0, 0)
    if (this.#showsNumbers) this.#eachVisible((seat) => this.#number(seat))
  }

  get #factor() {
    return this.#view.scale * this.#ratio // plan units → device pixels
  }

  get #showsNumbers() {
    return SEAT * this.#view.scale >= NUMBER_FROM
  }

  #prepareSprites() {
    const size = Math.max(1, Math.round(SEAT * this.#factor))
    if (this.#sprites?.size !== size) this.#sprites = new Sprites(size, this.palette, this.shown)
  }

  #eachVisible(visit) {
    const { left, top, right, bottom } = this.#view.visible(SEAT)
    const { grid } = this.#venue
    grid.eachRun(left, top, right, bottom, (from, to) => {
      for (let k = from; k < to; k++) visit(grid.items[k])
    })
  }

  #eachNear(seat, reach, visit) {
    const { grid, x, y } = this.#venue
    grid.eachRun(x[seat] - reach, y[seat] - reach, x[seat] + reach, y[seat] + reach, (from, to) => {
      for (let k = from; k < to; k++) {
        const near = grid.items[k]
        if (Math.abs(x[near] - x[seat]) < reach && Math.abs(y[near] - y[seat]) < reach) visit(near)
      }
    })
  }

  // Top left of a seat's sprite, in device pixels.
  #corner(seat) {
    const half = this.#sprites.edge >> 1
    const factor = this.#factor
    return [
      Math.floor(this.#venue.x[seat] * factor + this.#view.x * this.#ratio + 0.5) - half,
      Math.floor(this.#venue.y[seat] * factor + this.#view.y * this.#ratio + 0.5) - half,
    ]
  }

  #blit(seat) {
    const { width, height } = this.#canvas
    const { edge, pixels: source } = this.#sprites
    const target = this.#pixels
    const factor = this.#factor
    const half = edge >> 1
    const left = Math.floor(this.#venue.x[seat] * factor + this.#view.x * this.#ratio + 0.5) - half
    const top = Math.floor(this.#venue.y[seat] * factor + this.#view.y * this.#ratio + 0.5) - half
    const fromX = Math.max(0, -left)
    const toX = Math.min(edge, width - left)
    const fromY = Math.max(0, -top)
    const toY = Math.min(edge, height - top)
    const look = this.#store.view[seat]
    const offset = this.#sprites.offset(this.#venue.category[seat], isKept(this.#venue, seat, look) ? KEPT : look)
    for (let y = fromY; y < toY; y++) {
      let to = (top + y) * width + left + fromX
      for (let from = offset + y * edge + fromX, end = offset + y * edge + toX; from < end; from++, to++) {
        // Alpha is the highest byte, so the larger number is the more opaque pixel: the same in any order.
        if (source[from] > target[to]) target[to] = source[from]
      }
    }
  }

  #clear(left, top, edge) {
    const { width, height } = this.#canvas
    const from = Math.max(0, left)
    const to = Math.min(width, left + edge)
    for (let y = Math.max(0, top); y < Math.min(height, top + edge); y++) {
      this.#pixels.fill(0, y * width + from, y * width + to)
    }
  }

  #number(seat) {
    const look = this.#store.view[seat]
    if (isKept(this.#venue, seat, look)) return this.#sign(seat, this.palette.ink)
    if (look !== AVAILABLE) return
    const { category, numbers, x, y } = this.#venue
    if (!this.shown.has(category[seat])) return
    if (this.#venue.accessible.has(seat)) return this.#sign(seat, this.palette.numbers[category[seat]])
    const factor = this.#factor
    const text = numbers[seat]
    const fit = text.length > 3 ? 3 / text.length : 1
    const pen = this.#pen
    pen.font = `600 ${Math.round(SEAT * factor * 0.4 * fit)}px ${this.palette.font}`
    pen.textAlign = "center"
    pen.textBaseline = "middle"
    pen.fillStyle = this.palette.numbers[category[seat]]
    pen.fillText(text, x[seat] * factor + this.#view.x * this.#ratio, y[seat] * factor + this.#view.y * this.#ratio + 0.5)
  }

  // In place of the number of a wheelchair place.
  #sign(seat, color) {
    const factor = this.#factor
    const scale = (SEAT * factor * 0.72) / 16
    const pen = this.#pen
    pen.save()
    pen.translate(this.#venue.x[seat] * factor + this.#view.x * this.#ratio, this.#venue.y[seat] * factor + this.#view.y * this.#ratio)
    pen.scale(scale, scale)
    pen.translate(-7.6, -8.1)
    pen.strokeStyle = color
    pen.lineWidth = 1.7
    pen.lineCap = pen.lineJoin = "round"
    pen.stroke(sign)
    pen.restore()
  }
}
