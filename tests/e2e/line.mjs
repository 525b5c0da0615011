// A network between a browser and its gateway that can be cut, and one that loses answers.
import { connect, createServer } from 'node:net';

/** What stands between is reached at `url`. */
export async function line(gateway) {
  const { hostname, port } = new URL(gateway);
  const sockets = new Set();
  const sent = [];
  let [cut, deaf] = [false, false];
  const server = createServer((near) => {
    if (cut) {
      near.destroy();
      return;
    }
    const far = connect(Number(port), hostname);
    for (const [socket, other] of [[near, far], [far, near]]) {
      sockets.add(socket);
      socket.once('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.on('error', () => {});
    }
    near.on('data', (bytes) => {
      const [, path] = /^POST (\S+) /.exec(bytes.toString('latin1')) ?? [];
      const [, key] = /^idempotency-key: (\S+)/im.exec(bytes.toString('latin1')) ?? [];
      if (path) sent.push({ path, key });
      far.write(bytes);
    });
    far.on('data', (bytes) => deaf || near.write(bytes));
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const hangUp = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** What was posted, also what the browser itself sent again when a connection broke. */
    sent,
    /** Nothing gets through. */
    cut() {
      cut = true;
      hangUp();
    },
    /** What is asked gets through, and no answer. */
    lose() {
      deaf = true;
    },
    mend() {
      hangUp();
      [cut, deaf] = [false, false];
    },
    async stop() {
      hangUp();
      await new Promise((done) => server.close(done));
    },
  };
}

/** Somebody who is signed in without a page: asks, and hears the gateway's events. */
export class Session {
  constructor(url, cookie) {
    this.url = url;
    this.cookie = cookie;
    this.told = [];
    this.ended = new AbortController();
  }

  static async begin(url, login, password) {
    const answer = await fetch(`${url}/api/v1/session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ login, password }),
      signal: AbortSignal.timeout(20_000),
    });
    if (!answer.ok) throw new Error(`${login} cannot sign in: ${answer.status}`);
    const cookie = answer.headers.getSetCookie().map((one) => one.split(';')[0]).join('; ');
    return new Session(url, cookie);
  }

  async ask(path, body) {
    const answer = await fetch(`${this.url}/api/v1/${path}`, {
      method: body ? 'POST' : 'GET',
      headers: { cookie: this.cookie, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(20_000),
    });
    return answer.json();
  }

  /** Listens until it is stopped; resolves when nothing is missed any more. */
  async listen() {
    const response = await fetch(`${this.url}/api/v1/stream`, {
      headers: { cookie: this.cookie },
      signal: this.ended.signal,
    });
    let begun;
    const listening = new Promise((done) => (begun = done));
    const read = async () => {
      let text = '';
      for await (const bytes of response.body) {
        text += Buffer.from(bytes).toString();
        const blocks = text.split('\n\n');
        text = blocks.pop();
        for (const block of blocks) {
          const [, event] = /^event: ?(.*)$/m.exec(block) ?? [];
          const [, data] = /^data: ?(.*)$/m.exec(block) ?? [];
          if (event === 'listening') begun();
          else if (event) this.told.push({ event, data: JSON.parse(data), at: performance.now() });
        }
      }
    };
    read().catch(() => {});
    await listening;
    return this;
  }

  stop() {
    this.ended.abort();
  }
}
