// What the box office is shown of an order.

import assert from "node:assert/strict"
import { test } from "node:test"

import { describe } from "../../../static/js/admin/order-words.js"

const booking = (seat, status, price = 2000) => ({ seat, label: `Seat ${seat}`, category: "Front", price, status })

const atTheDoor = (more = {}) => ({
  id: "0193-5b3f", event_id: 1, event_name: "The Tempest", status: "confirmed", name: "Ada", email: "", total: 4000, currency: "EUR",
  payment_method: "door", payment_status: "unpaid", created_at: "2030-05-01T17:30:00Z", seats: [booking(1, "confirmed"), booking(2, "confirmed")], ...more,
})

test("what is to be taken at the door is the price of the seats that are left", () => {
  assert.equal(describe(atTheDoor()).total, "€40")
  const shown = describe(atTheDoor({ seats: [booking(1, "cancelled"), booking(2, "confirmed")] }))
  assert.deepEqual([shown.total, shown.canMarkPaid], ["€20", true])
  const payment = { id: 1, provider: "door", status: "created", amount: 4000, currency: "EUR", received: null, refunds: [], updated_at: "2030-05-01T17:30:00Z" }
  const amounts = (more) => describe(atTheDoor({ seats: [booking(2, "confirmed")], payments: [{ ...payment, ...more }] })).payments.map(({ amount }) => amount)
  assert.deepEqual([amounts({}), amounts({ status: "captured" })], [["€20"], ["€40"]])
})

test("where nothing is due, nothing is marked as paid", () => {
  assert.equal(describe(atTheDoor({ seats: [booking(1, "confirmed", 0), booking(2, "cancelled")] })).canMarkPaid, false)
})

test("a cancelled order was about what it cost", () => {
  const shown = describe(atTheDoor({ status: "cancelled", seats: [booking(1, "cancelled"), booking(2, "cancelled")] }))
  assert.deepEqual([shown.total, shown.canMarkPaid], ["€40", false])
})

test("a seat that was moved away and back is there once, as it is", () => {
  const rows = (seats) => describe(atTheDoor({ seats })).seats.map(({ seat, active }) => [seat, active])
  const seats = [booking(1, "cancelled"), booking(1, "confirmed"), booking(2, "cancelled"), booking(2, "cancelled")]
  assert.deepEqual(rows(seats), [[1, true], [2, false]])
  assert.deepEqual(rows(seats.reverse()), [[2, false], [1, true]])
})
