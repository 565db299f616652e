-- RELEASE: give seats of the visitor's hold back; none named gives all of them back.
-- Command: visitor, hold_id, seats.
-- Replies, in descending precedence: SEAT_OUT_OF_RANGE seat | SEAT_REPEATED seat | IN_CHECKOUT | NOT_YOUR_HOLD | OK mine.
--   A hold that is gone answers OK: what was asked for is so.
-- Change: those of the seats that this hold has become available.
local id, hold_id, list = command[2], command[3], command[4]
local bad = bad_seats(list)
if bad then return bad end
local visitor = visitors.get(id)
if visitor.order_id ~= '' then return 'IN_CHECKOUT' end
local hold, word = own_hold(id, hold_id)
if word == 'NOT_YOUR_HOLD' then return word end
if not hold then return ok_mine(id) end

local going = {}
for _, seat in ipairs(#list > 0 and list or hold.seats) do going[seat] = true end
local kept, gone = {}, {}
for _, seat in ipairs(hold.seats) do
  local pile = going[seat] and gone or kept
  pile[#pile + 1] = seat
end
if #gone == 0 then return ok_mine(id) end
if #kept == 0 then
  kill(hold_id, hold, '')
  return ok_mine(id)
end
free(gone, 'h|' .. hold_id)
put_hold(hold_id, { visitor = id, deadline = hold.deadline, extended = hold.extended, seats = kept })
set_visitor(id, visitor.count - #gone, hold_id, '')
touch(id, '')
return ok_mine(id)
