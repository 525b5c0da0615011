// Gateways and virtual cameras to test against: a fresh folder, free ports, and
// nothing left behind. All limits are in milliseconds.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const HERE = import.meta.dirname;
const BIN = resolve(HERE, process.env.SHARP_EYES_BIN ?? '../../target/debug');
const CLIPS = resolve(HERE, '../media');
/** Screenshots and logs of the last run. */
export const OUT = resolve(HERE, '../../target/e2e');
const STORY = basename(process.argv[1] ?? 'story', '.test.mjs');

/** Who owns the furnished world, and whoever uses an owner link. */
export const OWNER = { name: '王主任', login: 'wang', password: 'correct horse battery' };

const START_MS = 20_000;
const STOP_MS = 5_000;

const children = new Set();
const folders = new Set();

// Whatever happens to the test, no program and no folder outlives it.
export function killAll() {
  for (const child of children) child.kill('SIGKILL');
  for (const made of folders) rmSync(made, { recursive: true, force: true });
}
process.on('exit', killAll);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

function folder() {
  const made = mkdtempSync(join(tmpdir(), 'sharp-eyes-e2e-'));
  folders.add(made);
  return made;
}

/** Ports that were free a moment ago. */
async function freePorts(count) {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const server = createServer();
      return new Promise((done, fail) => {
        server.once('error', fail);
        server.listen(0, '127.0.0.1', () => done(server));
      });
    }),
  );
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

/** Starts a program; its log goes to OUT. */
function start(name, args, stdout = 'ignore') {
  mkdirSync(OUT, { recursive: true });
  const log = openSync(join(OUT, `${STORY}.${name}.log`), 'w');
  const child = spawn(join(BIN, name), args, { stdio: ['ignore', stdout, log] });
  children.add(child);
  child.ended = new Promise((done) => {
    child.once('error', (error) => done(error.message));
    child.once('exit', (code, signal) => done(code ?? signal));
  });
  void child.ended.then(() => children.delete(child));
  return child;
}

/** Fails if a program said a secret, or wrote it down in its folder where it is not kept (C08). */
function assertNoSecret(dir, secrets) {
  const kept = readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/(key|\.json|camera-login|\.pem)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
  const said = readdirSync(OUT).filter((name) => name.startsWith(`${STORY}.`) && name.endsWith('.log')).map((name) => join(OUT, name));
  if (kept.length === 0 || said.length === 0) throw new Error('there is nothing to look for secrets in');
  for (const file of [...kept, ...said]) {
    const bytes = readFileSync(file);
    for (const secret of secrets) {
      const forms = [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64').slice(0, -4), Buffer.from(secret).toString('hex')];
      const found = forms.find((form) => bytes.includes(form));
      if (found) throw new Error(`C08: a secret is in ${basename(file)}: ${found}`);
    }
  }
}

async function stop(child) {
  child.kill('SIGTERM');
  const asked = await Promise.race([child.ended.then(() => true), sleep(STOP_MS, false, { ref: false })]);
  if (!asked) child.kill('SIGKILL');
  await child.ended;
}

/** Waits until `ready` answers something true, as long as the program lives. */
async function until(what, child, ready) {
  const deadline = performance.now() + START_MS;
  let ended;
  void child.ended.then((how) => (ended = how));
  for (;;) {
    const answer = await ready();
    if (answer) return answer;
    if (ended !== undefined) throw new Error(`${what} ended (${ended}); see the logs in target/e2e`);
    if (performance.now() > deadline) throw new Error(`${what} is not ready after ${START_MS} ms`);
    await sleep(50);
  }
}

const answers = (url) => fetch(url, { signal: AbortSignal.timeout(1_000) }).then((r) => r.ok, () => false);
const accepts = (port) =>
  new Promise((done) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      done(true);
    });
    socket.once('error', () => done(false));
  });

