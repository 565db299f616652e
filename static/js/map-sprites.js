// One small picture per category and look, drawn once per size. Colour means price, shape means state.

import { AVAILABLE, BLOCKED, BOOKED, HELD, LOOKS, MINE, PENDING } from "./store.js"

export const KEPT = LOOKS // a wheelchair place that is kept for who needs it: one picture more than there are looks

const PICTURES = LOOKS + 1
const PADDING = 2 // device pixels around a seat, for the larger look of mine
const SQUARES_BELOW = 5 // device pixels: smaller seats are plain squares
const HATCH_FROM = 7
const CORNER = 0.38
const DIMMED = 0.16

export class Sprites {
  // `shown`: Set of category indexes that are not filtered away
  constructor(size, palette, shown) {
    this.size = Math.max(1, Math.round(size))
    this.plain = this.size < SQUARES_BELOW
    this.padding = this.plain ? 0 : PADDING
    this.edge = this.size + this.padding * 2
    this.pixels = this.#draw(palette, shown)
  }

  // Where the picture begins in `pixels`: edge × edge of them.
  offset(category, look) {
    return (category * PICTURES + look) * this.edge * this.edge
  }

  #draw(palette, shown) {
    const { edge, padding } = this
    const canvas = document.createElement("canvas")
    canvas.width = edge
    canvas.height = edge * palette.seats.length * PICTURES
    const pen = canvas.getContext("2d", { willReadFrequently: true })
    palette.seats.forEach((color, category) => {
      for (let look = 0; look < PICTURES; look++) {
        pen.save()
        pen.translate(padding, (category * PICTURES + look) * edge + padding)
        const dim = shown.has(category) || look === MINE || look === PENDING ? 1 : DIMMED
        if (this.plain) this.#square(pen, look, color, palette, dim)
        else this.#seat(pen, look, color, palette, dim)
        pen.restore()
      }
    })
    return new Uint32Array(pen.getImageData(0, 0, canvas.width, canvas.height).data.buffer)
  }

  #square(pen, look, color, palette, dim) {
    const strength = { [AVAILABLE]: 1, [HELD]: 0.45, [BOOKED]: 0.4, [BLOCKED]: 0.2, [MINE]: 1, [PENDING]: 0.6, [KEPT]: 0.3 }
    pen.globalAlpha = strength[look] * dim
    pen.fillStyle = look === MINE || look === PENDING ? palette.mine : look === AVAILABLE || look === HELD ? color : palette.sold
    pen.fillRect(0, 0, this.size, this.size)
  }

  #seat(pen, look, color, palette, dim) {
    switch (look) {
      case AVAILABLE: return this.#available(pen, color, dim)
      case HELD: return this.#held(pen, color, dim)
      case BOOKED: return this.#booked(pen, palette.sold)
      case BLOCKED: return this.#blocked(pen, palette.sold)
      case MINE: return this.#mine(pen, palette)
      case PENDING: return this.#pending(pen, palette)
      case KEPT: return this.#kept(pen, palette.sold)
    }
  }

  #available(pen, color, dim) {
    pen.globalAlpha = dim
    pen.fillStyle = color
    this.#outline(pen, 0)
    pen.fill()
  }

  // An outline with hatching; where there is no room for hatching, a tint.
  #held(pen, color, dim) {
    const { size } = this
    const width = Math.max(1, size * 0.11)
    pen.globalAlpha = dim
    pen.strokeStyle = pen.fillStyle = color
    pen.lineWidth = width
    this.#outline(pen, width / 2)
    pen.stroke()
    if (size < HATCH_FROM) {
      pen.globalAlpha = dim * 0.3
      pen.fill()
      return
    }
    pen.clip()
    pen.beginPath()
    for (let x = -size; x < size; x += Math.max(3, size * 0.32)) {
      pen.moveTo(x, size)
      pen.lineTo(x + size, 0)
    }
    pen.lineWidth = width * 0.8
    pen.stroke()
  }

  #booked(pen, color) {
    pen.fillStyle = color
    pen.beginPath()
    pen.arc(this.size / 2, this.size / 2, Math.max(1, this.size * 0.18), 0, 7)
    pen.fill()
  }

  #blocked(pen, color) {
    const near = this.size * 0.36
    const far = this.size - near
    pen.strokeStyle = color
    pen.lineWidth = Math.max(1, this.size * 0.09)
    pen.beginPath()
    pen.moveTo(near, near)
    pen.lineTo(far, far)
    pen.moveTo(far, near)
    pen.lineTo(near, far)
    pen.stroke()
  }

  #kept(pen, color) {
    const width = Math.max(1, this.size * 0.09)
    pen.strokeStyle = color
    pen.lineWidth = width
    this.#outline(pen, width / 2)
    pen.stroke()
  }

  #mine(pen, { mine, onMine }) {
    const { size } = this
    pen.fillStyle = mine
    this.#outline(pen, -1.5)
    pen.fill()
    pen.strokeStyle = onMine
    pen.lineWidth = Math.max(1.2, size * 0.15)
    pen.lineCap = pen.lineJoin = "round"
    pen.beginPath()
    pen.moveTo(size * 0.24, size * 0.54)
    pen.lineTo(size * 0.43, size * 0.72)
    pen.lineTo(size * 0.78, size * 0.3)
    pen.stroke()
  }

  #pending(pen, { mine }) {
    const width = Math.max(1, this.size * 0.12)
    this.#outline(pen, -1 + width / 2)
    pen.fillStyle = pen.strokeStyle = mine
    pen.globalAlpha = 0.5
    pen.fill()
    pen.globalAlpha = 1
    pen.setLineDash([this.size * 0.2, this.size * 0.14])
    pen.lineWidth = width
    pen.stroke()
  }

  #outline(pen, inset) {
    const edge = this.size - inset * 2
    pen.beginPath()
    pen.roundRect(inset, inset, edge, edge, Math.min(edge / 2, this.size * CORNER))
  }
}
