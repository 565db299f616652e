// Rows and columns instead of a plan: as somebody types them, and drawn as the server does it from the same numbers,
// for the preview before there is an event.

export const SIDE_MAX = 400
const SEAT_PITCH = 10
const ROW_PITCH = 11.5
const AISLE = 14

// → {rows, columns, aisles, section}, also of what is typed only by half
export function gridOf(form) {
  const number = (name) => Math.max(0, Math.min(SIDE_MAX, Math.floor(Number(form.get(name))) || 0))
  const columns = number("columns")
  const aisles = form.get("aisles").split(/[\s,;]+/).map(Number).filter((aisle) => aisle > 0 && aisle < columns)
  return { rows: number("rows"), columns, aisles: [...new Set(aisles)].sort((a, b) => a - b), section: form.get("section").trim() }
}

export function gridPlan({ rows, columns, aisles, section, name, currency }) {
  const across = Array.from({ length: columns }, (_, column) =>
    column * SEAT_PITCH + aisles.filter((aisle) => aisle <= column).length * AISLE)
  const width = across.at(-1)
  const lines = Array.from({ length: rows }, (_, row) => row)
  return {
    plan_version: 1,
    name,
    currency,
    sections: [section],
    rows: lines.map((row) => ({ section: 0, label: rowLabel(row), first: row * columns, count: columns })),
    numbers: lines.flatMap(() => across.map((_, column) => String(column + 1))),
    x: lines.flatMap(() => across),
    y: lines.flatMap((row) => across.map(() => row * ROW_PITCH)),
    category: lines.flatMap(() => across.map(() => 0)),
    breaks: lines.flatMap((row) => [0, ...aisles.filter((aisle) => aisle < columns)].map((column) => row * columns + column)),
    categories: [{ id: 0, name: "Standard", price: 0, color: "" }],
    shapes: [{ points: [width * 0.2, -42, width * 0.8, -42, width * 0.8, -26, width * 0.2, -26], text: "Stage", color: "" }],
  }
}

// 0, 1, … → A … Z, AA, AB …
function rowLabel(row) {
  let label = ""
  for (let rest = row; rest >= 0; rest = Math.floor(rest / 26) - 1) label = String.fromCharCode(65 + (rest % 26)) + label
  return label
}
