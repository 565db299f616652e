// The editor's map: seats are chosen on it, and then get another category or go on or off sale. A part of the event
// page's component: methods only.

import { request } from "../api.js"
import { plural } from "../format.js"
import { toast } from "../toasts.js"
import { planOf, seatsOf } from "./event-map.js"
import { PlanMap } from "./plan-map.js"
import { send } from "./send.js"
import { awaitsSeats } from "./words.js"

const SHOWN_REFUSALS = 12
const REASONS = {
  seat_held: "held",
  seat_booked: "sold",
}

let map = null // never Alpine's
let planVersion = 0

export const seatWork = (id) => ({
  chosenCount: 0,
  allAccessible: false, // those that are chosen
  accessibleCount: 0,
  removedCount: 0,
  drawsBox: false,
  sections: [],
  planCategories: [],
  refused: [],
  refusedText: "",
  working: false,
  hasMap: false,

  // Draws the plan when there is a new one, and the seats as they are now.
  async showSeats(event, { anew = false } = {}) {
    if (awaitsSeats(event.job)) return
    try {
      if (anew || planVersion !== event.plan_version) await this.drawPlan(event)
      if (map) map.update(await seatsOf(event))
    } catch (error) {
      if (!error.code) throw error
      this.hasMap = map !== null // a draft whose seats are not made yet has none to show
    }
  },

  async drawPlan(event) {
    const plan = await planOf(id)
    const chosen = map?.chosen ?? []
    this.hasMap = true
    await this.$nextTick()
    map = new PlanMap(this.$refs.map, plan, { timezone: event.timezone })
    planVersion = event.plan_version
    map.drawsBox = this.drawsBox
    map.addEventListener("chosen", () => {
      this.chosenCount = map.chosen.size
      this.allAccessible = map.chosen.size > 0 && [...map.chosen].every((seat) => map.venue.accessible.has(seat))
    })
    map.add([...chosen].filter((seat) => seat < map.venue.seatCount && !map.venue.removed.has(seat)))
    this.accessibleCount = map.venue.accessible.size
    this.removedCount = map.venue.removed.size
    this.sections = map.venue.sections.map((name, index) => ({ index, name: name || "All seats" }))
    this.planCategories = event.categories.map(({ id: category, name }) => ({ id: category, name }))
    window.seatmap = { pointOf, statusOf: (seat) => map.store.base[seat], chosen: () => [...map.chosen] } // for tests
  },

  setMode(drawsBox) {
    this.drawsBox = drawsBox
    if (map) map.drawsBox = drawsBox
  },

  chooseSection(event) {
    const { value } = event.target
    event.target.value = ""
    if (value === "") return
    const { venue } = map
    map.add([...venue.section.keys()].filter((seat) => venue.section[seat] === Number(value)))
  },

  clearChoice() {
    map?.clear()
  },

  async setCategory(event) {
    const { value } = event.target
    event.target.value = ""
    if (value !== "") await this.changeSeats({ category_id: Number(value) })
  },

  setStatus(status) {
    return this.changeSeats({ status })
  },

  setAccessible() {
    return this.changeSeats({ accessible: !this.allAccessible })
  },

  accessibleHelp() {
    return this.accessibleCount > 0
      ? `${plural(this.accessibleCount, "place")} marked. Until then only the box office gives them away; empty: sold like all others.`
      : "None is marked yet: choose seats on the map, then press “Wheelchair place”."
  },

  accessibleText() {
    return this.allAccessible ? "No wheelchair place" : "Wheelchair place"
  },

  async changeSeats(change) {
    this.working = true
    this.refused = []
    try {
      const { changed, refused } = await send("POST", `/api/admin/events/${id}/seats`, { seats: [...map.chosen].sort((a, b) => a - b), ...change })
      this.tellRefused(refused)
      toast(`${plural(changed, "seat")} changed.`, "good")
      map.clear()
      map.add(refused.map(({ seat }) => seat))
      const event = await request(`/api/admin/events/${id}`)
      this.show(event)
      await this.showSeats(event, { anew: !("status" in change) })
    } catch (error) {
      toast(error.message, "bad")
    }
    this.working = false
  },

  tellRefused(refused) {
    this.refused = refused.slice(0, SHOWN_REFUSALS).map(({ seat, label, code }) => ({ seat, text: `${label}: ${REASONS[code] ?? code}` }))
    const rest = refused.length - this.refused.length
    this.refusedText = refused.length === 0 ? "" : `Somebody has ${plural(refused.length, "of these seats", "of these seats")}; left as before${rest > 0 ? `, ${rest} more than are listed` : ""}:`
  },

  forgetRefused() {
    this.refused = []
    this.refusedText = ""
  },
})

function pointOf(seat) {
  map.map.reveal(seat)
  const box = document.querySelector("#plan-map").getBoundingClientRect()
  const [x, y] = map.map.pointOf(seat)
  return { x: box.left + x, y: box.top + y }
}