/** Every virtual camera of the demo. */
function cameraArguments() {
  const paths = ['crossroad', 'lobby', 'booth', 'village-gate', 'village-crossroad', 'committee'];
  const clips = [
    ['gate', 'gate-h264-aac'],
    ['parking', 'crossroad-h265'],
    ...paths.map((path) => [path, 'crossroad-h264']),
    ...['gate', ...paths].map((path) => [`${path}-sub`, 'crossroad-sub-h264']),
  ];
  return clips.flatMap(([path, clip]) => ['--camera', `${path}=${join(CLIPS, `${clip}.mp4`)}`]);
}

async function startCameras(loginFile, port, control) {
  const listen = ['--listen', `127.0.0.1:${port}`, '--control', `127.0.0.1:${control}`];
  const child = start('camsim', [...listen, '--login-file', loginFile, ...cameraArguments()]);
  await until('camsim', child, () => accepts(control));
  return child;
}

/** Sends one line to the cameras' control port, such as `refuse on`. */
function order(control, line) {
  return new Promise((done, fail) => {
    const socket = connect(control, '127.0.0.1', () => socket.write(`${line}\n`));
    socket.setTimeout(2_000, () => socket.destroy(new Error(`no answer to ${line}`)));
    socket.once('error', fail);
    createInterface({ input: socket }).once('line', (answer) => {
      socket.destroy();
      if (answer === 'ok') done();
      else fail(new Error(`${line}: ${answer}`));
    });
  });
}

function world(dir, parts, control, gateway, cameras, secrets) {
  return {
    ...parts,
    camera: (line) => order(control, line),
    async stop() {
      await Promise.all([stop(gateway), stop(cameras)]);
      assertNoSecret(dir, secrets);
      rmSync(dir, { recursive: true, force: true });
      folders.delete(dir);
    },
  };
}

/** A demo world of its own: gateway, cameras, accounts and devices. */
export async function demo() {
  const dir = folder();
  const data = join(dir, 'demo');
  const [http, rtsp, webrtc, port, control] = await freePorts(5);
  const at = (number) => `127.0.0.1:${number}`;
  const ports = ['--http', at(http), '--rtsp', at(rtsp), '--webrtc', at(webrtc), '--cameras', at(port)];
  const seed = start('sharp-eyes', ['seed-demo', '--folder', data, ...ports]);
  const seeded = await Promise.race([seed.ended, sleep(START_MS, 'too slow', { ref: false })]);
  if (seeded !== 0) throw new Error(`seed-demo: ${seeded}; see the logs in target/e2e`);
  const read = (name) => JSON.parse(readFileSync(join(data, name), 'utf8'));
  const cameras = await startCameras(join(data, 'camera-login'), port, control);
  const gateway = start('sharp-eyes', ['serve', '--config', join(data, 'config.toml')]);
  const url = `http://${at(http)}`;
  await until('the gateway', gateway, () => answers(url));
  const devices = read('devices.json');
  const tokens = Object.values(devices).map((device) => device.token ?? device);
  const [name, password] = readFileSync(join(data, 'camera-login'), 'utf8').trim().split(':');
  const parts = { url, accounts: read('accounts.json'), devices, cameraLogin: { name, password } };
  return world(dir, parts, control, gateway, cameras, [...Object.values(parts.accounts), ...tokens, password]);
}

