// The ledger in the trace's thread: HEP goes in by UDP, dialogs come out by question and in batches.
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { planFarm } from '../../core/farm/farm-plan.js';
import type { Dialog } from '../../core/ledger/dialog.js';
import { silentLogger } from '../../core/log.js';
import { encodeHep } from '../../core/trace/hep-packet.js';
import { traceFarmOf } from '../../core/trace/trace-farm.js';
import { Trace } from '../../core/trace/trace.js';
import { freeSubnet } from '../harness/free-subnet.js';
import { LedgerFlow, truthOf, type FlowMessage } from '../harness/ledger-flow.js';
import { waitFor } from '../harness/wait-for.js';

const subnet = await freeSubnet();
const plan = planFarm(subnet.cidr, { kamailio: 1, call: 2, conference: 1, registrar: 1, rtpengine: 1 });
const addressOf = (name: string): string => plan.nodes.find(node => node.name === name)?.address ?? '';
const edge = { inside: subnet.host(21), outside: subnet.host(11) };
const phone = subnet.host(200);

let trace: Trace;
let kamailio: Socket;

async function openTrace(): Promise<Trace> {
  return Trace.open({ address: subnet.host(1), port: 0, farm: traceFarmOf(plan), authKey: 'key', log: silentLogger });
}

before(async () => {
  kamailio = createSocket('udp4').bind(0, edge.inside);
  await once(kamailio, 'listening');
});
after(() => kamailio.close());
beforeEach(async () => {
  trace = await openTrace();
});
afterEach(() => trace.close());

/** As the Kamailio shows it; what passes no Asterisk is what it sent outside. */
function show({ text, passage }: FlowMessage, port = 5060): void {
  const node = passage.fromNode ?? passage.toNode;
  const far = { address: node === undefined ? phone : addressOf(node), port };
  const near = { address: node === undefined ? edge.outside : edge.inside, port: 5060 };
  const [source, destination] = passage.fromNode === undefined ? [near, far] : [far, near];
  const packet = { source, destination, atMs: passage.atMs, captureId: 1, authKey: 'key', payload: Buffer.from(text) };
  kamailio.send(encodeHep(packet), trace.port, subnet.host(1));
}

const flowOf = (callId: string): LedgerFlow =>
  new LedgerFlow({ callId, legId: `leg-of-${callId}`, startMs: Date.now() });
const known = async (callId: string): Promise<Dialog> =>
  waitFor('the dialog', async () => {
    const dialog = await trace.dialog(callId);
    return dialog?.state === 'confirmed' ? dialog : undefined;
  });

describe("the trace's thread", () => {
  test('tells the dialogs and the open INVITEs of a node', async () => {
    const [answered, ringing] = [flowOf('answered').setUp(), flowOf('ringing')];
    ringing.invite();
    for (const message of [...ringing.messages, ...answered.messages]) show(message);
    assert.deepEqual(truthOf(await known('answered')), answered.truth);
    assert.deepEqual(
      (await trace.dialogs('call-1')).map(({ callId }) => callId),
      ['answered'],
    );
    const open = await trace.openInvites('call-1');
    assert.deepEqual(
      open.map(({ callId, legId, vias }) => [callId, legId, vias.length]),
      [['ringing', 'leg-of-ringing', 1]],
    );
    assert.deepEqual([await trace.dialogs('call-2'), await trace.openInvites('call-2')], [[], []]);
    assert.equal(await trace.dialog('nobody'), undefined);
    const { dialogs, evicted, forgotten, unreadable, ledgerBytes } = await trace.counters();
    assert.deepEqual([dialogs, evicted, forgotten, unreadable], [2, 0, 0, 0]);
    assert.ok(ledgerBytes > 0);
  });

  test('tells what has changed and what has ended, in batches', async () => {
    const batches: { changed: readonly Dialog[]; ended: readonly string[] }[] = [];
    trace.onDialogs((changed, ended) => batches.push({ changed, ended }));
    const flows = Array.from({ length: 20 }, (_, i) => flowOf(`call-${i}`).setUp());
    for (const message of flows.flatMap(({ messages }) => messages)) show(message);
    const changed = (): Set<string> => new Set(batches.flatMap(batch => batch.changed.map(({ callId }) => callId)));
    await waitFor('all to be told', () => changed().size === 20);
    assert.ok(batches.length < 5, `${batches.length} batches`);
    for (const flow of flows) {
      flow.messages.length = 0;
      for (const message of flow.bye('them').messages) show(message);
    }
    const ended = (): string[] => batches.flatMap(batch => batch.ended);
    await waitFor('all to have ended', () => ended().length === 20);
    assert.deepEqual(await trace.dialogs('call-1'), []);
  });

  test('ends a dialog whose BYE a Kamailio answers outside, but not by what somebody sends to the Kamailio', async () => {
    const flow = flowOf('dead-node').setUp();
    flow.messages.forEach(message => show(message));
    await known('dead-node');
    const { text } = flow.push({ by: 'them', method: 'BYE', cseq: 9, status: 200 });
    const payload = Buffer.from(text);
    const [out, stranger] = [
      { address: edge.outside, port: 5060 },
      { address: phone, port: 5060 },
    ];
    const packet = { source: stranger, destination: out, atMs: Date.now(), captureId: 1, authKey: 'key', payload };
    kamailio.send(encodeHep(packet), trace.port, subnet.host(1));
    show(flow.push({ by: 'us', method: 'INFO', cseq: flow.next('us') }));
    const isTaken = async (): Promise<boolean> => (await known('dead-node')).localCseq === flow.truth.localCseq;
    await waitFor('the INFO to be seen', isTaken);
    show({ text, passage: { fromNode: undefined, toNode: undefined, atMs: Date.now() } });
    await waitFor('the end', async () => (await trace.dialog('dead-node')) === undefined);
  });

  test('takes nothing for an Asterisk that does not come from its SIP port', async () => {
    for (const message of flowOf('not-sip').setUp().messages) show(message, 5061);
    for (const message of flowOf('sip').setUp().messages) show(message);
    await known('sip');
    assert.equal(await trace.dialog('not-sip'), undefined);
  });

  test('takes over what an earlier daemon knew, and what the Asterisks say', async () => {
    const flow = flowOf('long-lived').setUp();
    flow.messages.forEach(message => show(message));
    const earlier = await known('long-lived');
    await trace.close();
    trace = await openTrace();
    trace.seed([earlier]);
    assert.deepEqual(await trace.dialogs('call-1'), [{ ...earlier, holes: ['lost'] }]);
    trace.fill([
      {
        ...earlier,
        localTag: earlier.local.tag!,
        remoteTag: earlier.remote.tag!,
        remoteTarget: 'sip:moved@192.0.2.9',
        localCseq: 17_005,
      },
    ]);
    const { holes, remoteTarget, localCseq } = await known('long-lived');
    assert.deepEqual([holes, remoteTarget, localCseq], [[], 'sip:moved@192.0.2.9', 17_005]);
  });
});
