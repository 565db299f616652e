-- SETTLE: end the claim of an order as Postgres ended it, by compare-and-set on order_id. Any number of times.
-- Command: order_id, visitor, seats, verdict (confirmed | freed | moved | returned).
-- Replies: OK seats-changed.
-- Change: confirmed → booked. Freed → available. Moved and returned: the same of seats that were taken (TAKE),
--   which is no news about an order's money. Either way the visitor has so many seats fewer on their count.
local order_id, id, list, verdict = command[2], command[3], command[4], command[5]
local reasons = { confirmed = 'paid', freed = 'payment_failed', moved = '', returned = '' }
if not reasons[verdict] then error('no such verdict: ' .. verdict) end
local bought = verdict == 'confirmed' or verdict == 'moved'
-- The money may be faster than the news that the seats are claimed, which then finds nothing to do.
local order = orders.get(order_id)
local undecided = 'p|' .. order_id
if order then
  id = order.visitor
  orders.set(order_id, false)
  pending.set(order_id, false)
end
local token, changed = 'c|' .. order_id, 0
for _, seat in ipairs(order and order.seats or list) do
  local owner = owners.get(seat)
  if owner == token or order and owner == undecided then
    if bought then give(seat, BOOKED, 'b|' .. order_id) else give(seat, AVAILABLE, false) end
    changed = changed + 1
  end
end
local visitor = visitors.get(id)
local own = order and visitor.order_id == order_id
if own or changed > 0 then
  local gone = order and #order.seats or changed
  set_visitor(id, visitor.count - gone, visitor.hold_id, own and '' or visitor.order_id)
  touch(id, reasons[verdict])
end
return 'OK ' .. int(changed)
