// Why a press on a seat does nothing, in a sentence.

import { accessibleWords } from "./accessible.js"
import { BLOCKED, BOOKED, MINE } from "./store.js"

export function whyNot(venue, seat, look) {
  const label = venue.label(seat)
  if (look === MINE) return `${label} is booked already, by you.`
  if (look === BOOKED) return `${label} is sold.`
  if (look !== BLOCKED) return `${label} is held by somebody else.`
  const place = accessibleWords(venue, seat, look)
  return place ? `${label}: ${place}.` : `${label} is not for sale.`
}
