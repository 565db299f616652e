-- The whole map at one position.
-- KEYS: keys.Keys. ARGV: run id.
-- Returns RECOVERING, or {epoch, version, now, plan_version, seats}: seats as one byte each.
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'version', 'rid', 'plan_version', 'rebuilding')
if not meta[1] or meta[3] ~= ARGV[1] or meta[5] then return 'RECOVERING' end
local time = redis.call('TIME')
return { meta[1], meta[2], string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000)), meta[4], redis.call('GET', KEYS[2]) }
