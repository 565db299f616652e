// What the box office says of an event's background job.

import assert from "node:assert/strict"
import { test } from "node:test"

import { awaitsSeats, jobSentence } from "../../../static/js/admin/words.js"

const job = (kind, state = "running", done = 400, total = 50_000) => ({ id: 1, kind, state, done, total })

test("a job says what is done by it", () => {
  assert.equal(jobSentence(job("generate_seats")), "The seats are being made: 400 of 50,000.")
  assert.equal(jobSentence(job("cancel_orders")), "The orders are being cancelled: 400 of 50,000.")
  assert.equal(jobSentence(job("copy_seats", "queued", 0, 0)), "The seats are being copied: in a moment.")
  assert.equal(jobSentence(job(undefined)), "There is work in the background: 400 of 50,000.")
})

test("of what is done nothing is said, and a failure as one", () => {
  assert.equal(jobSentence(null), "")
  assert.equal(jobSentence(job("cancel_orders", "done")), "")
  assert.match(jobSentence(job("cancel_orders", "failed")), /^Not all orders could be cancelled/)
  assert.match(jobSentence(job(undefined, "failed")), /failed/)
})

test("only a job that makes seats keeps the map from being drawn", () => {
  assert.equal(awaitsSeats(job("generate_seats", "failed")), true)
  assert.equal(awaitsSeats(job(undefined)), true)
  assert.equal(awaitsSeats(job("cancel_orders")), false)
  assert.equal(awaitsSeats(job("generate_seats", "done")), false)
  assert.equal(awaitsSeats(null), false)
})
