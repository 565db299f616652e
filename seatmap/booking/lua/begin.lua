-- BEGIN: the first half of book. The hold's seats become undecided under order_id, out of the sweeper's reach.
-- Command: visitor, hold_id, order_id, body (a hash of what is bought), seats (exactly those of the hold).
-- Replies, in descending precedence: ORDER_REUSED | DUP (already begun; go on) | NOT_ON_SALE | NO_SEATS |
--   SEAT_OUT_OF_RANGE seat | SEAT_REPEATED seat | IN_CHECKOUT | HOLD_EXPIRED | NOT_YOUR_HOLD | HOLD_CHANGED | BEGUN.
-- Change: of nobody's map (an undecided seat is shown as held); the owner is told.
local id, hold_id, order_id, body, list = command[2], command[3], command[4], command[5], command[6]
local known = orders.get(order_id)
if known then
  if known.visitor == id and known.body == body then return 'DUP' end
  return 'ORDER_REUSED'
end
if meta.status ~= 'published' then return 'NOT_ON_SALE' end
if #list == 0 then return 'NO_SEATS' end
local bad = bad_seats(list)
if bad then return bad end
if visitors.get(id).order_id ~= '' then return 'IN_CHECKOUT' end
local hold, word = own_hold(id, hold_id)
if not hold then return word end

local token = 'h|' .. hold_id
if #list ~= #hold.seats then return 'HOLD_CHANGED' end
for _, seat in ipairs(list) do
  if owners.get(seat) ~= token then return 'HOLD_CHANGED' end
end

for _, seat in ipairs(list) do owners.set(seat, 'p|' .. order_id) end
holds.set(hold_id, false)
expiry.set(hold_id, false)
orders.set(order_id, { visitor = id, hold_id = hold_id, deadline = hold.deadline, extended = hold.extended,
  body = body, seats = hold.seats })
pending.set(order_id, now)
set_visitor(id, visitors.get(id).count, '', order_id)
touch(id, '')
return 'BEGUN'