/** A gateway with TLS of its own and an authority that no browser knows; what it has printed. */
export async function withOwnCa() {
  const dir = folder();
  const [http] = await freePorts(1);
  const config = join(dir, 'config.toml');
  writeFileSync(
    config,
    `[http]\nlisten = "127.0.0.1:${http}"\ntls = "local_ca"\nca_folder = "${dir}/ca"\n[rtsp]\nlisten = ""\n[webrtc]\nlisten = ""\n` +
      `[database]\nurl = "sqlite:${dir}/sharp-eyes.db"\n[secrets]\nkey_file = "${dir}/sealing.key"\n` +
      `[audit]\nspool_file = "${dir}/spool"\n`,
  );
  const gateway = start('sharp-eyes', ['serve', '--config', config], 'pipe');
  let printed = '';
  gateway.stdout.setEncoding('utf8').on('data', (text) => (printed += text));
  const fingerprint = await until('the fingerprint', gateway, () => /^ +((?:[0-9A-F]{2}:){31}[0-9A-F]{2})$/m.exec(printed)?.[1]);
  const ownerLink = /(https:\S+\/setup#\w+)/.exec(printed)?.[1];
  return {
    url: `https://127.0.0.1:${http}`,
    download: `http://127.0.0.1:${http}/ca.crt`,
    fingerprint,
    ownerLink,
    async stop() {
      await stop(gateway);
      rmSync(dir, { recursive: true, force: true });
      folders.delete(dir);
    },
  };
}

/** A gateway that nobody owns yet, its owner link, and cameras to be added. `named` is reached by a name, so that it has
 * passkeys; `more` is more of its settings. */
export async function fresh({ named = false, more = '' } = {}) {
  const dir = folder();
  const [http, rtsp, webrtc, port, control] = await freePorts(5);
  const config = join(dir, 'config.toml');
  writeFileSync(
    config,
    `[http]\nlisten = "127.0.0.1:${http}"\n${named ? `public_url = "http://localhost:${http}"\n` : ''}[rtsp]\nlisten = "127.0.0.1:${rtsp}"\n` +
      `[webrtc]\nlisten = "127.0.0.1:${webrtc}"\n` +
      `[database]\nurl = "sqlite:${dir}/sharp-eyes.db"\n[secrets]\nkey_file = "${dir}/sealing.key"\n` +
      `[cameras]\nallow_networks = ["127.0.0.0/8"]\n${more}`,
  );
  const login = { name: 'viewer', password: 'camera-secret-1' };
  const loginFile = join(dir, 'camera-login');
  writeFileSync(loginFile, `${login.name}:${login.password}`);
  const cameras = await startCameras(loginFile, port, control);
  const gateway = start('sharp-eyes', ['serve', '--config', config], 'pipe');
  let printed = '';
  gateway.stdout.setEncoding('utf8').on('data', (text) => (printed += text));
  const url = `http://${named ? 'localhost' : '127.0.0.1'}:${http}`;
  const ownerLink = await until('the owner link', gateway, () => /^\s*(http:\S+\/setup#\w+)\s*$/m.exec(printed)?.[1]);
  await until('the gateway', gateway, () => answers(url));
  const parts = { url, ownerLink, rtspPort: rtsp, cameraAddress: `127.0.0.1:${port}`, cameraLogin: login };
  return world(dir, parts, control, gateway, cameras, [OWNER.password, login.password]);
}

/** A gateway that OWNER owns, with a site, a place and the camera 路口一号: made by the API, as journey.test.mjs uses the forms. */
export async function furnished() {
  const made = await fresh();
  let cookie = '';
  const post = async (path, data) => {
    const answer = await fetch(`${made.url}/api/v1/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', cookie },
      body: JSON.stringify(data),
      signal: AbortSignal.timeout(10_000),
    });
    if (answer.status !== 201) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    cookie ||= answer.headers.getSetCookie()[0].split(';')[0];
    return answer.json();
  };
  await post('setup', { token: new URL(made.ownerLink).hash.slice(1), locale: 'zh-CN', ...OWNER });
  const site = await post('sites', {
    name: '幸福里小区',
    kind: 'compound',
    time_zone: 'Asia/Shanghai',
    resident_policy: 'approved',
  });
  const place = await post('places', { site_id: site.id, name: '3号楼', kind: 'building' });
  await post('cameras', {
    place_id: place.id,
    name: '路口一号',
    main_url: `rtsp://${made.cameraAddress}/crossroad`,
    sub_url: `rtsp://${made.cameraAddress}/crossroad-sub`,
    username: made.cameraLogin.name,
    password: made.cameraLogin.password,
    purpose: '公共安全',
    responsible_unit: '幸福里物业',
    visibility: 'residents',
  });
  return made;
}
