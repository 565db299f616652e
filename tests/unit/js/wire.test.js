// The page's side of docs/protocol.md. Run with `node --test tests/unit/js/*.test.js`.

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"

import { Follower } from "../../../static/js/follower.js"
import { CHANGE, decodeFrame, HEARTBEAT, REBASE, SNAPSHOT } from "../../../static/js/protocol.js"
import { SeatStore } from "../../../static/js/store.js"
import { room } from "./room.js"

const page = readFileSync(new URL("../../../docs/protocol.md", import.meta.url), "utf8")

// The frames of the section "Worked examples", in order.
function workedExamples() {
  const section = page.slice(page.indexOf("### Worked examples"), page.indexOf("## Commands"))
  return [...section.matchAll(/```\n([0-9a-f\s]+)```/g)].map(([, hex]) => Uint8Array.from(hex.trim().split(/\s+/), (byte) => parseInt(byte, 16)).buffer)
}

function following(position = { epoch: 0, version: 0 }) {
  const store = new SeatStore(room())
  store.position = position
  const asked = []
  return { store, asked, follower: new Follower(store, () => asked.push(store.position)) }
}

const change = (epoch, since, version, ...entries) => ({ type: CHANGE, epoch, since, version, entries: Uint32Array.from(entries) })
const entry = (seat, status) => (seat << 8) | status

test("the worked snapshot decodes", () => {
  const frame = decodeFrame(workedExamples()[0])
  assert.deepEqual({ ...frame, statuses: [...frame.statuses] }, { type: SNAPSHOT, planVersion: 1, epoch: 1, version: 7, statuses: [0, 1, 2, 3, 0, 2] })
})

test("the worked change decodes", () => {
  const frame = decodeFrame(workedExamples()[1])
  assert.deepEqual({ ...frame, entries: [...frame.entries] }, { type: CHANGE, planVersion: 1, epoch: 1, since: 7, version: 9, entries: [entry(4, 1), entry(260, 2)] })
})

test("a change that continues the position is applied", () => {
  const { store, asked, follower } = following({ epoch: 1, version: 7 })
  follower.take(change(1, 7, 8, entry(4, 1)))
  assert.equal(store.base[4], 1)
  assert.deepEqual(store.position, { epoch: 1, version: 8 })
  assert.equal(asked.length, 0)
})

test("a change that overlaps is applied, an old one is ignored", () => {
  const { store, follower } = following({ epoch: 1, version: 7 })
  follower.take(change(1, 5, 9, entry(4, 1)))
  assert.equal(store.position.version, 9)
  follower.take(change(1, 7, 8, entry(4, 0)))
  assert.equal(store.base[4], 1)
})

test("a gap and another epoch are asked about, and change nothing", () => {
  const { store, asked, follower } = following({ epoch: 1, version: 7 })
  follower.take(change(1, 8, 9, entry(4, 1)))
  follower.take(change(2, 7, 8, entry(4, 1)))
  assert.equal(asked.length, 2)
  assert.equal(store.base[4], 0)
})

test("an older snapshot is dropped", () => {
  const { store, follower } = following({ epoch: 2, version: 1 })
  follower.take({ type: SNAPSHOT, epoch: 1, version: 900, statuses: new Uint8Array(10).fill(2) })
  assert.equal(store.base[0], 0)
})

test("a rebase is taken at its old position only", () => {
  const rebase = { type: REBASE, oldEpoch: 1, oldVersion: 7, epoch: 2, version: 1, entries: Uint32Array.of(entry(3, 2)) }
  const at = following({ epoch: 1, version: 7 })
  at.follower.take(rebase)
  assert.deepEqual(at.store.position, { epoch: 2, version: 1 })
  assert.equal(at.store.base[3], 2)

  const elsewhere = following({ epoch: 1, version: 6 })
  elsewhere.follower.take(rebase)
  assert.equal(elsewhere.asked.length, 1)
  assert.equal(elsewhere.store.base[3], 0)
})

test("a heartbeat ahead of the page is asked about after a second without the frame", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] })
  const { asked, follower } = following({ epoch: 1, version: 7 })
  const heartbeat = { type: HEARTBEAT, epoch: 1, version: 8 }
  follower.take(heartbeat)
  follower.take(change(1, 7, 8))
  context.mock.timers.tick(2000)
  assert.equal(asked.length, 0)

  follower.take({ ...heartbeat, version: 9 })
  context.mock.timers.tick(1000)
  assert.equal(asked.length, 1)
})
