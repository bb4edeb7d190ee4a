# needs: lua5.4
# Tables, closures, coroutines, strings, garbage collection with finalizers, errors.
. "$LIB"
cat >w.lua <<'L'
local t = {} for i = 1, 100000 do t[i] = { i, tostring(i) } end print(#t, t[500][2])
local cos = {} for i = 1, 500 do cos[i] = coroutine.wrap(function() local s = 0 for k = 1, 100 do s = s + k * i coroutine.yield(s) end end) end local s = 0 for k = 1, 50 do for i = 1, 500 do s = s + cos[i]() end end print(s)
local n = 0 for i = 1, 10000 do setmetatable({}, { __gc = function() n = n + 1 end }) end collectgarbage() print(n)
local parts = {} for w in ("the quick brown fox "):rep(1000):gmatch("%a+") do parts[#parts + 1] = w:upper():reverse() end print(#table.concat(parts, ","))
print(select('#', table.unpack(parts, 1, 200)), string.format("%q %5.2f", "a\nb", 2.5), ("x"):rep(3, "-"))
table.sort(parts, function(a, b) return a > b end) print(parts[1], parts[#parts]) local w = setmetatable({}, { __mode = "k" }) for i = 1, 1000 do w[{}] = i end collectgarbage() print(next(w))
print(pcall(error, { code = 2 })) os.exit(6, true)
L
set +e; lua5.4 w.lua | sed 's/0x[0-9a-f]*/ADDR/'; echo "status ${PIPESTATUS[0]}"; lua5.4 -e 'error("wanted")' 2>&1 | sed -n 1,1p
exit 0
