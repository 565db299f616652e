// The dashboard's seats by the age of their holds.

import assert from "node:assert/strict"
import { test } from "node:test"

import { BANDS, HeatStore } from "../../../static/js/admin/heat.js"
import { Watch } from "../../../static/js/admin/watch.js"
import { AGES, decodeFrame } from "../../../static/js/protocol.js"
import { AVAILABLE, BOOKED, HELD } from "../../../static/js/store.js"
import { room } from "./room.js"

const FREE = BANDS.length

function watching() {
  const watch = new Watch({ id: 1 }, room())
  const heat = new HeatStore(watch)
  const told = []
  heat.onChange((seats) => told.push(seats))
  let version = 0
  return {
    watch, heat, told,
    change: (...entries) => watch.store.takeEntries({ epoch: 1, version: ++version }, Uint32Array.from(entries, ([seat, status]) => (seat << 8) | status)),
    held: (seat, seconds) => {
      watch.heldAt[seat] = performance.now() - seconds * 1000
      watch.dispatchEvent(new Event("ages"))
    },
  }
}

test("by state, the map looks as it does to buyers", () => {
  const { watch, heat, change, told } = watching()
  change([3, HELD])
  assert.equal(heat.view, watch.store.view)
  assert.equal(heat.venue.category, watch.venue.category)
  assert.deepEqual(told, [[3]])
  assert.deepEqual([...heat.paint({ byAge: false })], [0, 1])
})

test("by age, a held seat has its band and the others are pale", () => {
  const { heat, change, held } = watching()
  heat.paint({ byAge: true })
  change([3, HELD], [4, BOOKED])
  assert.deepEqual([heat.venue.category[3], heat.venue.category[4], heat.venue.category[0]], [0, FREE, FREE])
  assert.deepEqual([heat.view[3], heat.view[4], heat.view[0]], [AVAILABLE, BOOKED, AVAILABLE])
  for (const [seconds, band] of [[59, 0], [61, 1], [239, 2], [241, 3], [10_000, 4]]) {
    held(3, seconds)
    assert.equal(heat.venue.category[3], band)
  }
  change([3, AVAILABLE])
  assert.equal(heat.venue.category[3], FREE)
})

test("the map is told of the seats that look different only", () => {
  const { heat, change, held, told } = watching()
  heat.paint({ byAge: true })
  change([3, HELD], [5, HELD])
  told.length = 0
  held(3, 30)
  assert.deepEqual(told, [])
  held(3, 90)
  assert.deepEqual(told, [[3]])
})

test("the buyers' venue is not touched", () => {
  const { watch, heat } = watching()
  heat.paint({ byAge: true })
  assert.deepEqual([...watch.venue.category], [0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
  assert.equal(watch.venue.categories.length, 2)
  assert.equal(heat.venue.label(3), watch.venue.label(3))
})

test("a hold that is given back and taken again is new", () => {
  const { watch, change, held } = watching()
  change([3, HELD])
  held(3, 100)
  change([3, AVAILABLE])
  assert.equal(watch.ageOf(3), 0)
  change([3, HELD])
  assert.ok(watch.ageOf(3) < 1000)
})

test("the frame of ages decodes", () => {
  const bytes = "05 00 01 00 01 00 00 00 09 00 00 00 02 00 00 00 00 04 00 00 09 04 01 00"
  const frame = decodeFrame(Uint8Array.from(bytes.split(" "), (byte) => parseInt(byte, 16)).buffer)
  assert.deepEqual({ ...frame, entries: [...frame.entries] }, { type: AGES, planVersion: 1, epoch: 1, version: 9, entries: [4 << 8, (260 << 8) | 9] })
})
