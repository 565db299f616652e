// Pointers and wheel on the map: drag, pinch, tap, hover. Every gesture has a button or a key beside it.

const DRAG_FROM_PX = 6 // less is a tap
const WHEEL_ZOOM = 0.0016 // per pixel of wheel
const PINCH_WHEEL_ZOOM = 0.01 // a trackpad's pinch comes as a wheel with ctrl
const LINE_PX = 16 // wheels that count lines

export class Gestures {
  #element
  #on
  #pointers = new Map() // id → [x, y]
  #travelled = 0
  #pinch = null // {distance, x, y}
  #from = [0, 0] // where the press began

  // on: {pan(dx, dy), zoom(x, y, factor), tap(x, y, isTouch), hover(x, y), leave()}, and where a drag may be more
  // than a pan: {drag(from, to), which says whether it is, drop(from, to)}
  constructor(element, on) {
    this.#element = element
    this.#on = on
    element.addEventListener("pointerdown", (event) => this.#down(event))
    element.addEventListener("pointermove", (event) => this.#move(event))
    element.addEventListener("pointerup", (event) => this.#up(event))
    element.addEventListener("pointercancel", (event) => this.#cancel(event))
    element.addEventListener("pointerleave", () => on.leave())
    element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false })
  }

  #at(event) {
    const box = this.#element.getBoundingClientRect()
    return [event.clientX - box.left, event.clientY - box.top]
  }

  #down(event) {
    if (event.button !== 0 || event.target.closest("button, a, [role=gridcell]")) return
    if (this.#pointers.size === 0) {
      this.#travelled = 0
      this.#from = this.#at(event)
    }
    this.#pointers.set(event.pointerId, this.#at(event))
    this.#pinch = null
  }

  #move(event) {
    const now = this.#at(event)
    const before = this.#pointers.get(event.pointerId)
    if (!before) {
      if (event.pointerType === "mouse") this.#on.hover(...now)
      return
    }
    this.#travelled += Math.hypot(now[0] - before[0], now[1] - before[1])
    this.#pointers.set(event.pointerId, now)
    if (this.#travelled <= DRAG_FROM_PX) return
    if (!this.#element.hasPointerCapture(event.pointerId)) this.#element.setPointerCapture(event.pointerId)
    this.#on.leave()
    if (this.#pointers.size === 1) this.#on.drag?.(this.#from, now) || this.#on.pan(now[0] - before[0], now[1] - before[1])
    else this.#pinchTo(...this.#pointers.values())
  }

  #pinchTo(a, b) {
    const pinch = { distance: Math.hypot(a[0] - b[0], a[1] - b[1]), x: (a[0] + b[0]) / 2, y: (a[1] + b[1]) / 2 }
    if (this.#pinch) {
      this.#on.pan(pinch.x - this.#pinch.x, pinch.y - this.#pinch.y)
      this.#on.zoom(pinch.x, pinch.y, pinch.distance / this.#pinch.distance)
    }
    this.#pinch = pinch
  }

  #up(event) {
    const wasDown = this.#pointers.delete(event.pointerId)
    this.#pinch = null
    if (!wasDown || this.#pointers.size > 0) return
    if (this.#travelled > DRAG_FROM_PX) return this.#on.drop?.(this.#from, this.#at(event))
    this.#on.tap(...this.#at(event), event.pointerType !== "mouse")
  }

  #cancel(event) {
    this.#pointers.delete(event.pointerId)
    this.#pinch = null
  }

  #wheel(event) {
    // Where the page itself can scroll, a plain wheel must go on doing that.
    const root = document.documentElement
    if (!event.ctrlKey && !event.metaKey && root.scrollHeight > root.clientHeight + 1) return
    event.preventDefault()
    const pixels = event.deltaY * (event.deltaMode === 1 ? LINE_PX : 1)
    this.#on.zoom(...this.#at(event), Math.exp(-pixels * (event.ctrlKey ? PINCH_WHEEL_ZOOM : WHEEL_ZOOM)))
  }
}
