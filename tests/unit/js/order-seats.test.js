// Which seats of an order are shown, and what they cost together.

import assert from "node:assert/strict"
import { test } from "node:test"

import { seatsOf, totalOf } from "../../../static/js/order-seats.js"
import { Session } from "../../../static/js/session.js"
import { room } from "./room.js"

const booking = (seat, status, price = 2000) => ({ seat, label: `Seat ${seat}`, category: "Front", price, status })
const visit = () => new Session({ id: 1, sale: "on_sale", seats_per_visitor: 8, timezone: "UTC", categories: [], fee_per_seat: 0 }, room())
const numbers = (seats) => seats.map(({ seat }) => seat)

// Seat 0 was moved to 7, and 2 given back.
const moved = () => ({
  id: "1", event_id: 1, status: "confirmed", total: 6000,
  seats: [booking(0, "cancelled"), booking(1, "confirmed"), booking(2, "cancelled"), booking(7, "confirmed", 1250)],
})

test("an order is about the seats that are left of it, and costs what they do", () => {
  assert.deepEqual(numbers(seatsOf(moved())), [1, 7])
  assert.equal(totalOf(moved()), 3250)
})

test("a pending order has all its seats", () => {
  const order = { status: "pending", total: 4000, seats: [booking(0, "pending"), booking(1, "pending")] }
  assert.deepEqual(numbers(seatsOf(order)), [0, 1])
  assert.equal(totalOf(order), 4000)
})

test("a cancelled order still says what it was about, each seat once", () => {
  const order = { status: "cancelled", total: 4000, seats: [booking(0, "cancelled"), booking(0, "cancelled"), booking(1, "cancelled")] }
  assert.deepEqual(numbers(seatsOf(order)), [0, 1])
  assert.equal(totalOf(order), 4000)
})

test("on the map, mine are the seats that I still have", () => {
  const session = visit()
  session.own(moved())
  assert.deepEqual([...session.store.owned], [1, 7])
})

test("and so they are when the page is loaded anew", async (context) => {
  const orders = [moved(), { ...moved(), event_id: 2, seats: [booking(5, "confirmed")] }]
  for (const [name, value] of Object.entries({ addEventListener() {}, document: { addEventListener() {} }, location: { protocol: "http:", host: "here" }, WebSocket: class {} })) {
    const before = globalThis[name]
    globalThis[name] = value
    context.after(() => (globalThis[name] = before))
  }
  context.mock.timers.enable({ apis: ["setInterval", "setTimeout"] })
  context.mock.method(globalThis, "fetch", async () => Response.json({ orders }))
  const session = visit()
  session.start()
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual([...session.store.owned], [1, 7])
})
