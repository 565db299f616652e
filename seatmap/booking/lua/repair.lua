-- REPAIR: the reconciler's correction of one seat, by compare-and-set on what it saw twice.
-- Command: seat, owner seen ('' for none), status seen, status to be, order_id to be ('' for none), visitor (whose claim it becomes).
-- Replies: SEAT_OUT_OF_RANGE seat | CHANGED (somebody was faster, or an order is being decided; look again) | OK.
-- Change: the seat gets the status and the owner that Postgres knows.
local seat, owner_seen, status_seen, status, order_id = command[2], command[3], command[4], command[5], command[6]
local claimant = command[7]
local bad = bad_seats({ seat })
if bad then return bad end
if (owners.get(seat) or '') ~= owner_seen or seats.get(seat) ~= status_seen then return 'CHANGED' end
if string.sub(owner_seen, 1, 2) == 'p|' and orders.get(string.sub(owner_seen, 3)) then return 'CHANGED' end
local hold = string.sub(owner_seen, 1, 2) == 'h|' and holds.get(string.sub(owner_seen, 3))
-- A seat that nobody has bought is freed because its hold is not there. This one is: it was elsewhere when looked for.
if hold and status_seen == HELD and status == AVAILABLE then return 'CHANGED' end
if hold then kill(string.sub(owner_seen, 3), hold, 'lost') end
local claimed = status == HELD and order_id ~= ''
give(seat, status, order_id ~= '' and (claimed and 'c|' or 'b|') .. order_id or false)
if claimed then
  local visitor = visitors.get(claimant)
  set_visitor(claimant, visitor.count + 1, visitor.hold_id, visitor.order_id)
end
return 'OK'
