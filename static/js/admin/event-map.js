// An event's plan and the states of its seats. Of a draft only staff may know, one object per seat; what everybody
// may see comes as a digit per seat, which is a hundredth of the bytes.

import { request } from "../api.js"

const DIGITS = { available: 0, held: 1, booked: 2, blocked: 3 }

export const planOf = (id) => request(`/api/admin/events/${id}/plan`)

// → {epoch, version, statuses: digits}
export async function seatsOf({ id, status, deleted = false }) {
  if (status !== "draft" && !deleted) return request(`/api/events/${id}/seats?compact=1`)
  const { epoch, version, seats } = await request(`/api/admin/events/${id}/seats`)
  return { epoch, version, statuses: seats.map((seat) => DIGITS[seat.status]) }
}
