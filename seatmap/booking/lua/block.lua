-- BLOCK: take seats off sale, before Postgres does; or put them back, after Postgres did.
-- Command: back (0 takes off, 1 puts back), seats.
-- Replies, in descending precedence: SEAT_OUT_OF_RANGE seat | SEAT_REPEATED seat | OK done held booked (lists of seats).
-- Change: the seats of `done` become blocked, or available (an accessible one is held back while its kind is). Seats that somebody has are left alone.
local back, list = command[2] == 1, command[3]
local bad = bad_seats(list)
if bad then return bad end
local done, held, booked = {}, {}, {}
for _, seat in ipairs(list) do
  local status = status_of(seat)
  if status == HELD then
    local owner = owners.get(seat) or ''
    local hold_id = string.sub(owner, 1, 2) == 'h|' and string.sub(owner, 3)
    local hold = hold_id and holds.get(hold_id)
    if hold and not lives(hold) then
      kill(hold_id, hold, 'expired')
      status = seats.get(seat)
    end
  end
  if status == HELD then held[#held + 1] = int(seat)
  elseif status == BOOKED then booked[#booked + 1] = int(seat)
  else
    done[#done + 1] = int(seat)
    local kept = owners.get(seat) == HELD_BACK
    if back and status == BLOCKED and not kept then give(seat, AVAILABLE, false) end
    if not back and (status == AVAILABLE or kept) then give(seat, BLOCKED, false) end
  end
end
return table.concat({ 'OK', table.concat(done, ','), table.concat(held, ','), table.concat(booked, ',') }, ' ')
