-- EXPIRE: end holds whose deadline and grace have passed, oldest first. Correctness never needs it: HOLD and BEGIN
-- apply the same rule; this makes it visible soon.
-- It also puts on sale what was held back, once its moment has come.
-- Command: how many holds at most.
-- Replies: OK holds-ended.
-- Change: their seats become available; their owners are told.
local due = redis.call('ZRANGEBYSCORE', EXPIRY, '-inf', int(now), 'LIMIT', 0, command[2])
local ended = 0
for _, hold_id in ipairs(due) do
  local hold = holds.get(hold_id)
  if hold and not lives(hold) then
    kill(hold_id, hold, 'expired')
    ended = ended + 1
  elseif not hold then
    expiry.set(hold_id, false)
  end
end
if (meta.accessible_until or 0) > 0 and not holding_back() then
  for _, seat in ipairs(accessible_seats()) do status_of(seat) end
  set_meta('accessible_until', 0)
end
return 'OK ' .. int(ended)
