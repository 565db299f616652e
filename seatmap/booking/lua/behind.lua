-- BEHIND: Postgres is at another epoch, so that no order of this one can commit. The event is to be rebuilt.
-- KEYS: keys.Keys. ARGV: run id, the epoch that was found to be behind.
-- Returns 1 (from now on this event answers RECOVERING, until a swap), or 0: it is at another epoch by now.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'rebuilding', 1)
return 1
