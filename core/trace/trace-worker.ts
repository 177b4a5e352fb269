// The trace's worker thread: one UDP socket for HEP, the intake and the log behind it; only leg ids and answers leave it.
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { DialogLedger } from '../ledger/dialog-ledger.js';
import { Posted } from '../posted.js';
import { Arrivals, napMsFor } from './arrivals.js';
import { Backlog } from './backlog.js';
import { LegCallIds } from './leg-call-ids.js';
import { TraceIntake } from './trace-intake.js';
import { RawRing } from './raw-ring.js';
import { TraceLog } from './trace-log.js';
import type { WholeTraceMessage } from './trace-message.js';
import type { FromWorker, ToWorker, TraceCounters, WorkerStart } from './trace-protocol.js';

/** The kernel grants at most net.core.rmem_max; a burst has to wait there while this thread collects garbage. */
const recvBufferSize = 8 * 1024 * 1024;

const start = workerData as WorkerStart;
const port = parentPort;
if (!port) throw new Error('trace-worker runs as a worker thread');
const send = (message: FromWorker): void => port.postMessage(message);

const socket = createSocket({ type: isIPv6(start.address) ? 'udp6' : 'udp4', recvBufferSize });
const log = new TraceLog(start.limits);
let newLegs: [string, string][] = [];
const ledger = new DialogLedger();
const raw = new RawRing(start.rawBytes);
const intake = new TraceIntake(log, new LegCallIds(start.legs), { ...start, raw, ledger, onLeg: tellLeg });
const backlog = new Backlog(({ data, sender, atMs }) => intake.take(data, sender, atMs));
const posted = new Posted(start.posted);
let napMs = 0;
const arrivals = new Arrivals(() => {
  tellLegs();
  if (!backlog.isDraining) posted.nap(napMs);
});
/** How long a change of a dialog may be known to this thread only. */
const ledgerEveryMs = 1_000;
const pruneEveryMs = 60_000;

/** All legs that were learnt from one batch of datagrams go in one message. */
function tellLeg(legId: string, callId: string): void {
  newLegs.push([legId, callId]);
  if (newLegs.length === 1) setImmediate(tellLegs);
}

/** Before an answer, which whoever asked may compare with them, and before a nap. */
function tellLegs(): void {
  if (newLegs.length > 0) send({ kind: 'legs', legs: newLegs });
  newLegs = [];
}

function messagesOf(callId: string, whole: boolean): WholeTraceMessage[] {
  return log.messages(callId, performance.now()).map(message => {
    const text = whole && message.rawAt !== null ? raw.get(message.rawAt, message.sizeBytes) : undefined;
    return text === undefined ? message : { ...message, raw: text.toString('base64') };
  });
}

function counters(): TraceCounters {
  return {
    ...intake.counters,
    lost: droppedByKernel(),
    calls: log.calls,
    bytes: log.bytes,
    receiveBufferBytes: socket.getRecvBufferSize(),
    ...ledger.counters,
  };
}

/** The `drops` column of our socket in /proc/net/udp. */
function droppedByKernel(): number | null {
  if (isIPv6(start.address)) return null;
  const address = Buffer.from(start.address.split('.').map(Number)).reverse().toString('hex').toUpperCase();
  const local = `${address}:${socket.address().port.toString(16).toUpperCase().padStart(4, '0')}`;
  try {
    const line = readFileSync('/proc/net/udp', 'latin1')
      .split('\n')
      .find(candidate => candidate.includes(`: ${local} `));
    const drops = Number(line?.trim().split(/\s+/).at(-1));
    return Number.isSafeInteger(drops) ? drops : null;
  } catch {
    return null;
  }
}

const hear = (message: ToWorker): void => {
  // Whoever asks, asks for what is known by now.
  if ('id' in message) {
    backlog.flush();
    tellLegs();
  }
  switch (message.kind) {
    case 'farm':
      intake.setFarm(message.farm);
      break;
    case 'messages':
      send({ kind: 'messages', id: message.id, messages: messagesOf(message.callId, message.whole) });
      break;
    case 'find':
      send({ kind: 'found', id: message.id, callIds: log.find(message.text, message.most, performance.now()) });
      break;
    case 'counters':
      send({ kind: 'counters', id: message.id, counters: counters() });
      break;
    case 'dialogs':
      send({ kind: 'dialogs', id: message.id, dialogs: ledger.dialogsOn(message.node) });
      break;
    case 'dialog': {
      const dialog = ledger.dialog(message.callId);
      send({ kind: 'dialogs', id: message.id, dialogs: dialog ? [dialog] : [] });
      break;
    }
    case 'openInvites':
      send({ kind: 'openInvites', id: message.id, invites: ledger.openInvitesOn(message.node) });
      break;
    case 'seed':
      ledger.seed(message.dialogs);
      break;
    case 'fill':
      for (const facts of message.facts) ledger.fill(facts);
      break;
    case 'forget':
      ledger.forget(message.callId);
      break;
    case 'hold':
      backlog.hold(performance.now(), message.mostMs);
      break;
    case 'release':
      backlog.release();
      break;
    case 'close':
      backlog.release();
      clearInterval(telling);
      clearInterval(pruning);
      socket.close();
      port.close();
      break;
  }
};
port.on('message', (message: ToWorker) => {
  posted.handled();
  // What is told holds for all that comes after it; what is asked waits for all that came before, and the end for all answers.
  if ('id' in message || message.kind === 'close') arrivals.afterwards(() => hear(message));
  else hear(message);
});

const telling = setInterval(() => {
  const { changed, ended } = ledger.drain();
  if (changed.length > 0 || ended.length > 0) send({ kind: 'ledger', changed, ended });
}, ledgerEveryMs);
const pruning = setInterval(() => ledger.prune(Date.now()), pruneEveryMs);

socket.on('message', (data, { address }) => {
  backlog.arrived({ data, sender: address, atMs: performance.now() });
  arrivals.arrived();
});
socket.on('listening', () => {
  napMs = napMsFor(socket.getRecvBufferSize());
  send({ kind: 'listening', port: socket.address().port });
});
// Before it listens this is a bind that failed. Afterwards the main thread starts the thread anew.
socket.on('error', (error: NodeJS.ErrnoException) => {
  send({ kind: 'failed', code: error.code ?? '', reason: error.message });
  clearInterval(telling);
  clearInterval(pruning);
  port.close();
  socket.close();
});
socket.bind(start.port, start.address);
