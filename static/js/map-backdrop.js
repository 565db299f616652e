// What lies behind and over the seats: sections, stage and other shapes, names of sections and rows. Redrawn only
// when the view changes.

import { PITCH, SEAT } from "./venue.js"
import { isPanel, outlineSections } from "./map-outline.js"

const EDGE = PITCH * 0.95 // how far a section reaches beyond its outer seats
const NAMES_FROM = 4.5 // CSS pixels of a seat: from here names stand on the rim, below they are pills in the middle
const ROW_LETTERS_FROM = 11
const BESIDE_FROM = 20
const NAME_PX = 12
const NAME_GAP_PX = 13 // from the section's edge to the middle of its name
const PILL_SHARE = 0.75 // of its section that a pill may cover; else the seats are worth more

export class Backdrop {
  #ground
  #names
  #venue
  #store
  #view
  #ratio = 1
  #sections

  constructor(groundCanvas, namesCanvas, store, view) {
    this.#ground = groundCanvas
    this.#names = namesCanvas
    this.#store = store
    this.#venue = store.venue
    this.#view = view
    this.#sections = outlineSections(this.#venue).map((section, index) => ({
      ...section,
      text: this.#venue.sections[index],
      path: pathOf(section.stacks),
    }))
  }

  resize(ratio) {
    this.#ratio = ratio
    for (const canvas of [this.#ground, this.#names]) {
      canvas.width = Math.round(this.#view.width * ratio)
      canvas.height = Math.round(this.#view.height * ratio)
    }
  }

  restyle(palette) {
    this.palette = palette
  }

  draw() {
    this.#drawGround()
    this.drawNames()
  }

  // Alone, because a section's name fades when its last seat goes.
  drawNames() {
    const pen = this.#names.getContext("2d")
    const ratio = this.#ratio
    pen.setTransform(ratio, 0, 0, ratio, 0, 0)
    pen.clearRect(0, 0, this.#view.width, this.#view.height)
    pen.textAlign = "center"
    pen.textBaseline = "middle"
    const seat = SEAT * this.#view.scale
    if (seat >= ROW_LETTERS_FROM) this.#drawRowLetters(pen, seat)
    for (const [index, section] of this.#visibleSections()) {
      pen.fillStyle = this.#store.leftInSection[index] > 0 ? this.palette.ink : this.palette.faint
      if (seat >= NAMES_FROM && section.name) this.#drawOnRim(pen, section)
      else if (seat < NAMES_FROM) this.#drawPill(pen, section)
    }
  }

  #drawGround() {
    const pen = this.#ground.getContext("2d", { alpha: false })
    const { scale, x, y } = this.#view
    const ratio = this.#ratio
    pen.setTransform(1, 0, 0, 1, 0, 0)
    pen.fillStyle = this.palette.ground
    pen.fillRect(0, 0, this.#ground.width, this.#ground.height)
    pen.setTransform(ratio * scale, 0, 0, ratio * scale, x * ratio, y * ratio)
    pen.lineJoin = pen.lineCap = "round"
    for (const shape of this.#venue.shapes) if (isPanel(shape)) this.#drawPanel(pen, shape, scale)
    for (const [, section] of this.#visibleSections()) this.#drawSection(pen, section, scale)
    for (const shape of this.#venue.shapes) if (!isPanel(shape)) this.#drawShape(pen, shape, scale)
  }

  #drawSection(pen, { path }, scale) {
    pen.strokeStyle = this.palette.line
    pen.lineWidth = EDGE * 2 + 2 / scale
    pen.stroke(path)
    pen.strokeStyle = pen.fillStyle = this.palette.section
    pen.lineWidth = EDGE * 2
    pen.stroke(path)
    pen.fill(path)
  }

  #drawPanel(pen, shape, scale) {
    if (shape.points.length < 6) return
    shape.path ??= pathOf([shape.points])
    pen.fillStyle = this.palette.section
    pen.fill(shape.path)
    this.#tint(pen, shape.path, shape.color)
    pen.strokeStyle = this.palette.line
    pen.lineWidth = 1 / scale
    pen.stroke(shape.path)
  }

  // A hint of the plan's own colour: the strong colours are for prices.
  #tint(pen, path, color) {
    if (!/^#[0-9a-f]{6}$/i.test(color)) return
    pen.globalAlpha = 0.1
    pen.fillStyle = color
    pen.fill(path)
    pen.globalAlpha = 1
  }

  #drawShape(pen, { points, text, color }, scale) {
    if (points.length < 6) return
    const xs = points.filter((_, index) => index % 2 === 0)
    const ys = points.filter((_, index) => index % 2 === 1)
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)]
    const path = new Path2D()
    roundedPolygon(path, xs, ys, PITCH)

    const light = pen.createLinearGradient(0, top, 0, bottom)
    light.addColorStop(0, this.palette.line)
    light.addColorStop(1, this.palette.section)
    pen.fillStyle = light
    pen.fill(path)
    this.#tint(pen, path, color)
    pen.strokeStyle = this.palette.line
    pen.lineWidth = 1 / scale
    pen.stroke(path)
    this.#writeIn(pen, text.toUpperCase(), (left + right) / 2, (top + bottom) / 2, (right - left) * 0.9, scale)
  }

  #writeIn(pen, text, x, y, room, scale) {
    pen.fillStyle = this.palette.ink
    pen.textAlign = "center"
    pen.textBaseline = "middle"
    const size = Math.max(11, Math.min(13, scale * 9)) / scale
    pen.font = `600 ${size}px ${this.palette.font}`
    pen.letterSpacing = `${size * 0.22}px`
    if (pen.measureText(text).width <= room) pen.fillText(text, x, y)
    pen.letterSpacing = "0px"
  }

  #drawOnRim(pen, { text, name }) {
    const { scale } = this.#view
    pen.font = `600 ${NAME_PX}px ${this.palette.font}`
    if (pen.measureText(text).width > name.length * scale + PITCH * 2) return
    pen.save()
    const away = Math.min(name.room, EDGE + NAME_GAP_PX / scale)
    pen.translate(...this.#view.toScreen(name.x + name.outX * away, name.y + name.outY * away))
    pen.rotate(name.angle)
    pen.fillText(text, 0, 0)
    pen.restore()
  }

  #drawPill(pen, { text, box, centre }) {
    const width = (box.right - box.left) * this.#view.scale
    const size = Math.max(11, Math.min(13, width / 12))
    pen.font = `600 ${size}px ${this.palette.font}`
    const pill = pen.measureText(text).width + size * 1.2
    if (pill > width * PILL_SHARE) return
    const [x, y] = this.#view.toScreen(centre.x, centre.y)
    const ink = pen.fillStyle
    pen.globalAlpha = 0.88
    pen.fillStyle = this.palette.ground
    pen.beginPath()
    pen.roundRect(x - pill / 2, y - size * 0.85, pill, size * 1.7, size * 0.85)
    pen.fill()
    pen.globalAlpha = 1
    pen.fillStyle = ink
    pen.fillText(text, x, y + size * 0.06)
  }

  #drawRowLetters(pen, seat) {
    const { x, y, rows } = this.#venue
    const { left, right, top, bottom } = this.#view.visible(PITCH * 2)
    const step = seat >= BESIDE_FROM ? 0.72 : 0.95 // of the pitch; small letters need more room
    pen.fillStyle = this.palette.faint
    pen.font = `600 ${Math.max(10, Math.min(14, seat * 0.5))}px ${this.palette.font}`
    for (const row of rows) {
      if (!row.label) continue
      const last = row.first + row.count - 1
      for (const [end, inner] of [[row.first, Math.min(last, row.first + 1)], [last, Math.max(row.first, last - 1)]]) {
        if (end === inner || x[end] < left || x[end] > right || y[end] < top || y[end] > bottom) continue
        const beside = [x[end] + (x[end] - x[inner]) * step, y[end] + (y[end] - y[inner]) * step]
        pen.fillText(row.label, ...this.#view.toScreen(...beside))
      }
    }
  }

  *#visibleSections() {
    const { left, right, top, bottom } = this.#view.visible(PITCH * 4)
    for (const [index, section] of this.#sections.entries()) {
      const { box } = section
      if (box.right >= left && box.left <= right && box.bottom >= top && box.top <= bottom) yield [index, section]
    }
  }
}

function pathOf(stacks) {
  const path = new Path2D()
  for (const points of stacks) {
    path.moveTo(points[0], points[1])
    for (let i = 2; i < points.length; i += 2) path.lineTo(points[i], points[i + 1])
    path.closePath()
  }
  return path
}

function roundedPolygon(path, xs, ys, radius) {
  const count = xs.length
  path.moveTo((xs[count - 1] + xs[0]) / 2, (ys[count - 1] + ys[0]) / 2)
  for (let i = 0; i < count; i++) {
    const next = (i + 1) % count
    const before = (i + count - 1) % count
    const shorter = Math.min(Math.hypot(xs[i] - xs[before], ys[i] - ys[before]), Math.hypot(xs[i] - xs[next], ys[i] - ys[next]))
    path.arcTo(xs[i], ys[i], (xs[i] + xs[next]) / 2, (ys[i] + ys[next]) / 2, Math.min(radius, shorter * 0.4))
  }
  path.closePath()
}
