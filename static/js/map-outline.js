// The shape of a section, from the places of its seats alone: stacks of row pieces, each a polygon through its outer
// seats, to be drawn with a thick round stroke; and the place of the section's name on its outer rim. No DOM.

import { stageOf } from "./best.js"
import { PITCH } from "./venue.js"

const GAP = PITCH * 2.2 // a larger one splits a row into pieces
const STACK_GAP = PITCH * 2.4 // rows farther apart are not one stack
const STRAIGHTEN = PITCH * 0.55 // an edge this straight is drawn straight
const RIM = PITCH * 2.05 // from the last row's seats to the middle of the name

// → per section {stacks: [[x, y, …]], box, name: {x, y, outX, outY, room, angle, length} | null, centre: {x, y}}. No stacks where the
// plan itself has drawn a panel under the section.
export function outlineSections(venue) {
  const stage = stageOf(venue)
  const panels = venue.shapes.filter(isPanel)
  const rowsOf = venue.sections.map(() => [])
  for (const row of venue.rows) rowsOf[row.section].push(row)
  return rowsOf.map((rows) => {
    const box = boxOf(venue, rows)
    return {
      box,
      stacks: hasPanel(venue, rows, panels) ? [] : stackPieces(venue, rows).map((stack) => polygon(venue, stack)),
      name: namePlace(venue, rows, stage),
      centre: { x: (box.left + box.right) / 2, y: (box.top + box.bottom) / 2 },
    }
  })
}

// A shape without words, under seats: the ground of a section.
export const isPanel = ({ text }) => !text

function hasPanel({ x, y }, rows, panels) {
  const row = rows[rows.length >> 1]
  if (!row) return false
  const seat = row.first + (row.count >> 1)
  return panels.some(({ points }) => contains(points, x[seat], y[seat]))
}

// Whether a polygon's edges cross a ray to the right an odd number of times.
function contains(points, x, y) {
  let inside = false
  for (let i = 0, j = points.length - 2; i < points.length; j = i, i += 2) {
    const [ax, ay, bx, by] = [points[i], points[i + 1], points[j], points[j + 1]]
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside
  }
  return inside
}

// Row pieces, each [first seat, last seat], collected into stacks of parallel neighbours.
function stackPieces(venue, rows) {
  const done = []
  let open = [] // stacks that the next row may continue
  for (const row of rows) {
    const next = []
    for (const piece of piecesOf(venue, row)) {
      const at = open.findIndex((stack) => continues(venue, stack.at(-1), piece))
      const stack = at >= 0 ? open.splice(at, 1)[0] : []
      stack.push(piece)
      next.push(stack)
    }
    done.push(...open)
    open = next
  }
  return [...done, ...open]
}

function piecesOf({ x, y }, row) {
  const pieces = []
  let first = row.first
  const end = row.first + row.count
  for (let seat = first + 1; seat <= end; seat++) {
    if (seat < end && Math.hypot(x[seat] - x[seat - 1], y[seat] - y[seat - 1]) < GAP) continue
    pieces.push([first, seat - 1])
    first = seat
  }
  return pieces
}

// Whether two pieces lie side by side: as near as rows are, running the same way.
function continues({ x, y }, [first, last], [nextFirst, nextLast]) {
  const middle = (first + last) >> 1
  const nextMiddle = (nextFirst + nextLast) >> 1
  const along = [x[last] - x[first], y[last] - y[first]]
  const nextAlong = [x[nextLast] - x[nextFirst], y[nextLast] - y[nextFirst]]
  if (along[0] * nextAlong[0] + along[1] * nextAlong[1] < 0) return false
  const length = Math.hypot(...along)
  const step = [x[nextMiddle] - x[middle], y[nextMiddle] - y[middle]]
  if (length === 0) return Math.hypot(...step) < STACK_GAP
  const sideways = Math.abs(step[0] * along[0] + step[1] * along[1]) / length
  const away = Math.abs(step[0] * along[1] - step[1] * along[0]) / length
  return away < STACK_GAP && sideways < Math.max(length, Math.hypot(...nextAlong)) * 0.6 + PITCH
}

