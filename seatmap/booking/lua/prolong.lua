-- PROLONG: give holds more time; none more than a new hold that is extended could have, as a rebuild would cut it down
-- to that.
-- Command: ms, holds (their ids, by comma).
-- Replies: OK holds-prolonged.
-- Change: of nobody's map; the owners are told their new deadlines.
local ms = command[2]
local latest = now + meta.ttl + meta.extension
local prolonged = 0
for hold_id in string.gmatch(command[3], '[^,]+') do
  local hold = holds.get(hold_id)
  if hold and lives(hold) then
    local deadline = math.min(hold.deadline + ms, latest)
    if deadline > hold.deadline then
      put_hold(hold_id, { visitor = hold.visitor, deadline = deadline, extended = hold.extended, seats = hold.seats })
      touch(hold.visitor, '')
      prolonged = prolonged + 1
    end
  end
end
return 'OK ' .. int(prolonged)
