# needs: php
# Arrays, objects, generators, regular expressions, JSON, exceptions, both with PHP's own allocator and with malloc.
. "$LIB"
cat >work.php <<'PHP'
<?php
class Node { public $next; public $data; function __construct($d) { $this->data = $d; } function __destruct() { global $dead; $dead++; } }
$dead = 0;
for ($i = 0; $i < 20000; $i++) { $a = new Node(str_repeat("x", $i % 50)); $b = new Node([$i, "k$i" => $a]); $a->next = $b; $b->next = $a; }
unset($a, $b); gc_collect_cycles(); echo "dead $dead\n";
function gen($n) { for ($i = 0; $i < $n; $i++) yield $i => $i * $i; }
$s = 0; foreach (gen(100000) as $k => $v) $s += $v - $k; echo "$s\n";
$rows = []; for ($i = 0; $i < 3000; $i++) $rows[] = ["id" => $i, "h" => md5("$i"), "f" => $i / 7];
usort($rows, fn($x, $y) => strcmp($x["h"], $y["h"])); echo $rows[0]["h"], " ", strlen(json_encode($rows)), "\n";
echo count(json_decode(json_encode($rows), true)), " ", preg_match_all('/a(b|c)+\d/', implode(" ", array_column($rows, "h"))), "\n";
try { throw new RuntimeException("thrown", 3); } catch (Exception $e) { echo get_class($e), " ", $e->getCode(), "\n"; } finally { echo "finally\n"; }
echo hash("sha256", serialize($rows)), " ", strlen(gzcompress(serialize($rows))), "\n";
echo bin2hex(pack("NnC", 1, 2, 3)), " ", sprintf("%08.3f", M_PI), " ", strrev("abc"), " ", exec("echo from a child"), "\n";
register_shutdown_function(function () { echo "shutdown\n"; });
exit(6);
PHP
set +e; php work.php; echo "status $?"; USE_ZEND_ALLOC=0 php work.php; echo "status $?"
exit 0
