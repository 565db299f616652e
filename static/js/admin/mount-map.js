// Puts a seat map on a page of staff: canvases, keyboard grid, ring, tooltip, zoom buttons; and what these do.

import { SeatMap } from "../map.js"
import { Tooltip } from "../map-tooltip.js"
import { SeatGrid } from "../seat-grid.js"
import { element } from "./frame.js"

const SIGNS = [["Zoom in", "+", "in"], ["Zoom out", "−", "out"], ["Show the whole venue", "⤢", "fit"]]

const STEP = 1.6 // of a zoom
const LABEL = "Seat map. Arrow keys move between seats, Space chooses."

// choose(seat): it was pressed, or chosen by key. describe(seat) → {text, active}, for the tooltip. `states` are the
// words for what `store` says of a seat; `drawn` is the store that colours it. → {map, box}
export function mountMap(host, store, { label = LABEL, choose, describe, states, drawn = store, drag, drop }) {
  const { parts, grid, box, controls } = mapParts(label)
  host.append(...parts)
  let tooltip = null
  const map = new SeatMap(host, drawn, { choose, hover: (seat) => tooltip?.show(seat), drag, drop })
  tooltip = new Tooltip(host, map, store, describe)
  new SeatGrid(grid, map, store, choose, states)
  steer(map, controls)
  return { map, box }
}

// → {parts, grid, box, controls: {in, out, fit}}; `box` is the rectangle of a selection.
function mapParts(label) {
  const layers = ["ground", "seats", "names"].map((layer) => {
    const canvas = element("canvas")
    canvas.dataset.layer = layer
    canvas.setAttribute("aria-hidden", "true")
    return canvas
  })
  const grid = element("div", "seat-grid")
  for (const [name, value] of [["role", "grid"], ["aria-multiselectable", "true"], ["aria-label", label]]) grid.setAttribute(name, value)
  const ring = element("div", "seat-ring")
  ring.dataset.ring = ""
  const tooltip = element("div", "tooltip")
  tooltip.dataset.tooltip = ""
  tooltip.append(element("strong"), element("span"))
  const box = element("div", "select-box")
  ring.hidden = tooltip.hidden = box.hidden = true

  const controls = {}
  const group = element("div", "map-controls")
  for (const [name, sign, key] of SIGNS) {
    const button = element("button", "map-sign", sign)
    button.type = "button"
    button.setAttribute("aria-label", name)
    controls[key] = button
    group.append(button)
  }
  return { parts: [...layers, grid, ring, box, tooltip, group], grid, box, controls }
}

function steer(map, controls) {
  controls.in.addEventListener("click", () => map.zoomBy(STEP))
  controls.out.addEventListener("click", () => map.zoomBy(1 / STEP))
  controls.fit.addEventListener("click", () => map.fit())
}
