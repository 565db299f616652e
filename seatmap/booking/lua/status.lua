-- STATUS: what Postgres says of the event, if that is newer than what is known here.
-- Command: status_version, status, paused, plan_version, limit, from, until.
-- Replies: OK taken (1, or 0 for what is not newer).
-- Change: of nobody's map; who watches the event reads it again.
local status_version = command[2]
if status_version <= (meta.status_version or 0) then return 'OK 0' end
set_meta('status_version', status_version)
set_meta('status', command[3])
set_meta('paused', command[4])
set_meta('plan_version', command[5])
set_meta('limit', command[6])
set_meta('from', command[7])
set_meta('until', command[8])
return 'OK 1'
