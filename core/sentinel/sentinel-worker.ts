// The sentinel's worker thread: asks every server for signs of life, and tells the main thread what it makes of them.
import { parentPort, workerData } from 'node:worker_threads';
import { Posted } from '../posted.js';
import { ListeningClock } from './listening-clock.js';
import type { FromSentinel, SentinelStart, ToSentinel } from './sentinel-protocol.js';
import { Watch } from './watch.js';

const processEveryMs = 20;
/** A tick that comes later than this was a pause of ours. */
const lagMs = 100;

const start = workerData as SentinelStart;
const port = parentPort;
if (!port) throw new Error('sentinel-worker runs as a worker thread');
const send = (message: FromSentinel): void => port.postMessage(message);

const watches = new Map<string, Watch>();
const streams = new Map<string, boolean>();
let silenceMs = 1_000;
const clock = new ListeningClock(processEveryMs);

/** Before anybody is judged: after a pause of ours messages may be delivered before the timer is. */
function noteLag(): void {
  const lateMs = clock.turn();
  if (lateMs <= lagMs) return;
  for (const watch of watches.values()) watch.paused(silenceMs);
  send({ kind: 'lagged', ms: Math.round(lateMs) });
}

function tick(): void {
  noteLag();
  for (const watch of watches.values()) {
    watch.lookAtProcess();
    watch.askInTurn();
    tell(watch);
  }
}

function tell(watch: Watch): void {
  const verdict = watch.judge(silenceMs);
  if (!verdict) return;
  const { name, pid } = watch.node;
  send({ kind: 'verdict', name, pid, ...verdict, declaredMs: Date.now() });
}

const posted = new Posted(start.posted);
let dueMs = performance.now();
let next: NodeJS.Immediate | undefined = setImmediate(turn);

/**
 * The sockets are looked at between two turns, and the thread sleeps in the turn: an answer is read with all others of the last
 * `processEveryMs`, and before anybody is judged.
 */
function turn(): void {
  if (performance.now() >= dueMs) {
    tick();
    dueMs = Math.max(dueMs + processEveryMs, performance.now());
  }
  posted.nap(Math.max(0, dueMs - performance.now()));
  next = setImmediate(turn);
}

port.on('message', (message: ToSentinel) => {
  posted.handled();
  switch (message.kind) {
    case 'watch': {
      watches.get(message.node.name)?.close();
      watches.set(
        message.node.name,
        new Watch(message.node, start.address, streams.get(message.node.name) ?? false, clock),
      );
      break;
    }
    case 'unwatch':
      watches.get(message.name)?.close();
      watches.delete(message.name);
      break;
    case 'stream': {
      streams.set(message.name, message.open);
      const watch = watches.get(message.name);
      if (!watch) break;
      watch.streamOpen = message.open;
      // A closed stream is often the first to know: look at once whether there is more.
      noteLag();
      watch.lookAtProcess();
      watch.askAll();
      tell(watch);
      break;
    }
    case 'silence':
      silenceMs = message.silenceMs;
      break;
    case 'close':
      clearImmediate(next);
      for (const watch of watches.values()) watch.close();
      port.close();
      break;
  }
});
send({ kind: 'ready' });
