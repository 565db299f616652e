// What the box office makes an event from.

import assert from "node:assert/strict"
import { test } from "node:test"

import { getPlans } from "../../../static/js/admin/plans.js"

test("every plan can be chosen, not only the newest fifty", async (context) => {
  const all = Array.from({ length: 120 }, (_, id) => ({ id, name: "Hall", seat_count: id }))
  context.mock.method(globalThis, "fetch", async (path) => {
    const { searchParams } = new URL(path, "http://here")
    return Response.json({ plans: all.slice(0, Number(searchParams.get("limit") ?? 50)) })
  })
  const plans = await getPlans()
  assert.equal(plans.length, 120)
  assert.deepEqual(plans[1], { id: 1, text: "Hall · 1 seat" })
})
