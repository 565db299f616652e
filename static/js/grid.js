// A uniform grid over points, in two typed arrays (compressed rows): built in one pass, asked in constant time.

export class Grid {
  #x
  #y
  #box
  #cell
  #starts // cell → where its points begin in #items; one more entry than cells

  // `without`: points that are not to be found
  constructor(x, y, box, cell, without = new Set()) {
    this.#x = x
    this.#y = y
    this.#box = box
    this.#cell = cell
    this.columns = Math.floor((box.right - box.left) / cell) + 1
    this.lines = Math.floor((box.bottom - box.top) / cell) + 1
    this.#build(without)
  }

  #build(without) {
    const cells = new Uint32Array(this.#x.length)
    this.#starts = new Uint32Array(this.columns * this.lines + 1)
    for (let i = 0; i < cells.length; i++) {
      if (without.has(i)) continue
      cells[i] = this.#line(this.#y[i]) * this.columns + this.#column(this.#x[i])
      this.#starts[cells[i] + 1]++
    }
    for (let cell = 1; cell < this.#starts.length; cell++) this.#starts[cell] += this.#starts[cell - 1]

    const next = this.#starts.slice()
    this.items = new Uint32Array(cells.length - without.size)
    for (let i = 0; i < cells.length; i++) if (!without.has(i)) this.items[next[cells[i]]++] = i
  }

  #column(x) {
    return clamp(Math.floor((x - this.#box.left) / this.#cell), this.columns)
  }

  #line(y) {
    return clamp(Math.floor((y - this.#box.top) / this.#cell), this.lines)
  }

  // Calls visit(from, to) with runs of `items` whose cells touch the rectangle.
  eachRun(left, top, right, bottom, visit) {
    const first = this.#column(left)
    const last = this.#column(right)
    for (let line = this.#line(top); line <= this.#line(bottom); line++) {
      const from = this.#starts[line * this.columns + first]
      const to = this.#starts[line * this.columns + last + 1]
      if (from < to) visit(from, to)
    }
  }

  nearest(x, y, reach) {
    let best = -1
    let bestSquare = reach * reach
    this.eachRun(x - reach, y - reach, x + reach, y + reach, (from, to) => {
      for (let k = from; k < to; k++) {
        const i = this.items[k]
        const square = (this.#x[i] - x) ** 2 + (this.#y[i] - y) ** 2
        if (square < bestSquare) {
          bestSquare = square
          best = i
        }
      }
    })
    return best
  }
}

const clamp = (value, count) => Math.max(0, Math.min(count - 1, value))
