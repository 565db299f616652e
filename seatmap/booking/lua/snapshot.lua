-- The whole map at one position.
-- KEYS: keys.Keys. ARGV: run id.
-- Returns RECOVERING (also where the clock went so far back that every command is refused), or {epoch, version, now, plan_version, seats}: seats as one byte each.
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'version', 'rid', 'plan_version', 'rebuilding', 'floor')
if not meta[1] or meta[3] ~= ARGV[1] or meta[5] then return 'RECOVERING' end
local now = clock()
if (tonumber(meta[6]) or 0) - now > 5000 then return 'RECOVERING' end
return { meta[1], meta[2], string.format('%d', now), meta[4], redis.call('GET', KEYS[2]) }
