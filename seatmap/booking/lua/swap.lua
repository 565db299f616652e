-- SWAP: the last step of a rebuild. Puts the staged seats in place under a new epoch, with the holds that survived.
-- KEYS: keys.Keys, then the staged seats and owners. ARGV: new epoch, run id, claimed seats by visitor (msgpack),
-- accessible seats (msgpack), then field, value, … of the new meta.
-- Returns STALE (somebody swapped in a later epoch), or {holds kept, holds shortened or ended}.
-- Undecided orders without a booking return to their holds: the new epoch bars them in Postgres.
local META, SEATS, OWNERS, HOLDS, VISITORS, EXPIRY, ORDERS, PENDING, LOG, ACCESSIBLE, CHANNEL, NEW_SEATS, NEW_OWNERS = unpack(KEYS)
local epoch = tonumber(ARGV[1])
if epoch <= (tonumber(redis.call('HGET', META, 'epoch')) or 0) then
  redis.call('DEL', NEW_SEATS, NEW_OWNERS)
  return 'STALE'
end
local fields = {}
local claims = cmsgpack.unpack(ARGV[3])
local accessible = cmsgpack.unpack(ARGV[4])
for i = 5, #ARGV, 2 do fields[ARGV[i]] = ARGV[i + 1] end
local now = clock()
local latest = now + tonumber(fields.ttl) + tonumber(fields.extension)
local grace = tonumber(fields.grace)
local n = tonumber(fields.n)

local survivors = {} -- hold_id → {visitor, deadline, extended, seats text}
local old = redis.call('HGETALL', HOLDS)
for i = 1, #old, 2 do
  local visitor, deadline, extended, seats = string.match(old[i + 1], '^([^|]*)|(%d+)|([01])|(.*)$')
  if visitor then survivors[old[i]] = { visitor, tonumber(deadline), extended, seats } end
end
old = redis.call('HGETALL', ORDERS)
for i = 1, #old, 2 do
  local visitor, hold_id, deadline, extended, seats = string.match(old[i + 1], '^([^|]*)|([^|]*)|(%d+)|([01])|[^|]*|(.*)$')
  if visitor then survivors[hold_id] = { visitor, tonumber(deadline), extended, seats } end
end

local kept, lost = 0, 0
local holds, visitors, expiry = { '-', '' }, { '-', '' }, { '+inf', '-' }
local taken, has = {}, {}
for hold_id, hold in pairs(survivors) do
  local seats, wanted = {}, 0
  -- A clock that ran ahead before the rebuild must not leave a hold that never ends.
  local deadline = math.min(hold[2], latest)
  if now < deadline + grace and not has[hold[1]] then
    for digits in string.gmatch(hold[4], '%d+') do
      wanted = wanted + 1
      local seat = tonumber(digits)
      if seat < n and not taken[seat] and redis.call('GETRANGE', NEW_SEATS, seat, seat) == '\0' then
        taken[seat] = true
        seats[#seats + 1] = digits
      end
    end
  end
  if #seats > 0 then
    has[hold[1]] = true
    for _, seat in ipairs(seats) do
      redis.call('SETRANGE', NEW_SEATS, seat, '\1')
      redis.call('HSET', NEW_OWNERS, seat, 'h|' .. hold_id)
    end
    holds[#holds + 1] = hold_id
    holds[#holds + 1] = table.concat({ hold[1], string.format('%d', deadline), hold[3], table.concat(seats, ',') }, '|')
    visitors[#visitors + 1] = hold[1]
    visitors[#visitors + 1] = string.format('%d|%s|', #seats + (claims[hold[1]] or 0), hold_id)
    claims[hold[1]] = nil
    expiry[#expiry + 1] = string.format('%d', deadline + grace)
    expiry[#expiry + 1] = hold_id
  end
  if #seats > 0 and #seats == wanted then kept = kept + 1 else lost = lost + 1 end
end

local kept_back = { '-', '' }
for _, seat in ipairs(accessible) do
  kept_back[#kept_back + 1] = seat
  kept_back[#kept_back + 1] = ''
  if now < tonumber(fields.accessible_until) and redis.call('GETRANGE', NEW_SEATS, seat, seat) == '\0' then
    redis.call('SETRANGE', NEW_SEATS, seat, '\3')
    redis.call('HSET', NEW_OWNERS, seat, 'a|')
  end
end

for visitor, count in pairs(claims) do
  visitors[#visitors + 1] = visitor
  visitors[#visitors + 1] = string.format('%d||', count)
end

local function in_chunks(name, key, list)
  for from = 1, #list, 4000 do redis.call(name, key, unpack(list, from, math.min(from + 3999, #list))) end
end
redis.call('DEL', HOLDS, VISITORS, EXPIRY, ORDERS, PENDING, LOG, META, ACCESSIBLE)
redis.call('RENAME', NEW_SEATS, SEATS)
redis.call('HSET', NEW_OWNERS, '-', '')
redis.call('RENAME', NEW_OWNERS, OWNERS)
-- What is staged ends by itself, and a renamed key takes its end with it.
redis.call('PERSIST', SEATS)
redis.call('PERSIST', OWNERS)
in_chunks('HSET', HOLDS, holds)
in_chunks('HSET', VISITORS, visitors)
in_chunks('HSET', ACCESSIBLE, kept_back)
in_chunks('ZADD', EXPIRY, expiry)
redis.call('HSET', ORDERS, '-', '')
redis.call('ZADD', PENDING, '+inf', '-')
redis.call('XADD', LOG, '0-1', 'm', '')
redis.call('HSET', META, 'epoch', ARGV[1], 'version', '0', 'rid', ARGV[2], 'floor', string.format('%d', now))
for field, value in pairs(fields) do redis.call('HSET', META, field, value) end
-- No change leads here: an entry that goes nowhere makes every replica see the new epoch.
redis.call('SPUBLISH', CHANNEL, struct.pack('<I4I4I4I4', epoch, 0, 0, 0) .. cmsgpack.pack({}))
return { kept, lost }
