// Moving an order's seats on the map: a seat of the order is picked, then the free seat that it becomes. A part of
// the order page's component: methods only.

import { isKept } from "../accessible.js"
import { plural } from "../format.js"
import { AVAILABLE } from "../store.js"
import { toast } from "../toasts.js"
import { planOf, seatsOf } from "./event-map.js"
import { PlanMap } from "./plan-map.js"
import { send } from "./send.js"

let map = null // never Alpine's
let targets = new Map() // old seat → new seat

export const reseatWork = () => ({
  reseating: false,
  moves: [], // {seat, label, target, targetText}
  current: -1, // the seat that the next press on the map moves

  async startReseat() {
    const { event_id: event, seats } = this.order
    const opened = await this.attempt(async () => {
      const [plan, statuses] = await Promise.all([planOf(event), seatsOf({ id: event, status: "published" })])
      this.reseating = true
      await this.$nextTick()
      map = new PlanMap(this.$refs.map, plan, { mayChoose: (seat) => this.mayMoveTo(seat) })
      map.update(statuses)
    })
    if (!opened) return
    targets = new Map()
    const active = seats.filter(({ status }) => status !== "cancelled")
    this.current = active[0].seat
    map.addEventListener("chosen", () => this.takeChoice())
    map.map.show(this.current)
    this.showMoves()
    window.seatmap = { pointOf }
    this.$nextTick(() => this.$refs.reseat.scrollIntoView({ block: "nearest" }))
  },

  stopReseat() {
    this.reseating = false
    map = null
  },

  pickMove(seat) {
    this.current = seat
    map.map.show(targets.get(seat) ?? seat)
    this.showMoves()
  },

  mayMoveTo(seat) {
    const status = map.store.base[seat]
    return status === AVAILABLE || isKept(map.venue, seat, status) || map.chosen.has(seat)
  },

  // A press gives the current seat its new place, or takes that place back.
  takeChoice() {
    for (const [old, target] of targets) if (!map.chosen.has(target)) targets.delete(old)
    const added = [...map.chosen].find((seat) => ![...targets.values()].includes(seat))
    if (added === undefined) return this.showMoves()
    const before = targets.get(this.current)
    targets.set(this.current, added)
    const seats = this.order.seats.filter(({ status }) => status !== "cancelled").map(({ seat }) => seat)
    this.current = seats.find((seat) => !targets.has(seat)) ?? this.current
    if (before !== undefined) map.toggle([before])
    this.showMoves()
  },

  showMoves() {
    this.moves = this.order.seats.filter(({ status }) => status !== "cancelled").map(({ seat, label }) => ({
      seat,
      label,
      current: seat === this.current,
      targetText: targets.has(seat) ? map.venue.label(targets.get(seat)) : "stays",
    }))
  },

  movesReady() {
    return this.moves.some(({ targetText }) => targetText !== "stays")
  },

  async reseat() {
    const seats = Object.fromEntries(targets)
    const done = await this.attempt(async () => {
      this.show(await send("POST", `/api/admin/orders/${this.order.id}/reseat`, { seats }))
      toast(`${plural(targets.size, "seat")} moved.`, "good")
    })
    if (done) this.stopReseat()
    else map?.update(await seatsOf({ id: this.order.event_id, status: "published" }))
  },
})

function pointOf(seat) {
  map.map.reveal(seat)
  const box = document.querySelector("#reseat-map").getBoundingClientRect()
  const [x, y] = map.map.pointOf(seat)
  return { x: box.left + x, y: box.top + y }
}
