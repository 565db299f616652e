import assert from "node:assert/strict"
import { test } from "node:test"

import { Commands } from "../../../static/js/commands.js"
import { Countdown } from "../../../static/js/countdown.js"
import { uuid7 } from "../../../static/js/ids.js"

const settled = () => new Promise((resolve) => setImmediate(resolve))

// With a clock that stands still, so that nothing is left waiting when a test ends.
function desk(context) {
  context.mock.timers.enable({ apis: ["setTimeout"] })
  const sent = []
  let overdue = 0
  const commands = new Commands((command) => sent.push(command), { overdue: () => overdue++ })
  return { sent, commands, overdue: () => overdue }
}

test("the next command waits for the answer to the last", async (context) => {
  const { sent, commands } = desk(context)
  commands.open()
  const first = commands.ask(() => ({ type: "hold", seats: [1] }))
  commands.ask(() => ({ type: "hold", seats: [2] }))
  assert.equal(sent.length, 1)
  commands.take({ id: sent[0].id, mine: { seats: [1] } })
  assert.deepEqual((await first).mine, { seats: [1] })
  await settled()
  assert.deepEqual(sent[1].seats, [2])
})

test("a reply to nothing that is waited for is refused", (context) => {
  const { commands } = desk(context)
  commands.open()
  commands.ask(() => ({ type: "hold", seats: [1] }))
  assert.equal(commands.take({ id: "another", mine: {} }), false)
})

test("after a lost connection a hold is not sent again, an order is, with the same id", async (context) => {
  const { sent, commands } = desk(context)
  commands.open()
  const hold = commands.ask(() => ({ type: "hold", seats: [1] }))
  commands.close()
  commands.open()
  assert.deepEqual(await hold, { lost: true })
  assert.equal(sent.length, 1)
  await settled()

  commands.ask(() => ({ type: "book", order_id: "o1" }))
  commands.close()
  commands.open()
  assert.deepEqual(sent.slice(1).map(({ type, order_id }) => [type, order_id]), [["book", "o1"], ["book", "o1"]])
})

test("an order with a temporary error is asked for again, a hold is not", async (context) => {
  const { sent, commands } = desk(context)
  commands.open()
  commands.ask(() => ({ type: "book", order_id: "o1" }))
  commands.take({ id: sent[0].id, error: { code: "unavailable", temporary: true } })
  context.mock.timers.tick(1000)
  assert.equal(sent.length, 2)
  commands.take({ id: sent[1].id, order: {} })
  await settled()

  const hold = commands.ask(() => ({ type: "hold", seats: [1] }))
  commands.take({ id: sent[2].id, error: { code: "unavailable", temporary: true } })
  assert.equal((await hold).error.code, "unavailable")
})

test("an order that came too fast is asked for again until somebody has looked at it", async (context) => {
  const { sent, commands } = desk(context)
  commands.open()
  const order = commands.ask(() => ({ type: "book", order_id: "o1" }))
  for (let n = 0; n < 20; n++) {
    commands.take({ id: sent[n].id, error: { code: "too_many_requests", temporary: true, retry_after: 1 } })
    context.mock.timers.tick(8000)
  }
  assert.equal(sent.length, 21)
  commands.take({ id: sent[20].id, order: { id: "o1" } })
  assert.deepEqual((await order).order, { id: "o1" })
})

test("an unanswered mine gives the connection up", (context) => {
  const { commands, overdue } = desk(context)
  commands.open()
  commands.ask(() => ({ type: "mine" }))
  context.mock.timers.tick(8000)
  assert.equal(overdue(), 1)
})

test("a command that is no longer needed is skipped", async (context) => {
  const { sent, commands } = desk(context)
  commands.open()
  assert.deepEqual(await commands.ask(() => null), { skipped: true })
  assert.equal(sent.length, 0)
})

test("the clock shows two seconds less, from the moment of sending, and never goes below zero", () => {
  const countdown = new Countdown()
  countdown.start(60_000, 1000)
  assert.equal(countdown.leftMs(1000), 58_000)
  assert.equal(countdown.leftMs(31_000), 28_000)
  assert.equal(countdown.leftMs(99_000), 0)
  assert.equal(countdown.overdueMs(62_000), 3000)
})

test("a UUIDv7 carries its time and its version", () => {
  const now = 1_700_000_000_000
  const id = uuid7(now)
  assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.equal(parseInt(id.replaceAll("-", "").slice(0, 12), 16), now)
  assert.ok(uuid7(now + 1) > id)
})
