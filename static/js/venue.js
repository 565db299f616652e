// A plan's JSON → typed arrays, and a uniform grid over them that answers "which seat is here?" and "which
// seats are in this rectangle?". Coordinates are scaled so that neighbouring seats are PITCH apart, whatever
// units the plan was drawn in.

import { Grid } from "./grid.js"

export const PITCH = 10 // between the centres of neighbours
export const SEAT = 8 // edge of a drawn seat
const NAMES = PITCH * 2.6

export class Venue {
  constructor(plan) {
    this.planVersion = plan.plan_version
    this.name = plan.name
    this.currency = plan.currency
    this.sections = plan.sections
    this.removed = new Set(plan.removed)
    this.rows = rowsOf(plan, this.removed)
    this.numbers = plan.numbers
    this.categories = plan.categories
    this.seatCount = plan.x.length

    const scale = PITCH / neighbourDistance(plan)
    this.x = Float32Array.from(plan.x, (value) => value * scale)
    this.y = Float32Array.from(plan.y, (value) => value * scale)
    this.category = Uint8Array.from(plan.category)
    this.breaks = new Set(plan.breaks)
    this.accessible = new Set(plan.accessible)
    this.keptUntil = plan.accessible_until ? Date.parse(plan.accessible_until) : 0
    this.timezone = "" // the event's, once somebody says it
    this.shapes = plan.shapes.map((shape) => ({ ...shape, points: shape.points.map((value) => value * scale) }))

    this.#indexRows()
    this.box = this.#boundingBox()
    this.grid = new Grid(this.x, this.y, this.box, PITCH * 4, this.removed)
  }

  #indexRows() {
    this.row = new Uint32Array(this.seatCount)
    this.section = new Uint16Array(this.seatCount)
    this.rows.forEach((row, index) => {
      this.row.fill(index, row.first, row.first + row.count)
      this.section.fill(row.section, row.first, row.first + row.count)
    })
  }

  #boundingBox() {
    const box = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity }
    const include = (x, y) => {
      box.left = Math.min(box.left, x)
      box.right = Math.max(box.right, x)
      box.top = Math.min(box.top, y)
      box.bottom = Math.max(box.bottom, y)
    }
    for (let seat = 0; seat < this.seatCount; seat++) if (!this.removed.has(seat)) include(this.x[seat], this.y[seat])
    for (const { points } of this.shapes) for (let i = 0; i < points.length; i += 2) include(points[i], points[i + 1])
    // Room for the names of sections, which stand outside their rows.
    return { left: box.left - NAMES, top: box.top - PITCH, right: box.right + NAMES, bottom: box.bottom + NAMES }
  }

  // The seat nearest to a point, at most `reach` away; -1 when there is none.
  seatAt(x, y, reach = PITCH * 0.62) {
    return this.grid.nearest(x, y, reach)
  }

  // "Stalls, row C, seat 7"
  label(seat) {
    const row = this.rows[this.row[seat]]
    const parts = [this.sections[row.section], row.label && `row ${row.label}`, `seat ${this.numbers[seat]}`]
    return parts.filter(Boolean).join(", ")
  }

  rowLabel(row) {
    return row.label ? `Row ${row.label}` : "Seats"
  }

  price(seat) {
    return this.categories[this.category[seat]].price
  }

  categoryName(seat) {
    return this.categories[this.category[seat]].name
  }

  total(seats) {
    let sum = 0
    for (const seat of seats) sum += this.price(seat)
    return sum
  }

  // Takes over current prices, which may have changed since the plan was made; the fee is a part of each.
  reprice(categories, fee = 0) {
    const prices = new Map(categories.map((category) => [category.id, category.price + fee]))
    for (const category of this.categories) category.price = prices.get(category.id) ?? category.price
  }
}

// The plan's rows without the seats that are in it no more: what is left of one may be several runs, or none.
function rowsOf({ rows }, removed) {
  if (removed.size === 0) return rows
  return rows.flatMap((row) => {
    const runs = []
    for (let seat = row.first; seat < row.first + row.count; seat++) {
      if (removed.has(seat)) continue
      const run = runs.at(-1)
      if (run && run.first + run.count === seat) run.count++
      else runs.push({ ...row, first: seat, count: 1 })
    }
    return runs
  })
}

// The usual distance between a seat and the next in its row: the median, so that aisles do not count.
function neighbourDistance({ x, y, breaks, rows }) {
  const broken = new Set(breaks)
  const distances = []
  for (const row of rows) {
    for (let seat = row.first + 1; seat < row.first + row.count && distances.length < 4096; seat++) {
      if (!broken.has(seat)) distances.push(Math.hypot(x[seat] - x[seat - 1], y[seat] - y[seat - 1]))
    }
  }
  distances.sort((a, b) => a - b)
  return distances[distances.length >> 1] || 1
}
