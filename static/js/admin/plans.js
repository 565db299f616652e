// The plans that an event can be made from.

import { request } from "../api.js"
import { plural } from "../format.js"

const LIMIT = 200 // as many as the server gives at once

// → [{id, text}]
export async function getPlans() {
  const { plans } = await request(`/api/admin/plans?limit=${LIMIT}`)
  return plans.map(({ id, name, seat_count: seats }) => ({ id, text: `${name} · ${plural(seats, "seat")}` }))
}
