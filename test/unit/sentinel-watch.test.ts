// A watch over a server that answers, falls silent and is heard again, with pauses of its own in between.
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, beforeEach, test } from 'node:test';
import { ListeningClock } from '../../core/sentinel/listening-clock.js';
import { Watch } from '../../core/sentinel/watch.js';
import { waitFor } from '../harness/wait-for.js';

const silenceMs = 1_000;
let server: Socket;
let answers = true;
let watch: Watch;
let ms = 0;
const clock = new ListeningClock(20, () => ms);

beforeEach(async () => {
  server = createSocket('udp4').bind(0, '127.0.0.1');
  await once(server, 'listening');
  server.on('message', (question, { port, address }) => {
    if (answers) server.send(question, port, address);
  });
  const at = { address: '127.0.0.1', port: server.address().port, everyMs: 100 };
  const own = { name: 'SIP', via: 'udp', question: '{id}', suspectAfter: 0.5, ...at } as const;
  // This process is that of a server that was started long ago.
  watch = new Watch({ name: 'call-1', pid: process.pid, startTicks: 0, voices: [own] }, '127.0.0.1', true, clock);
});
afterEach(() => {
  watch.close();
  server.close();
});

/** So many ms, turn by turn. */
function listen(forMs: number): void {
  for (let passed = 0; passed < forMs; passed += 20) {
    ms += 20;
    clock.turn();
  }
}

const isHeard = (): Promise<unknown> =>
  waitFor('an answer', () => {
    watch.askAll();
    return watch.judge(silenceMs)?.health === 'up';
  });

test('one that was silent before the watcher stood still is not up until it answers', async () => {
  listen(1_000);
  await isHeard();
  answers = false;
  listen(600);
  assert.equal(watch.judge(silenceMs)?.health, 'suspect');
  watch.restart(silenceMs);
  assert.equal(watch.judge(silenceMs), undefined, 'suspect still');
  listen(300);
  watch.restart(silenceMs);
  assert.equal(watch.judge(silenceMs), undefined, 'and not dead: its silence counts anew');
  answers = true;
  await isHeard();
});
