-- What every rule of the batch shares: the clock, the event's state as an overlay, and small verbs on it.
--
-- A failing script keeps the writes it made. So a batch decides all its commands on an overlay in Lua
-- and writes once, at the end (`batch.lua`), with calls that cannot fail.

local META, SEATS, OWNERS, HOLDS, VISITORS, EXPIRY, ORDERS, PENDING, LOG, ACCESSIBLE, CHANNEL = unpack(KEYS)
local AVAILABLE, HELD, BOOKED, BLOCKED = 0, 1, 2, 3
local ABSENT = {} -- in a journal, which cannot hold nil
local HELD_BACK = 'a|' -- owns an accessible seat that only the box office gives away so far
local SENTINEL = '-' -- keeps a key from vanishing; never a hold, visitor or order id

local meta = {}
do
  local fields = redis.call('HGETALL', META)
  for i = 1, #fields, 2 do meta[fields[i]] = tonumber(fields[i + 1]) or fields[i + 1] end
  meta.rid = redis.call('HGET', META, 'rid') -- forty digits without a letter would be a number
end

local function int(number) return string.format('%d', number) end

local server_now = clock()
local now = math.max(server_now, meta.floor or 0) -- never behind what the event has seen

local function numbers(text)
  local list = {}
  for digits in string.gmatch(text, '%d+') do list[#list + 1] = tonumber(digits) end
  return list
end

-- ---- the overlay ----------------------------------------------------------------------------------

local journal = {} -- undoes the command being decided, should its rule fail: table, field, what was there before …

local function note(cells, field)
  local place = #journal
  journal[place + 1] = cells
  journal[place + 2] = field
  journal[place + 3] = cells[field] == nil and ABSENT or cells[field]
end

-- A lazily read table over Redis. `get` answers false for what is absent; `set` false removes.
local function overlay(load)
  local seen, dirty = {}, {}
  local self = { dirty = dirty }
  function self.get(key)
    local value = seen[key]
    if value == nil then
      value = load(key)
      seen[key] = value
    end
    return value
  end
  function self.set(key, value)
    note(seen, key)
    seen[key] = value
    if not dirty[key] then
      note(dirty, key)
      dirty[key] = true
    end
  end
  return self
end

local seats = overlay(function(seat)
  return string.byte(redis.call('GETRANGE', SEATS, seat, seat)) or BLOCKED
end)
local owners = overlay(function(seat) return redis.call('HGET', OWNERS, seat) end)
local accessible = overlay(function(seat) return redis.call('HGET', ACCESSIBLE, seat) end) -- '' for those that are
local expiry = overlay(function() return false end) -- write-only: scores are read from the holds
local pending = overlay(function() return false end)

local holds = overlay(function(id)
  local text = redis.call('HGET', HOLDS, id)
  if not text or id == SENTINEL then return false end
  local visitor, deadline, extended, list = string.match(text, '^([^|]*)|(%d+)|([01])|([%d,]*)$')
  return { visitor = visitor, deadline = tonumber(deadline), extended = extended == '1', seats = numbers(list) }
end)
local function hold_text(hold)
  return table.concat({ hold.visitor, int(hold.deadline), hold.extended and '1' or '0', table.concat(hold.seats, ',') }, '|')
end

local orders = overlay(function(id)
  local text = redis.call('HGET', ORDERS, id)
  if not text or id == SENTINEL then return false end
  local visitor, hold_id, deadline, extended, body, list =
    string.match(text, '^([^|]*)|([^|]*)|(%d+)|([01])|([^|]*)|([%d,]*)$')
  return { visitor = visitor, hold_id = hold_id, deadline = tonumber(deadline), extended = extended == '1',
    body = body, seats = numbers(list) }
end)
local function order_text(order)
  return table.concat({ order.visitor, order.hold_id, int(order.deadline), order.extended and '1' or '0',
    order.body, table.concat(order.seats, ',') }, '|')
end

local visitors = overlay(function(id)
  local text = redis.call('HGET', VISITORS, id)
  if not text or id == SENTINEL then return { count = 0, hold_id = '', order_id = '' } end
  local count, hold_id, order_id = string.match(text, '^(%d+)|([^|]*)|([^|]*)$')
  return { count = tonumber(count), hold_id = hold_id, order_id = order_id }
end)
local function visitor_text(visitor)
  if visitor.count == 0 and visitor.hold_id == '' and visitor.order_id == '' then return false end
  return table.concat({ int(visitor.count), visitor.hold_id, visitor.order_id }, '|')
end

-- ---- verbs ----------------------------------------------------------------------------------------

local version = meta.version or 0 -- of the last change decided so far
local touched = {} -- visitor → why what is theirs changed; they are told

local function touch(visitor, reason)
  note(touched, visitor)
  touched[visitor] = reason
end

local announced = {} -- fields of meta that a command changed
local function set_meta(field, value)
  note(meta, field)
  note(announced, field)
  meta[field] = value
  announced[field] = value
end

local function set_visitor(id, count, hold_id, order_id)
  visitors.set(id, { count = math.max(count, 0), hold_id = hold_id, order_id = order_id })
end

-- Whether accessible seats are held back still.
local function holding_back() return now < (meta.accessible_until or 0) end

-- A seat that becomes free is held back while its kind is.
local function give(seat, status, owner)
  if status == AVAILABLE and holding_back() and accessible.get(seat) then status, owner = BLOCKED, HELD_BACK end
  seats.set(seat, status)
  owners.set(seat, owner)
end

-- The status of a seat for who asks for it: what was held back is on sale from its moment on, swept or not.
local function status_of(seat)
  local status = seats.get(seat)
  if status == BLOCKED and not holding_back() and owners.get(seat) == HELD_BACK then
    give(seat, AVAILABLE, false)
    return AVAILABLE
  end
  return status
end

-- All accessible seats, while they are held back or until they were put on sale after it.
local function accessible_seats()
  local list = {}
  for _, field in ipairs(redis.call('HKEYS', ACCESSIBLE)) do
    local seat = tonumber(field)
    if seat and accessible.get(seat) then list[#list + 1] = seat end
  end
  for seat in pairs(accessible.dirty) do
    if accessible.get(seat) then list[#list + 1] = seat end -- one that comes twice does no harm
  end
  return list
end

-- Frees those of `list` that `token` still owns; answers how many.
local function free(list, token)
  local freed = 0
  for _, seat in ipairs(list) do
    if owners.get(seat) == token then
      give(seat, AVAILABLE, false)
      freed = freed + 1
    end
  end
  return freed
end

-- Within its grace a hold lives still: its owner may book it, nobody else may take its seats.
local function lives(hold) return now < hold.deadline + meta.grace end

-- Whoever meets an expired hold ends all of it.
local function kill(hold_id, hold, reason)
  free(hold.seats, 'h|' .. hold_id)
  holds.set(hold_id, false)
  expiry.set(hold_id, false)
  local visitor = visitors.get(hold.visitor)
  if visitor.hold_id == hold_id then
    set_visitor(hold.visitor, visitor.count - #hold.seats, '', visitor.order_id)
    touch(hold.visitor, reason)
  end
end

local function put_hold(hold_id, hold)
  holds.set(hold_id, hold)
  expiry.set(hold_id, hold.deadline + meta.grace)
end

-- The hold `hold_id` of `visitor` while it lives for its owner, else nil and the word that says why not.
local function own_hold(visitor, hold_id)
  local hold = holds.get(hold_id)
  if not hold then return nil, 'HOLD_EXPIRED' end
  if hold.visitor ~= visitor then return nil, 'NOT_YOUR_HOLD' end
  if not lives(hold) then
    kill(hold_id, hold, 'expired')
    return nil, 'HOLD_EXPIRED'
  end
  return hold
end

-- The word and the seats that make a list of seats unusable, or nil.
local function bad_seats(list)
  local seen = {}
  for _, seat in ipairs(list) do
    if type(seat) ~= 'number' or seat < 0 or seat >= meta.n or seat % 1 ~= 0 then
      return string.format('SEAT_OUT_OF_RANGE %.0f', seat) -- any number there is; '..' would write 1e+15
    end
    if seen[seat] then return 'SEAT_REPEATED ' .. seat end
    seen[seat] = true
  end
end

local function on_sale()
  return meta.status == 'published' and now >= meta.from and now < meta['until']
end

-- What is a visitor's, as words: hold_id ('-' for none), ms left, extendable, seats, order_id, its seats. The reply and
-- the change entry say the same, so it is kept for as long as it is made of the same records.
local said = {}
local function mine(id)
  local visitor = visitors.get(id)
  local hold = visitor.hold_id ~= '' and holds.get(visitor.hold_id) or nil
  local order = visitor.order_id ~= '' and orders.get(visitor.order_id) or nil
  local last = said[id]
  if not (last and last.visitor == visitor and last.hold == hold and last.order == order) then
    last = { visitor = visitor, hold = hold, order = order, words = table.concat({
      hold and visitor.hold_id or '-',
      hold and int(math.max(hold.deadline - now, 0)) or '0',
      hold and not hold.extended and meta.extension > 0 and '1' or '0',
      hold and table.concat(hold.seats, ',') or '',
      order and visitor.order_id or '-',
      order and table.concat(order.seats, ',') or '',
    }, ' ') }
    said[id] = last
  end
  return last.words
end

local function ok_mine(visitor) return 'OK ' .. mine(visitor) end

local rules = {}
