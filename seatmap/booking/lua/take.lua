-- TAKE: claim free seats for an order that is about to be moved to them, or sold them over the counter. No one
-- resolves it: where that never reached Postgres, the reconciler finds a claim that is none, and frees it.
-- Command: order_id, visitor, seats.
-- Replies, in descending precedence: NOT_ON_SALE | NO_SEATS | SEAT_OUT_OF_RANGE seat | SEAT_REPEATED seat | SEAT_BLOCKED seats |
--   SEAT_TAKEN seats | OK.
-- Change: the seats become held, those too that are held back for just this, and count as the visitor's.
local order_id, id, list = command[2], command[3], command[4]
if meta.status ~= 'published' then return 'NOT_ON_SALE' end
if #list == 0 then return 'NO_SEATS' end
local bad = bad_seats(list)
if bad then return bad end
local token = 'c|' .. order_id
local take, taken, blocked = {}, {}, {}
for _, seat in ipairs(list) do
  local owner = owners.get(seat) or ''
  local hold_id = string.sub(owner, 1, 2) == 'h|' and string.sub(owner, 3)
  local hold = hold_id and holds.get(hold_id)
  if hold and not lives(hold) then kill(hold_id, hold, 'expired') end
  local status = status_of(seat)
  if status == AVAILABLE or owner == HELD_BACK then take[#take + 1] = seat
  elseif status == BLOCKED then blocked[#blocked + 1] = int(seat)
  elseif owner ~= token then taken[#taken + 1] = int(seat) end
end
if #blocked > 0 then return 'SEAT_BLOCKED ' .. table.concat(blocked, ',') end
if #taken > 0 then return 'SEAT_TAKEN ' .. table.concat(taken, ',') end
for _, seat in ipairs(take) do give(seat, HELD, token) end
local visitor = visitors.get(id)
if #take > 0 then set_visitor(id, visitor.count + #take, visitor.hold_id, visitor.order_id) end
return 'OK'
