// A watch over a server that answers, falls silent and is heard again, with pauses of its own in between.
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, test } from 'node:test';
import { ListeningClock } from '../../core/sentinel/listening-clock.js';
import type { WatchedNode } from '../../core/sentinel/sentinel-protocol.js';
import { Watch } from '../../core/sentinel/watch.js';
import { waitFor } from '../harness/wait-for.js';

const silenceMs = 1_000;
let server: Socket;
let answers = true;
let watch: Watch;
let watched: WatchedNode;
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
  watched = { name: 'call-1', pid: process.pid, startTicks: ticksNow(), voices: [own] };
  // This process is that of a server that was started long ago.
  watch = new Watch({ ...watched, startTicks: 0 }, '127.0.0.1', true, clock);
});
afterEach(() => {
  watch.close();
  server.close();
});

/** Of a process that was started just now, proc(5). */
function ticksNow(): number {
  return Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]) * 100;
}

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
  watch.paused(silenceMs);
  assert.equal(watch.judge(silenceMs), undefined, 'suspect still');
  listen(300);
  watch.paused(silenceMs);
  assert.equal(watch.judge(silenceMs), undefined, 'and not dead');
  answers = true;
  await isHeard();
});

test('one that is silent is dead though the watcher stands still now and then, and not where it does so all the time', async () => {
  listen(1_000);
  await isHeard();
  answers = false;
  const rounds = (count: number, listenedMs: number): string[] => {
    const said: string[] = [];
    for (let round = 0; round < count; round++) {
      listen(listenedMs);
      const verdict = watch.judge(silenceMs);
      if (verdict) said.push(verdict.health);
      watch.paused(silenceMs);
    }
    return said;
  };
  assert.deepEqual(rounds(30, 400), [], 'whatever it could have said may have been lost');
  assert.deepEqual(rounds(3, 800), ['suspect', 'dead']);
});

test('one that is silent from the first may be starting, unless it was up before', () => {
  answers = false;
  for (const [wasUp, health] of [
    [false, 'suspect'],
    [true, 'dead'],
  ] as const) {
    watch.close();
    watch = new Watch({ ...watched, wasUp }, '127.0.0.1', false, clock);
    watch.askAll();
    // For longer than this process may have waited for a CPU, which it is given.
    listen(2 * silenceMs);
    assert.equal(watch.judge(silenceMs)?.health, health);
  }
});
