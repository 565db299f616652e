// The settings in force.

import Alpine from "/static/vendor/alpine-csp.js"
import { toasts } from "../toasts.js"
import { enter } from "./frame.js"
import { listPanel } from "./list.js"

const entered = enter("settings")

Alpine.data("settings", () => listPanel({ entered, path: "/api/admin/settings", key: "settings", describe }))
Alpine.data("toasts", toasts)
Alpine.start()

function describe({ name, value, description = "" }) {
  return { name, value: value === "" ? "–" : String(value), description }
}
