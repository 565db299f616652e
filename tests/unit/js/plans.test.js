// What the box office makes an event from.

import assert from "node:assert/strict"
import { test } from "node:test"

import { gridOf } from "../../../static/js/admin/grid-plan.js"
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

test("rows and columns are read as they are typed", () => {
  const typed = (fields) => gridOf(new Map(Object.entries({ rows: "10", columns: "16", aisles: "", section: "", ...fields })))
  assert.deepEqual(typed({ aisles: "12, 4;4 16 x", section: " Stalls " }), { rows: 10, columns: 16, aisles: [4, 12], section: "Stalls" })
  assert.deepEqual(typed({ rows: "", columns: "4000" }), { rows: 0, columns: 400, aisles: [], section: "" })
})
