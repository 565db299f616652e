import assert from "node:assert/strict"
import { test } from "node:test"

import { accessibleWords } from "../../../static/js/accessible.js"
import { bestTogether } from "../../../static/js/best.js"
import { outlineSections } from "../../../static/js/map-outline.js"
import { AVAILABLE, BLOCKED, BOOKED, HELD, MINE, PENDING, SeatStore } from "../../../static/js/store.js"
import { PITCH } from "../../../static/js/venue.js"
import { room } from "./room.js"

const entries = (seat, status) => Uint32Array.of((seat << 8) | status)

test("a plan is scaled so that neighbours are one pitch apart", () => {
  const venue = room()
  assert.equal(venue.x[1] - venue.x[0], PITCH)
  assert.equal(venue.label(7), "Stalls, row B, seat 3")
  assert.equal(venue.total([0, 5]), 3250)
})

test("every seat is found at its place, and none in the aisle", () => {
  const venue = room()
  for (let seat = 0; seat < venue.seatCount; seat++) assert.equal(venue.seatAt(venue.x[seat] + 2, venue.y[seat] - 2), seat)
  assert.equal(venue.seatAt((venue.x[1] + venue.x[2]) / 2, venue.y[1]), -1)
})

test("a section is one outline, with its name away from the stage", () => {
  const [section] = outlineSections(room())
  assert.equal(section.stacks.length, 1)
  assert.ok(section.name.outY > 0)
})

test("taking a click back is deleting its overlay: what came meanwhile shows through", () => {
  const store = new SeatStore(room())
  store.cover([3])
  assert.equal(store.view[3], PENDING)
  store.takeEntries({ epoch: 1, version: 1 }, entries(3, BOOKED))
  assert.equal(store.view[3], PENDING)
  store.uncover([3])
  assert.equal(store.view[3], BOOKED)
})

test("a snapshot changes neither what is mine nor what I asked for", () => {
  const store = new SeatStore(room())
  store.setMine([1])
  store.cover([2])
  store.takeSnapshot({ epoch: 1, version: 1 }, new Uint8Array(10).fill(HELD))
  assert.deepEqual([store.view[0], store.view[1], store.view[2]], [HELD, MINE, PENDING])
})

test("a seat of a cancelled order is not mine any more", () => {
  const store = new SeatStore(room())
  store.takeEntries({ epoch: 1, version: 1 }, entries(4, BOOKED))
  store.setOwned([4])
  assert.equal(store.view[4], MINE)
  store.takeEntries({ epoch: 1, version: 2 }, entries(4, AVAILABLE))
  assert.equal(store.view[4], AVAILABLE)
  store.takeEntries({ epoch: 1, version: 3 }, entries(4, BOOKED))
  assert.equal(store.view[4], BOOKED)
  store.setOwned([4])
  store.takeSnapshot({ epoch: 1, version: 4 }, new Uint8Array(10))
  store.takeEntries({ epoch: 1, version: 5 }, entries(4, BOOKED))
  assert.equal(store.view[4], BOOKED, "the same of what a whole map says")
})

test("counts follow every change", () => {
  const store = new SeatStore(room())
  store.takeEntries({ epoch: 1, version: 1 }, Uint32Array.of((0 << 8) | HELD, (6 << 8) | BOOKED))
  assert.equal(store.left, 8)
  assert.deepEqual([...store.leftInCategory], [4, 4])
  store.takeEntries({ epoch: 1, version: 2 }, entries(0, AVAILABLE))
  assert.equal(store.left, 9)
})

test("the best seats together do not cross an aisle, and are wanted", () => {
  const venue = room()
  const view = new Uint8Array(10)
  assert.deepEqual(bestTogether(venue, view, 3, () => true), [2, 3, 4])
  assert.deepEqual(bestTogether(venue, view, 3, (category) => category === 1), [7, 8, 9])
  assert.equal(bestTogether(venue, view, 4, () => true), null)
})

test("a removed seat is nowhere, and its row is two runs", () => {
  const venue = room({ removed: [6] })
  assert.deepEqual(venue.rows.map(({ label, first, count }) => [label, first, count]), [["A", 0, 5], ["B", 5, 1], ["B", 7, 3]])
  assert.equal(venue.seatAt(venue.x[6], venue.y[6], 3), -1)
  assert.equal(venue.seatAt(venue.x[7], venue.y[7]), 7)
  assert.equal(venue.label(8), "Stalls, row B, seat 4")
})

test("a wheelchair place says so, and until when it is kept while it is", () => {
  const venue = room({ accessible: [3], accessible_until: "2999-05-01T08:00:00Z" })
  venue.timezone = "Europe/Paris"
  assert.equal(accessibleWords(venue, 3, AVAILABLE), "wheelchair place")
  assert.match(accessibleWords(venue, 3, BLOCKED), /^wheelchair place, kept until Wed 1 May 2999, 10:00 for people who need one/)
  assert.equal(accessibleWords(venue, 4, BLOCKED), "")
  venue.keptUntil = Date.now() - 1
  assert.equal(accessibleWords(venue, 3, BLOCKED), "wheelchair place")
})
