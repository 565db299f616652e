-- The only place that reads a clock: ms of the Unix epoch. A script asks it once.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
