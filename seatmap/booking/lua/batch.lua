-- The dispatcher: takes mixed commands in arrival order, decides them one after the other, writes once.
-- KEYS: keys.Keys. ARGV: epoch, deadline (ms of this server's clock), run id, then one msgpack array per command.
-- Returns one string per command, then "epoch version now". A call that may not act at all answers for each command
-- RECOVERING | CLOCK | EPOCH | DEADLINE; a rule that broke answers FAILED and has changed nothing.
local epoch, deadline, rid = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local closed
if not meta.epoch or meta.rid ~= rid or meta.rebuilding then closed = 'RECOVERING'
elseif (meta.floor or 0) - server_now > 5000 then closed = 'CLOCK'
elseif meta.epoch ~= epoch then closed = 'EPOCH'
elseif now > deadline then closed = 'DEADLINE' end

local replies = {}
local first = version
for i = 4, #ARGV do
  if closed then
    replies[#replies + 1] = closed
  else
    journal = {}
    local done, reply = pcall(function()
      local command = cmsgpack.unpack(ARGV[i])
      return rules[command[1]](command)
    end)
    if not done then
      for k = #journal - 2, 1, -3 do
        local before = journal[k + 2]
        if before == ABSENT then before = nil end
        journal[k][journal[k + 1]] = before
      end
      reply = 'FAILED ' .. tostring(type(reply) == 'table' and reply.err or reply)
    elseif #journal > 0 then
      version = version + 1
    end
    replies[#replies + 1] = reply
  end
end

-- ---- from here on nothing can fail ----

-- Calls `name key` with the arguments in `list`, few enough at a time for unpack.
local function in_chunks(name, key, list)
  for from = 1, #list, 4000 do redis.call(name, key, unpack(list, from, math.min(from + 3999, #list))) end
end

local function write_hash(key, cells, text)
  local set, gone = {}, {}
  for field in pairs(cells.dirty) do
    local value = cells.get(field)
    value = value and text(value)
    if value then
      set[#set + 1] = field
      set[#set + 1] = value
    else
      gone[#gone + 1] = field
    end
  end
  in_chunks('HSET', key, set)
  in_chunks('HDEL', key, gone)
end

local function write_zset(key, cells)
  local set, gone = {}, {}
  for member in pairs(cells.dirty) do
    local score = cells.get(member)
    if score then
      set[#set + 1] = int(score)
      set[#set + 1] = member
    else
      gone[#gone + 1] = member
    end
  end
  in_chunks('ZADD', key, set)
  in_chunks('ZREM', key, gone)
end

-- epoch, version before, version after, how many seats; then u32 seat << 8 | status; then in turn who was touched,
-- why, and what is theirs.
local function change_entry()
  local public, count = {}, 0
  for seat in pairs(seats.dirty) do
    count = count + 1
    public[count] = struct.pack('<I4', seat * 256 + seats.get(seat))
  end
  local private = {}
  for visitor, reason in pairs(touched) do
    local place = #private
    private[place + 1] = visitor
    private[place + 2] = reason
    private[place + 3] = mine(visitor)
  end
  return struct.pack('<I4I4I4I4', meta.epoch, first, version, count) .. table.concat(public) .. cmsgpack.pack(private)
end

if version > first then
  for seat in pairs(seats.dirty) do redis.call('SETRANGE', SEATS, seat, string.char(seats.get(seat))) end
  local function plain(value) return value end
  write_hash(OWNERS, owners, plain)
  write_hash(ACCESSIBLE, accessible, plain)
  write_hash(HOLDS, holds, hold_text)
  write_hash(ORDERS, orders, order_text)
  write_hash(VISITORS, visitors, visitor_text)
  write_zset(EXPIRY, expiry)
  write_zset(PENDING, pending)
  for field, value in pairs(announced) do
    redis.call('HSET', META, field, type(value) == 'number' and int(value) or value)
  end
  redis.call('HSET', META, 'version', int(version), 'floor', int(now))
  local entry = change_entry()
  redis.call('XADD', LOG, 'MAXLEN', '~', '4096', int(version) .. '-0', 'm', entry)
  redis.call('SPUBLISH', CHANNEL, entry)
elseif not closed and now - (meta.floor or 0) > 1000 then
  redis.call('HSET', META, 'floor', int(now))
end
replies[#replies + 1] = int(meta.epoch or 0) .. ' ' .. int(version) .. ' ' .. int(now)
return replies
