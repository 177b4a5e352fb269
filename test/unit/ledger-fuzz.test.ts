// Damaged SIP by the thousand: the ledger never throws, does not grow, and is right or says what it lacks.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { DialogHole } from '../../core/ledger/dialog.js';
import { DialogLedger } from '../../core/ledger/dialog-ledger.js';
import { scanSip } from '../../core/trace/sip-scanner.js';
import { feed, LedgerFlow, truthOf, type Direction, type FlowMessage, type Truth } from '../harness/ledger-flow.js';
import { seeded, type Random } from '../harness/seeded-random.js';

const directions: readonly Direction[] = ['sendrecv', 'sendonly', 'recvonly', 'inactive'];
const sides = ['us', 'them'] as const;

/** Holes that excuse what is not true of a field. */
const excuses: Readonly<Record<Exclude<keyof Truth, 'callId'>, readonly DialogHole[]>> = {
  node: ['lost'],
  localCseq: ['lost', 'localCseq'],
  remoteCseq: ['lost'],
  routeSet: ['routeSet'],
  remoteTarget: ['lost', 'remoteTarget'],
  localSdp: ['lost', 'localSdp'],
  remoteSdp: ['lost', 'remoteSdp'],
  legId: ['lost'],
};

/** A life of a dialog, and which of its messages may be damaged. */
function randomLife(random: Random): { flow: LedgerFlow; hardy: ReadonlySet<FlowMessage> } {
  const role = random(2) === 0 ? 'uac' : 'uas';
  const flow = new LedgerFlow({ role, callId: `life-${random(1e9)}@test`, legId: 'leg-3' });
  flow.setUp({ early: random(2) === 0, delayed: random(4) === 0 });
  const hardy = new Set<FlowMessage>();
  // A side's first request is the only one whose loss no number tells.
  const probe = (): void => {
    const from = flow.messages.length;
    flow.info('us').info('them');
    for (const message of flow.messages.slice(from)) hardy.add(message);
  };
  probe();
  for (let steps = random(8); steps > 0; steps--) randomStep(flow, random);
  probe();
  return { flow, hardy };
}

function randomStep(flow: LedgerFlow, random: Random): void {
  const by = sides[random(2)]!;
  const kind = random(10);
  if (kind === 0) flow.move(`call-${2 + random(3)}`);
  else if (kind < 3) flow.info(by);
  else {
    const status = random(4) === 0 ? 488 : 200;
    const method = random(3) === 0 ? 'UPDATE' : 'INVITE';
    flow.refresh(by, directions[random(4)]!, { method, status, refresh: random(2) === 0 });
  }
}

interface Faults {
  readonly drop: number;
  readonly double: number;
  readonly cut: number;
  /** By how many places a message may be late. */
  readonly shuffle: number;
}

function damage(messages: readonly FlowMessage[], hardy: ReadonlySet<FlowMessage>, faults: Faults, random: Random) {
  const placed = messages.flatMap((message, at) => {
    const copies = 1 + (random(100) < faults.double ? 1 : 0);
    return Array.from({ length: copies }, (_, copy) => {
      const place = at + random(faults.shuffle + 1) + (copy === 0 ? 0 : random(8));
      return { place, message, isFirst: copy === 0 };
    });
  });
  const kept = placed.flatMap(({ place, message }) => {
    if (hardy.has(message)) return [{ place, message }];
    if (random(100) < faults.drop) return [];
    if (random(100) >= faults.cut) return [{ place, message }];
    return [{ place, message: { ...message, text: message.text.slice(0, random(message.text.length)) } }];
  });
  return kept.sort((a, b) => a.place - b.place).map(({ message }) => message);
}

function assertHonest(ledger: DialogLedger, flow: LedgerFlow, what: string): boolean {
  const dialog = ledger.dialog(flow.callId);
  assert.ok(dialog, `${what}: is known`);
  const said = truthOf(dialog);
  const { truth } = flow;
  for (const [field, holes] of Object.entries(excuses) as [keyof typeof excuses, readonly DialogHole[]][]) {
    if (holes.some(hole => dialog.holes.includes(hole))) continue;
    assert.deepEqual(said[field], truth[field], `${what}: ${field}, holes: ${dialog.holes.join()}`);
  }
  return dialog.holes.length === 0;
}

describe('the ledger, given damaged flows', () => {
  const kinds: readonly (readonly [string, Faults, number])[] = [
    ['doubled', { drop: 0, double: 30, cut: 0, shuffle: 0 }, 100],
    ['lost', { drop: 6, double: 0, cut: 0, shuffle: 0 }, 60],
    ['cut off', { drop: 0, double: 0, cut: 6, shuffle: 0 }, 60],
    ['out of order', { drop: 0, double: 0, cut: 0, shuffle: 2 }, 98],
    ['all of it', { drop: 4, double: 10, cut: 3, shuffle: 2 }, 60],
  ];
  for (const [name, faults, leastWhole] of kinds) {
    test(`is right or says what it lacks: ${name}`, () => {
      const lives = 3000;
      let whole = 0;
      for (let life = 0; life < lives; life++) {
        const random = seeded(life);
        const { flow, hardy } = randomLife(random);
        const ledger = new DialogLedger({ now: () => flow.atMs + 60_000 });
        feed(ledger, damage(flow.messages, hardy, faults, random));
        if (assertHonest(ledger, flow, `${name}, life ${life}`)) whole++;
      }
      // Holes for everything would be honest as well.
      assert.ok(whole >= (lives * leastWhole) / 100, `${whole} of ${lives} without a hole`);
    });
  }

  test('never throws and stays within its bounds, whatever bits are flipped', () => {
    const random = seeded(42);
    let nowMs = 1e12;
    const ledger = new DialogLedger({ dialogs: 500, bytes: 2_000_000, now: () => nowMs });
    for (let life = 0; life < 3000; life++) {
      const { flow, hardy } = randomLife(random);
      if (random(2) === 0) flow.bye(sides[random(2)]!);
      const damaged = damage(flow.messages, hardy, { drop: 5, double: 10, cut: 5, shuffle: 5 }, random);
      for (const { text, passage } of damaged) {
        const bytes = Buffer.from(text);
        for (let flips = random(4); flips > 0 && bytes.length > 0; flips--) {
          const at = random(bytes.length);
          bytes[at] = bytes[at]! ^ (1 << random(8));
        }
        const sip = scanSip(bytes);
        const atMs = random(50) === 0 ? random(2 ** 31) * 2000 : passage.atMs;
        if (sip) ledger.take(sip, { ...passage, atMs });
      }
      nowMs += 5000;
      ledger.prune(nowMs);
      if (life % 100 === 0) lookAt(ledger);
      const { dialogs, ledgerBytes } = ledger.counters;
      assert.ok(
        dialogs <= 500 && ledgerBytes <= 2_000_000 && ledgerBytes >= dialogs * 1000,
        `${dialogs} ${ledgerBytes}`,
      );
    }
  });
});

function lookAt(ledger: DialogLedger): void {
  for (const node of ['call-1', 'call-2', 'call-3']) {
    ledger.dialogsOn(node);
    ledger.openInvitesOn(node);
  }
  const { changed } = ledger.drain();
  ledger.seed(changed);
}
