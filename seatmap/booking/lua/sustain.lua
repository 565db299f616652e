-- SUSTAIN: Postgres is away while a visitor wants to pay. Their undecided order, or else their hold, gets the extension
-- that EXTEND gives, unless it has had it: an order that is given up later then finds its hold still alive.
-- Command: visitor.
-- Replies: OK mine.
-- Change: of nobody's map; the owner is told the new deadline.
local id = command[2]
if meta.extension <= 0 then return ok_mine(id) end
local visitor = visitors.get(id)
local order = visitor.order_id ~= '' and orders.get(visitor.order_id)
if order then
  if not order.extended then
    orders.set(visitor.order_id, { visitor = id, hold_id = order.hold_id, deadline = order.deadline + meta.extension,
      extended = true, body = order.body, seats = order.seats })
    touch(id, '')
  end
  return ok_mine(id)
end
local hold = visitor.hold_id ~= '' and holds.get(visitor.hold_id)
if hold and lives(hold) and not hold.extended then
  put_hold(visitor.hold_id, { visitor = id, deadline = hold.deadline + meta.extension, extended = true, seats = hold.seats })
  touch(id, '')
end
return ok_mine(id)
