// What a seat map is made of, for pages that show one: canvases, keyboard grid, ring, tooltip, zoom buttons; and what these do.

import { element } from "./frame.js"

const SIGNS = [["Zoom in", "+", "in"], ["Zoom out", "−", "out"], ["Show the whole venue", "⤢", "fit"]]

const STEP = 1.6 // of a zoom

// → {parts, grid, box, controls: {in, out, fit}}; `box` is the rectangle of a selection.
export function mapParts(label) {
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

export function steer(map, controls) {
  controls.in.addEventListener("click", () => map.zoomBy(STEP))
  controls.out.addEventListener("click", () => map.zoomBy(1 / STEP))
  controls.fit.addEventListener("click", () => map.fit())
}
