// Which part of the plan is on screen: scale and offset, in CSS pixels. No DOM.

const SCALE_MAX = 5 // a seat is 40 px then
const FIT_MAX = 4 // small rooms do not fill the screen with giant seats
const FIT_MARGIN = 20
const OVERSCROLL = 80 // so much of the plan stays visible, however far one pans
const SHRINK = 0.85 // below the whole venue one can zoom out this much

export class Viewport {
  width = 1
  height = 1
  scale = 0 // nothing is shown yet
  x = 0
  y = 0
  #box

  constructor(box) {
    this.#box = box
  }

  get fitScale() {
    const { left, top, right, bottom } = this.#box
    const scale = Math.min((this.width - FIT_MARGIN * 2) / (right - left), (this.height - FIT_MARGIN * 2) / (bottom - top))
    return Math.max(0.001, Math.min(FIT_MAX, scale))
  }

  // Shows the whole venue: not worth zooming out from.
  get isFitted() {
    return this.scale <= this.fitScale * 1.05
  }

  // Keeps what was in the middle in the middle.
  resize(width, height) {
    const fitted = this.isFitted
    this.x += (width - this.width) / 2
    this.y += (height - this.height) / 2
    this.width = width
    this.height = height
    if (fitted) this.set(this.fitted())
    else this.set(this)
  }

  fitted() {
    const { left, top, right, bottom } = this.#box
    return this.#centred((left + right) / 2, (top + bottom) / 2, this.fitScale)
  }

  // A plan point in the middle of the screen.
  centredOn(x, y, scale = this.scale) {
    return this.#centred(x, y, this.#allowed(scale))
  }

  zoomed(screenX, screenY, factor) {
    const scale = this.#allowed(this.scale * factor)
    const by = scale / this.scale
    return { scale, x: screenX - (screenX - this.x) * by, y: screenY - (screenY - this.y) * by }
  }

  panned(dx, dy) {
    return { scale: this.scale, x: this.x + dx, y: this.y + dy }
  }

  set({ scale, x, y }) {
    const { left, top, right, bottom } = this.#box
    this.scale = scale
    this.x = Math.min(this.width - OVERSCROLL - left * scale, Math.max(OVERSCROLL - right * scale, x))
    this.y = Math.min(this.height - OVERSCROLL - top * scale, Math.max(OVERSCROLL - bottom * scale, y))
  }

  toScreen(x, y) {
    return [x * this.scale + this.x, y * this.scale + this.y]
  }

  toPlan(screenX, screenY) {
    return [(screenX - this.x) / this.scale, (screenY - this.y) / this.scale]
  }

  // The visible part of the plan, `margin` plan units wider.
  visible(margin = 0) {
    const [left, top] = this.toPlan(0, 0)
    const [right, bottom] = this.toPlan(this.width, this.height)
    return { left: left - margin, top: top - margin, right: right + margin, bottom: bottom + margin }
  }

  #centred(x, y, scale) {
    return { scale, x: this.width / 2 - x * scale, y: this.height / 2 - y * scale }
  }

  #allowed(scale) {
    return Math.max(this.fitScale * SHRINK, Math.min(SCALE_MAX, scale))
  }
}
