-- HOLD: add seats to the visitor's hold, all or none; without a hold_id continue the current hold or make one.
-- Command: visitor, hold_id ('' for none), seats (indexes).
-- Replies, in descending precedence: NOT_ON_SALE | PAUSED | NO_SEATS | SEAT_OUT_OF_RANGE seat | SEAT_REPEATED seat |
--   IN_CHECKOUT | HOLD_EXPIRED | NOT_YOUR_HOLD | SEAT_BLOCKED seats | SEAT_HELD_BACK seats | SEAT_TAKEN seats |
--   TOO_MANY_SEATS limit | OK mine.
-- Change: the seats become held. The clock starts with the first seat; adding a seat does not restart it.
local id, hold_id, list = command[2], command[3], command[4]
if not on_sale() then return 'NOT_ON_SALE' end
if meta.paused == 1 then return 'PAUSED' end -- what is held already may still be bought
if #list == 0 then return 'NO_SEATS' end
local bad = bad_seats(list)
if bad then return bad end
if visitors.get(id).order_id ~= '' then return 'IN_CHECKOUT' end

local named = hold_id ~= ''
if not named then hold_id = visitors.get(id).hold_id end
local hold
if hold_id ~= '' then
  local word
  hold, word = own_hold(id, hold_id)
  if not hold and named then return word end
  -- In its grace a hold can still be booked, but not grow; asking for seats without naming it gives it up.
  if hold and now >= hold.deadline then
    if named then return 'HOLD_EXPIRED' end
    kill(hold_id, hold, 'expired')
    hold = nil
  end
end

local own = hold and 'h|' .. hold_id
local take, taken, blocked, kept = {}, {}, {}, {}
for _, seat in ipairs(list) do
  local status, owner = status_of(seat), nil
  if status == HELD then
    owner = owners.get(seat)
    local other = owner and string.sub(owner, 1, 2) == 'h|' and owner ~= own and string.sub(owner, 3)
    local other_hold = other and holds.get(other)
    if other_hold and not lives(other_hold) then
      kill(other, other_hold, 'expired')
      status = seats.get(seat)
    end
  end
  if status == AVAILABLE then take[#take + 1] = seat
  elseif status == BLOCKED then
    local pile = owners.get(seat) == HELD_BACK and kept or blocked
    pile[#pile + 1] = seat
  elseif not own or owner ~= own then taken[#taken + 1] = seat end
end
if #blocked > 0 then return 'SEAT_BLOCKED ' .. table.concat(blocked, ',') end
if #kept > 0 then return 'SEAT_HELD_BACK ' .. table.concat(kept, ',') end
if #taken > 0 then return 'SEAT_TAKEN ' .. table.concat(taken, ',') end

local visitor = visitors.get(id)
if visitor.count + #take > meta.limit then return 'TOO_MANY_SEATS ' .. int(meta.limit) end
if #take == 0 then return ok_mine(id) end

local grown = { visitor = id, deadline = now + meta.ttl, extended = false, seats = {} }
if hold then
  grown.deadline, grown.extended = hold.deadline, hold.extended
  for i, seat in ipairs(hold.seats) do grown.seats[i] = seat end
else
  hold_id = string.format('%d-%d', meta.epoch, version + 1) -- of this change, so never made twice
end
for _, seat in ipairs(take) do
  give(seat, HELD, 'h|' .. hold_id)
  grown.seats[#grown.seats + 1] = seat
end
put_hold(hold_id, grown)
set_visitor(id, visitor.count + #take, hold_id, '')
touch(id, '')
return ok_mine(id)
