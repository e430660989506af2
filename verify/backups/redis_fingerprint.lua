-- One step of a SCAN: returns the next cursor, then hex(key), type, expiry and a digest per key.
-- The digest is of a canonical form: neither encodings nor the order within sets and hashes count.
local function hex(s)
  return (s:gsub('.', function(c) return string.format('%02x', string.byte(c)) end))
end
local function framed(values)
  local parts = {}
  for _, v in ipairs(values) do parts[#parts + 1] = #v .. ':' .. v end
  return table.concat(parts)
end
local function pairs_sorted(flat)
  local joined = {}
  for i = 1, #flat, 2 do joined[#joined + 1] = framed({flat[i], flat[i + 1]}) end
  table.sort(joined)
  return joined
end
local function flatten(value)
  if type(value) ~= 'table' then return framed({tostring(value)}) end
  local parts = {}
  for _, v in ipairs(value) do parts[#parts + 1] = flatten(v) end
  return '[' .. table.concat(parts) .. ']'
end
local readers = {
  string = function(k) return {redis.call('GET', k)} end,
  list = function(k) return redis.call('LRANGE', k, 0, -1) end,
  set = function(k) local m = redis.call('SMEMBERS', k); table.sort(m); return m end,
  hash = function(k) return pairs_sorted(redis.call('HGETALL', k)) end,
  zset = function(k) return pairs_sorted(redis.call('ZRANGE', k, 0, -1, 'WITHSCORES')) end,
  stream = function(k)
    local groups = {}
    for _, g in ipairs(redis.call('XINFO', 'GROUPS', k)) do
      groups[#groups + 1] = framed({g[2], tostring(g[8])})
    end
    table.sort(groups)
    return {flatten(redis.call('XRANGE', k, '-', '+')), framed(groups)}
  end,
}
local found = redis.call('SCAN', ARGV[1], 'COUNT', 500)
local out = {found[1]}
for _, key in ipairs(found[2]) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'none' then
    local read = readers[kind]
    local digest = redis.sha1hex(framed(read and read(key) or {redis.call('DUMP', key)}))
    out[#out + 1] = table.concat(
      {hex(key), kind, string.format('%.0f', redis.call('PEXPIRETIME', key)), digest}, ' ')
  end
end
return out
