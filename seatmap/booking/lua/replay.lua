-- The changes after a position, as far as the log still has all of them.
-- KEYS: keys.Keys. ARGV: run id, epoch, version, how many entries at most.
-- Returns RECOVERING, RESET (take a snapshot), or {entry, …}, oldest first.
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'version', 'rid', 'rebuilding')
if not meta[1] or meta[3] ~= ARGV[1] or meta[4] then return 'RECOVERING' end
local since, head, most = tonumber(ARGV[3]), tonumber(meta[2]), tonumber(ARGV[4])
if meta[1] ~= ARGV[2] or since > head then return 'RESET' end
local entries = {}
for _, row in ipairs(redis.call('XRANGE', KEYS[9], string.format('%d-0', since + 1), '+', 'COUNT', most + 1)) do
  entries[#entries + 1] = row[2][2]
end
if #entries > most then return 'RESET' end
-- The first entry must start at or before the position, else what lay between has been trimmed.
if #entries == 0 then return since == head and entries or 'RESET' end
if struct.unpack('<I4', entries[1], 5) > since then return 'RESET' end
return entries
