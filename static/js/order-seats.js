// The seats of an order. The server lists all it ever had: also those that were moved or given back since.

export const isActive = ({ status }) => status !== "cancelled"

// Each seat once: one that was moved away and back is there as it is, not as it was.
export function onceEach(seats) {
  const found = new Map()
  for (const entry of seats) if (isActive(entry) || !found.has(entry.seat)) found.set(entry.seat, entry)
  return [...found.values()]
}

// What its buyer has; of a cancelled order, what it was about.
export const seatsOf = (order) => (isActive(order) ? order.seats.filter(isActive) : onceEach(order.seats))

export const totalOf = (order) => (isActive(order) ? seatsOf(order).reduce((sum, { price }) => sum + price, 0) : order.total)
