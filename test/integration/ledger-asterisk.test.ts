// The ledger against the wire and against what the Asterisks say themselves: a whole farm, its HEP, and CHANNEL() field by field.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AriFarm } from '../../asterisk/asterisk-farm.js';
import { planFarm, ports } from '../../core/farm/farm-plan.js';
import { FarmSecrets } from '../../core/farm/farm-secrets.js';
import type { Dialog } from '../../core/ledger/dialog.js';
import { DialogLedger } from '../../core/ledger/dialog-ledger.js';
import { silentLogger } from '../../core/log.js';
import { LegCallIds } from '../../core/trace/leg-call-ids.js';
import { traceFarmOf } from '../../core/trace/trace-farm.js';
import { TraceIntake } from '../../core/trace/trace-intake.js';
import { TraceLog } from '../../core/trace/trace-log.js';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import { Capture, type CapturedPacket } from '../harness/pcap.js';
import { PhonePair } from '../harness/phone-pair.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';

const fields = [
  ...['call-id', 'local_tag', 'remote_tag', 'local_uri', 'remote_uri', 'target_uri', 'role'],
  ...['local_cseq', 'remote_cseq', 'route_set', 'local_sdp_origin', 'remote_sdp_origin'],
  ...['local_sdp_direction', 'remote_sdp_direction'],
] as const;
type Said = Readonly<Record<string, string>>;

/** What the Asterisks said at a time, of all their channels. */
interface Snapshot {
  readonly atMs: number;
  readonly said: readonly (Said & { readonly node: string })[];
}

let farm: Farm;
let asterisks: AriFarm;
let alice: SipEndpoint;
let bob: SipEndpoint;

before(async () => {
  farm = await Farm.up();
  const secrets = FarmSecrets.open(farm.state);
  const nodes = (await farm.status()).nodes;
  asterisks = new AriFarm({
    addressOf: name => nodes.find(node => node.name === name)?.address ?? '',
    passwordOf: name => secrets.derive(`ari ${name}`),
    log: silentLogger,
  });
  alice = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] });
  bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMU'] });
});
after(async () => {
  await closeAll(alice, bob, asterisks.node('call-1'), asterisks.node('call-2'));
  await farm.down();
});

async function ask(names: readonly string[]): Promise<Snapshot> {
  const said: (Said & { node: string })[] = [];
  for (const node of names) {
    const { channels } = asterisks.node(node).ari;
    for (const { id } of await channels.list()) {
      const values: Record<string, string> = {};
      for (const field of fields) {
        const variable = `CHANNEL(pjsip,${field})`;
        values[field] = (await channels.getChannelVar({ channelId: id, variable })).value;
      }
      said.push({ ...values, node });
    }
  }
  return { atMs: Date.now(), said };
}

/** In a From or To pjsip prints no port (PJSIP_URI_IN_FROMTO_HDR). */
function outerUri(value = ''): string {
  return value.replace(/^<|>$/g, '').replace(/:\d+$/, '');
}

/** In a Route pjsip prints `lr` before all other parameters. */
function routeSet(value = ''): string[] {
  return value === '' ? [] : value.split(',').map(route => route.slice(1, -1).split(';').sort().join(';'));
}

function assertSame(dialog: Dialog | undefined, said: Said & { readonly node: string }, bornOn: string): void {
  assert.ok(dialog, `the ledger knows ${said['call-id']}`);
  const number = (value: number | null): string => (value === null ? '' : String(value));
  assert.deepEqual(
    {
      node: dialog.node,
      'call-id': dialog.callId,
      local_tag: dialog.local.tag,
      remote_tag: dialog.remote.tag,
      local_uri: outerUri(dialog.local.uri),
      remote_uri: outerUri(dialog.remote.uri),
      target_uri: dialog.remoteTarget,
      // Who made the dialog does not change; an Asterisk that carries it on is its UAC.
      role: dialog.node === bornOn ? dialog.role : 'uac',
      local_cseq: number(dialog.localCseq),
      remote_cseq: number(dialog.remoteCseq),
      route_set: routeSet(dialog.routeSet.join(',')),
      local_sdp_origin: dialog.localSdp?.origin,
      remote_sdp_origin: dialog.remoteSdp?.origin,
      local_sdp_direction: dialog.localSdp?.direction,
      remote_sdp_direction: dialog.remoteSdp?.direction,
      holes: [],
    },
    {
      ...said,
      local_uri: outerUri(said['local_uri']),
      remote_uri: outerUri(said['remote_uri']),
      route_set: routeSet(said['route_set']),
      holes: dialog.holes,
    },
  );
}

/** The ledger as the copies until then make it. */
function ledgerUntil(packets: readonly CapturedPacket[], atMs: number): DialogLedger {
  const plan = planFarm(farm.subnet.cidr, { kamailio: 3, call: 2, conference: 2, registrar: 2, rtpengine: 2 });
  const ledger = new DialogLedger({ now: () => atMs });
  const options = { farm: traceFarmOf(plan), ledger, onLeg: (): void => undefined };
  const intake = new TraceIntake(new TraceLog(), new LegCallIds(100), options);
  for (const packet of packets) {
    if (packet.atMs <= atMs) intake.take(packet.payload, packet.source, packet.atMs);
  }
  const refused = Object.entries(intake.counters.refused).filter(([, count]) => count > 0);
  assert.deepEqual(refused, []);
  return ledger;
}

test(
  'ledger and Asterisks say the same of every dialog: after set-up, hold and resume, the death of a node, and again',
  { timeout: 120_000 },
  async t => {
    const capture = await Capture.start(farm.subnet.cidr, `udp dst port ${ports.hep}`);
    t.after(() => capture.close());
    const snapshots: Snapshot[] = [];
    const pair = await PhonePair.call(farm, alice, bob);
    const node = await pair.node(farm);
    snapshots.push(await ask([node]));
    await pair.caller.reinvite({ direction: 'sendonly' });
    snapshots.push(await ask([node]));
    await pair.caller.reinvite({ direction: 'sendrecv' });
    await pair.callee.reinvite({ direction: 'sendonly' });
    snapshots.push(await ask([node]));
    await pair.callee.reinvite({ direction: 'sendrecv' });
    const { reinvites } = pair;
    process.kill(await farm.pid(node), 'SIGKILL');
    await pair.reinvited(reinvites);
    const other = node === 'call-1' ? 'call-2' : 'call-1';
    await waitFor('both sessions on the other node', async () => (await ask([other])).said.length === 2);
    await pair.soundsAgain();
    snapshots.push(await ask([other]));
    await pair.holdAndResume();
    snapshots.push(await ask([other]));
    await pair.hangup('caller');
    await farm.idle();
    const packets = await capture.stop();

    for (const { atMs, said } of snapshots) {
      assert.equal(said.length, 2);
      const ledger = ledgerUntil(packets, atMs);
      for (const one of said) assertSame(ledger.dialog(one['call-id'] ?? ''), one, node);
    }
    const atEnd = ledgerUntil(packets, Date.now());
    assert.equal(atEnd.counters.dialogs, 0, 'nothing is left of dialogs that are over');
    assert.equal(atEnd.counters.unreadable, 0);
  },
);
