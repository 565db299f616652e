-- Orders that have been undecided for at least an age, oldest first; the resolver settles them.
-- KEYS: keys.Keys. ARGV: run id, age in ms, how many at most.
-- Returns RECOVERING, or {order_id, visitor, body, order_id, …}.
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'rid', 'rebuilding')
if not meta[1] or meta[2] ~= ARGV[1] or meta[3] then return 'RECOVERING' end
local latest = clock() - tonumber(ARGV[2])
local found = {}
for _, order_id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[8], '-inf', string.format('%d', latest), 'LIMIT', 0, ARGV[3])) do
  local text = redis.call('HGET', KEYS[7], order_id)
  local visitor, body = string.match(text or '', '^([^|]*)|[^|]*|[^|]*|[^|]*|([^|]*)|')
  if visitor then
    found[#found + 1] = order_id
    found[#found + 1] = visitor
    found[#found + 1] = body
  end
end
return found