// Along the first row, down the ends, back along the last row, up the starts.
function polygon({ x, y }, stack) {
  const point = (seat) => [x[seat], y[seat]]
  const seats = ([first, last]) => Array.from({ length: last - first + 1 }, (_, k) => point(first + k))
  const starts = stack.map(([first]) => point(first))
  const ends = stack.map(([, last]) => point(last))
  return [
    ...simplify(seats(stack[0]), PITCH * 0.05),
    ...simplify(ends, STRAIGHTEN),
    ...simplify(seats(stack.at(-1)).reverse(), PITCH * 0.05),
    ...simplify(starts.reverse(), STRAIGHTEN),
  ].flat()
}

// Douglas and Peucker: leaves out points that are nearer than `tolerance` to the line without them.
export function simplify(points, tolerance) {
  if (points.length < 3) return points
  const [ax, ay] = points[0]
  const [bx, by] = points.at(-1)
  const length = Math.hypot(bx - ax, by - ay) || 1e-9
  let farthest = 0
  let distance = tolerance
  for (let i = 1; i < points.length - 1; i++) {
    const off = Math.abs((points[i][0] - ax) * (by - ay) - (points[i][1] - ay) * (bx - ax)) / length
    if (off > distance) {
      distance = off
      farthest = i
    }
  }
  if (farthest === 0) return [points[0], points.at(-1)]
  return [...simplify(points.slice(0, farthest + 1), tolerance).slice(0, -1), ...simplify(points.slice(farthest), tolerance)]
}

// Outside the row that is farthest from the stage, along it; at the other side when seats are in the way.
function namePlace(venue, rows, stage) {
  if (rows.length === 0) return null
  const byDistance = rows.filter((row) => row.count > 1).sort((a, b) => distance(venue, b, stage) - distance(venue, a, stage))
  for (const [row, side] of [[byDistance[0], 1], [byDistance.at(-1), -1]]) {
    const place = row && rimPlace(venue, row, stage, side)
    if (place && isFree(venue, place)) return place
  }
  return null
}

function distance({ x, y }, row, stage) {
  const middle = row.first + (row.count >> 1)
  return Math.hypot(x[middle] - stage.x, y[middle] - stage.y)
}

function rimPlace({ x, y }, row, stage, side) {
  const last = row.first + row.count - 1
  const left = row.first + ((row.count - 1) >> 1)
  const right = row.first + (row.count >> 1)
  const middle = [(x[left] + x[right]) / 2, (y[left] + y[right]) / 2]
  let angle = Math.atan2(y[last] - y[row.first], x[last] - x[row.first])
  const normal = [-Math.sin(angle), Math.cos(angle)]
  const outward = Math.sign(normal[0] * (middle[0] - stage.x) + normal[1] * (middle[1] - stage.y)) || 1
  if (Math.cos(angle) < -1e-6) angle += Math.PI // never upside down
  return {
    x: middle[0],
    y: middle[1],
    outX: normal[0] * outward * side,
    outY: normal[1] * outward * side,
    room: RIM,
    angle,
    length: Math.hypot(x[last] - x[row.first], y[last] - y[row.first]),
  }
}

function isFree(venue, { x, y, outX, outY, room, angle, length }) {
  const half = Math.min(length / 2, PITCH * 3)
  return [-half, -half / 2, 0, half / 2, half].every(
    (along) => venue.seatAt(x + outX * room + Math.cos(angle) * along, y + outY * room + Math.sin(angle) * along, PITCH * 0.95) < 0,
  )
}

function boxOf({ x, y }, rows) {
  const box = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity }
  for (const row of rows) {
    for (let seat = row.first; seat < row.first + row.count; seat++) {
      box.left = Math.min(box.left, x[seat])
      box.right = Math.max(box.right, x[seat])
      box.top = Math.min(box.top, y[seat])
      box.bottom = Math.max(box.bottom, y[seat])
    }
  }
  return box
}
