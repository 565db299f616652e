// "Best seats together": the run of free neighbours that is nearest to the middle of the stage. The server checks
// again when they are held.

import { AVAILABLE } from "./store.js"

const SIDEWAYS_WEIGHT = 1.7 // off-centre hurts more than far back

// Returns seat indexes, or null. `wanted(category)` says which categories may be used.
export function bestTogether(venue, view, count, wanted) {
  const focus = stageOf(venue)
  let best = null
  for (const row of venue.rows) {
    let run = 0
    for (let seat = row.first; seat < row.first + row.count; seat++) {
      if (venue.breaks.has(seat)) run = 0
      run = view[seat] === AVAILABLE && wanted(venue.category[seat]) ? run + 1 : 0
      if (run < count) continue
      const first = seat - count + 1
      const distance = distanceOf(venue, first, seat, focus)
      if (!best || distance < best.distance) best = { first, distance }
    }
  }
  return best && Array.from({ length: count }, (_, k) => best.first + k)
}

function distanceOf({ x, y }, first, last, focus) {
  const across = (x[first] + x[last]) / 2 - focus.x
  const along = (y[first] + y[last]) / 2 - focus.y
  return Math.hypot(across * SIDEWAYS_WEIGHT, along)
}

// The middle of the stage: the shape that says so, else the first shape, else the top of the plan.
export function stageOf({ shapes, box }) {
  const stage = shapes.find(({ text }) => /stage|bühne|scène|podium/i.test(text ?? "")) ?? shapes.find(({ text }) => text)
  if (!stage) return { x: (box.left + box.right) / 2, y: box.top }
  const { points } = stage
  let x = 0
  let y = 0
  for (let i = 0; i < points.length; i += 2) {
    x += points[i]
    y += points[i + 1]
  }
  return { x: x / (points.length / 2), y: y / (points.length / 2) }
}
