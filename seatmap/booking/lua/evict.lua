-- EVICT: end the hold that has a seat, whoever's it is.
-- Command: seat.
-- Replies, in descending precedence: SEAT_OUT_OF_RANGE seat | IN_CHECKOUT | OK seats.
-- Change: all seats of the hold become available; its owner is told. A seat that nobody holds answers OK and no seats.
local seat = command[2]
local bad = bad_seats({ seat })
if bad then return bad end
local owner = owners.get(seat) or ''
local kind = string.sub(owner, 1, 2)
if kind == 'p|' or kind == 'c|' then return 'IN_CHECKOUT' end
local hold_id = string.sub(owner, 3)
local hold = kind == 'h|' and holds.get(hold_id)
if not hold then return 'OK ' end
kill(hold_id, hold, lives(hold) and 'released' or 'expired')
return 'OK ' .. table.concat(hold.seats, ',')
