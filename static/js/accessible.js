// Places for wheelchairs: which of them are kept for who needs one, and the words and the sign for it.

import { eventDate } from "./format.js"
import { BLOCKED } from "./store.js"

export const isKept = (venue, seat, look) =>
  look === BLOCKED && venue.accessible.has(seat) && Date.now() < venue.keptUntil

// What is to be said of a seat beside its price; empty for most.
export function accessibleWords(venue, seat, look) {
  if (!venue.accessible.has(seat)) return ""
  if (!isKept(venue, seat, look)) return "wheelchair place"
  return `wheelchair place, kept until ${eventDate(venue.keptUntil, venue.timezone)} for people who need one; ask the box office`
}

// The sign, in a square of 16 units.
export const SIGN = "M6.4 5.2v4.3h3.9l1.7 3.6M6.4 7.1h3.2M4.9 8.2a3.6 3.6 0 1 0 4.6 4.4M6.4 2.9h.01"
