const fs = require('fs'), cp = require('child_process'), net = require('net'), crypto = require('crypto');
const { Worker, isMainThread, parentPort } = require('worker_threads');
if (!isMainThread) { parentPort.on('message', m => { parentPort.postMessage(m * 2); parentPort.close(); }); } else (async () => {
  console.log([1, 2, 3].map(x => x * x), crypto.createHash('sha256').update('x').digest('hex').slice(0, 16));
  fs.writeFileSync('f', 'hello'.repeat(1000)); console.log((await fs.promises.readFile('f')).length, fs.readdirSync('.').includes('f'));
  console.log(cp.execSync('echo sub; exit 0').toString().trim());
  console.log(await new Promise(r => { const p = cp.spawn('cat'); let o = ''; p.stdout.on('data', d => o += d); p.on('close', c => r([c, o])); p.stdin.end('piped'); }));
  console.log(await new Promise(r => { const s = net.createServer(c => c.end('bye')).listen('sock', () => { let o = ''; net.connect('sock').on('data', d => o += d).on('end', () => { s.close(); r(o); }); }); }));
  console.log(await new Promise(r => { const w = new Worker(__filename); w.on('message', r); w.postMessage(21); }));
  await new Promise(r => setTimeout(r, 20)); console.log('timer');
  console.log(await new Promise((r, j) => { const w = fs.watch('.', (e, n) => { w.close(); r(n); }); fs.writeFileSync('g', 'x'); }));
  console.log((await Promise.all([...Array(20).keys()].map(i => fs.promises.writeFile('p' + i, 'y')))).length);
})();
