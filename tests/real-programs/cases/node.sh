# needs: node
# Worker threads, the thread pool, zlib, crypto, streams, a loopback HTTP server, child processes, WebAssembly memory, buffers.
. "$LIB"
cat >work.js <<'JS'
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
if (!isMainThread) {
  let s = 0, keep = []; for (let i = 0; i < 50000; i++) { keep.push({ i, b: Buffer.alloc(16, i & 255) }); s += keep[i].b[3]; }
  parentPort.postMessage([workerData, s]); return;
}
const zlib = require('zlib'), crypto = require('crypto'), http = require('http'), fs = require('fs'), cp = require('child_process'), util = require('util');
(async () => {
  const done = await Promise.all([1, 2, 3, 4].map(n => new Promise((ok, no) => { const w = new Worker(__filename, { workerData: n }); w.on('message', ok); w.on('error', no); })));
  console.log(JSON.stringify(done));
  const big = crypto.createHash('sha256').update('a'.repeat(1e6)).digest('hex'); console.log(big);
  const packed = await Promise.all([...Array(20).keys()].map(i => util.promisify(zlib.deflate)(Buffer.alloc(100000, i))));
  console.log(packed.reduce((a, b) => a + zlib.inflateSync(b).length, 0));
  console.log((await util.promisify(crypto.pbkdf2)('p', 's', 5000, 32, 'sha512')).toString('hex'));
  const server = http.createServer((q, r) => { let n = 0; q.on('data', d => n += d.length); q.on('end', () => r.end(q.url + ' ' + n)); });
  await new Promise(ok => server.listen(0, '127.0.0.1', ok));
  const get = i => new Promise((ok, no) => { const q = http.request({ port: server.address().port, host: '127.0.0.1', path: '/' + i, method: 'POST', agent: false }, r => { let t = ''; r.on('data', d => t += d); r.on('end', () => ok(t)); }); q.on('error', no); q.end('x'.repeat(i * 100)); });
  const answers = await Promise.all([...Array(50).keys()].map(get)); console.log(answers[49], answers.length);
  await new Promise(ok => server.close(ok));
  await fs.promises.writeFile('f', JSON.stringify([...Array(2000).keys()])); console.log((await fs.promises.readFile('f')).length);
  console.log(cp.execFileSync('cat', ['-'], { input: 'piped' }).toString(), cp.spawnSync('sh', ['-c', 'exit 3']).status);
  const mem = new WebAssembly.Memory({ initial: 10, maximum: 100 }); mem.grow(20); console.log(mem.buffer.byteLength);
  process.on('exit', c => console.log('exit', c)); process.exitCode = 9;
})();
JS
set +e; node work.js; echo "status $?"
node -e 'const a=[];for(let i=0;i<200000;i++)a.push({i,s:"s"+i});console.log(a.length);process.exit(2)'; echo "status $?"
exit 0
