-- FINISH: the second half of book, by compare-and-set on order_id. Whoever knows the verdict may send it, any number of times.
-- Command: order_id, verdict (confirmed | claimed | refused | aborted | cancelled).
-- Replies: GONE (finished before) | OK.
-- Change: confirmed → booked. Claimed (its money is awaited) → shown as held still, and counted. Refused or aborted → back to their hold while it lives, else available. Cancelled → available.
local order_id, verdict = command[2], command[3]
local known = { confirmed = true, claimed = true, refused = true, aborted = true, cancelled = true }
if not known[verdict] then error('no such verdict: ' .. verdict) end -- to guess would free a seat that is sold
local order = orders.get(order_id)
if not order then return 'GONE' end
local token = 'p|' .. order_id
local visitor = visitors.get(order.visitor)
orders.set(order_id, false)
pending.set(order_id, false)

local own = visitor.order_id == order_id
local back = (verdict == 'refused' or verdict == 'aborted') and own and now < order.deadline + meta.grace
local kept = {}
for _, seat in ipairs(back and order.seats or {}) do
  if owners.get(seat) == token then
    owners.set(seat, 'h|' .. order.hold_id)
    kept[#kept + 1] = seat
  end
end
if #kept > 0 then
  put_hold(order.hold_id, { visitor = order.visitor, deadline = order.deadline, extended = order.extended, seats = kept })
  set_visitor(order.visitor, visitor.count - #order.seats + #kept, order.hold_id, '')
else
  if verdict == 'confirmed' then
    for _, seat in ipairs(order.seats) do
      if owners.get(seat) == token then give(seat, BOOKED, 'b|' .. order_id) end
    end
  elseif verdict == 'claimed' then
    for _, seat in ipairs(order.seats) do
      if owners.get(seat) == token then
        owners.set(seat, 'c|' .. order_id)
        kept[#kept + 1] = seat
      end
    end
  else
    free(order.seats, token)
  end
  if own then set_visitor(order.visitor, visitor.count - #order.seats + #kept, visitor.hold_id, '') end
end
touch(order.visitor, verdict)
return 'OK'
