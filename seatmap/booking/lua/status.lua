-- STATUS: what Postgres says of the event, if that is newer than what is known here.
-- Command: status_version, status, paused, plan_version, limit, from, until, accessible_until, accessible (seats; none where they
--   are not held back).
-- Replies: OK taken (1, or 0 for what is not newer).
-- Change: accessible seats that nobody has are held back or put on sale, as it says; who watches the event reads it
--   again, which an empty visitor tells them.
local status_version = command[2]
if status_version <= (meta.status_version or 0) then return 'OK 0' end
set_meta('status_version', status_version)
set_meta('status', command[3])
set_meta('paused', command[4])
set_meta('plan_version', command[5])
set_meta('limit', command[6])
set_meta('from', command[7])
set_meta('until', command[8])
set_meta('accessible_until', command[9])
local listed = {}
for _, seat in ipairs(command[10]) do listed[seat] = true end
for _, seat in ipairs(accessible_seats()) do
  if not listed[seat] then
    accessible.set(seat, false)
    if owners.get(seat) == HELD_BACK then give(seat, AVAILABLE, false) end
  end
end
for seat in pairs(listed) do
  if seat < meta.n then
    accessible.set(seat, '')
    if status_of(seat) == AVAILABLE and holding_back() then give(seat, AVAILABLE, false) end
  end
end
touch('', 'event')
return 'OK 1'
