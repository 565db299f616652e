// A new event: from a plan that is there, or from rows and columns.

import Alpine from "/static/vendor/alpine-csp.js"
import { request } from "../api.js"
import { count, plural } from "../format.js"
import { toasts } from "../toasts.js"
import { ownZone, zones } from "../zoned.js"
import { readTime } from "./event-form.js"
import { enter } from "./frame.js"
import { gridOf, gridPlan } from "./grid-plan.js"
import { PlanMap } from "./plan-map.js"
import { getPlans } from "./plans.js"
import { send } from "./send.js"

const PREVIEW_MAX = 20_000

const entered = enter("events")

Alpine.data("newEvent", () => ({
  plans: [],
  source: "grid", // grid, plan
  zones: zones(),
  ownZone: ownZone(),
  failure: "",
  busy: false,
  seatText: "",
  notes: [],

  async init() {
    await entered
    this.$nextTick(() => this.preview())
    await this.loadPlans()
  },

  async loadPlans() {
    try {
      this.plans = await getPlans()
    } catch (error) {
      this.failure = error.message
    }
  },

  choose(source) {
    this.source = source
    this.$nextTick(() => this.preview())
  },

  is(source) {
    return this.source === source
  },

  preview() {
    return this.source === "grid" ? this.previewGrid() : this.previewPlan()
  },

  async previewPlan() {
    const id = Number(this.$refs.plan.value)
    const chosen = this.plans.find((plan) => plan.id === id)
    this.seatText = chosen?.text ?? ""
    if (!chosen) return
    try {
      const plan = await request(`/api/admin/plans/${id}`)
      // Another may have been chosen while this one was on its way.
      if (this.source === "plan" && Number(this.$refs.plan.value) === id) new PlanMap(this.$refs.map, plan, { mayChoose: () => false })
    } catch (error) {
      this.failure = error.message
    }
  },

  previewGrid() {
    const grid = gridOf(new FormData(this.$refs.form))
    const seats = grid.rows * grid.columns
    this.seatText = `${count(grid.rows)} rows of ${count(grid.columns)}: ${plural(seats, "seat")}`
    if (seats > 0 && seats <= PREVIEW_MAX) new PlanMap(this.$refs.map, gridPlan({ ...grid, name: "Preview", currency: "EUR" }), { mayChoose: () => false })
  },

  async upload(event) {
    const [file] = event.target.files
    if (!file) return
    this.failure = ""
    this.busy = true
    try {
      const made = await request("/api/admin/plans", { method: "POST", headers: { "content-type": "application/json" }, body: await file.text() })
      this.notes = made.mended
      await this.loadPlans()
      this.$nextTick(() => {
        this.$refs.plan.value = made.id
        this.preview()
      })
    } catch (error) {
      this.failure = error.message
    }
    event.target.value = ""
    this.busy = false
  },

  async create(event) {
    this.failure = ""
    this.busy = true
    try {
      const made = await send("POST", "/api/admin/events", bodyOf(new FormData(event.target), this.source))
      location.assign(`/admin/events/${made.id}`)
    } catch (error) {
      this.failure = error.message
      this.busy = false
    }
  },
}))
Alpine.data("toasts", toasts)
Alpine.start()

function bodyOf(form, source) {
  const timezone = form.get("timezone").trim()
  return {
    name: form.get("name").trim(),
    venue: form.get("venue").trim(),
    timezone,
    starts_at: readTime(form.get("starts_at"), timezone),
    currency: form.get("currency").trim().toUpperCase(),
    ...(source === "grid" ? { grid: gridOf(form) } : { plan_id: Number(form.get("plan_id")) }),
  }
}
