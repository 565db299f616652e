-- EXTEND: give the visitor's hold more time, once, by the event's extension.
-- Command: visitor, hold_id.
-- Replies, in descending precedence: IN_CHECKOUT | HOLD_EXPIRED | NOT_YOUR_HOLD | HOLD_NOT_EXTENDABLE | OK mine.
--   A second EXTEND of a hold answers OK and changes nothing, as a repeated message would.
-- Change: of nobody's map; the owner is told the new deadline.
local id, hold_id = command[2], command[3]
if visitors.get(id).order_id ~= '' then return 'IN_CHECKOUT' end
local hold, word = own_hold(id, hold_id)
if not hold then return word end
if meta.extension <= 0 then return 'HOLD_NOT_EXTENDABLE' end
if hold.extended then return ok_mine(id) end
put_hold(hold_id, { visitor = id, deadline = hold.deadline + meta.extension, extended = true, seats = hold.seats })
touch(id, '')
return ok_mine(id)
