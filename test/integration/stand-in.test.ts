// A dead Asterisk's last words, said by the stand-in from what the ledger saw, through real Kamailios to phones that wait.
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import type { Dialog, OpenInvite } from '../../core/ledger/dialog.js';
import { DialogLedger } from '../../core/ledger/dialog-ledger.js';
import { silentLogger } from '../../core/log.js';
import { StandIn } from '../../core/recovery/stand-in.js';
import type { HepEnd } from '../../core/trace/hep-packet.js';
import { scanSip } from '../../core/trace/sip-scanner.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';
import { EdgeLab } from './kamailio-lab.js';

let lab: EdgeLab;
let standIn: StandIn;
let nodes: SipEndpoint[];
let phone: SipEndpoint;

before(async () => {
  lab = await EdgeLab.up();
  standIn = new StandIn({ address: lab.plan.daemonAddress, privateVip: lab.plan.privateVip, log: silentLogger });
  await standIn.open();
});
after(async () => {
  standIn.close();
  await lab.down();
});
beforeEach(async () => {
  const open = (host: number): Promise<SipEndpoint> =>
    SipEndpoint.open({ address: lab.address(host), codecs: host < 100 ? ['PCMU'] : ['PCMA'] });
  nodes = [await open(31), await open(32)];
  phone = await open(208);
  lab.hep.length = 0;
});
afterEach(async () => {
  await Promise.all([phone, ...nodes].map(one => one.close()));
  await lab.apply({ nodes: lab.state.nodes.map(node => ({ ...node, state: 'up' })), fenced: [] });
  await lab.endSessions();
});

/** The ledger of all that the Kamailios showed so far. */
function ledger(): DialogLedger {
  const made = new DialogLedger();
  const nodeOf = ({ address, port }: HepEnd): string | undefined =>
    port === 5060 ? lab.nodes('call').find(node => node.address === address)?.name : undefined;
  for (const { source, destination, atMs, payload } of lab.hep) {
    const sip = scanSip(payload);
    if (sip) made.take(sip, { fromNode: nodeOf(source), toNode: nodeOf(destination), atMs });
  }
  return made;
}

/** A node dies as a real one does: from one moment to the next nobody is at its address, and it is fenced. */
async function kill(node: SipEndpoint): Promise<string> {
  const name = `call-${nodes.indexOf(node) + 1}`;
  nodes = nodes.filter(one => one !== node);
  await node.close();
  await lab.apply({
    nodes: lab.state.nodes.map(one => (one.name === name ? { ...one, state: 'dead' } : one)),
    fenced: [name],
  });
  return name;
}

const openInvite = async (name: string, test: (invite: OpenInvite) => boolean): Promise<OpenInvite> =>
  waitFor('the ledger to know the INVITE', () => ledger().openInvitesOn(name).find(test));
const mediaAreGone = (): Promise<true> =>
  waitFor('the media session to be gone', async () => (await lab.sessions()) === 0);
const target = (): string => `sip:70001@${lab.plan.publicVip}`;
const callPhone = (options: { acknowledge?: boolean } = {}) =>
  nodes[0]!.invite(`sip:70002@${lab.address(208)}`, { proxy: lab.privateVip, ...options });

describe("In a dead node's stead", () => {
  it('a caller that hears it ring gets its final response', async () => {
    for (const node of nodes) node.onInvite(call => call.ring());
    const call = await phone.invite(target());
    const ringing = await call.ringing();
    assert.equal(await lab.sessions(), 1);
    const home = nodes.find(node => node.calls.length > 0)!;
    const name = await kill(home);
    await standIn.refuse(await openInvite(name, one => one.toTags.length > 0), 503, 'Service Unavailable');
    assert.equal(await call.rejected(), 503);
    assert.equal(call.final!.toTag, ringing.toTag);
    assert.doesNotMatch(call.final!.toString(), new RegExp(lab.plan.privateVip));
    await mediaAreGone();
  });

  it('a phone that rings stops', async () => {
    const [incoming] = await Promise.all([phone.incoming(), callPhone()]);
    incoming.ring();
    const open = await openInvite('call-1', one => one.toTags.length > 0);
    await kill(nodes[0]!);
    assert.equal(await standIn.cancel(open), 200);
    assert.equal((await incoming.cancelled()).branch, incoming.invite.branch);
    assert.equal(incoming.finalStatus, 487);
    await mediaAreGone();
  });

  it('a phone that answered and heard nothing is acknowledged, and hung up', async () => {
    const [incoming, call] = await Promise.all([phone.incoming(), callPhone({ acknowledge: false })]);
    const answered = incoming.answer();
    await call.answered();
    const open = await openInvite('call-1', one => one.answeredBy !== null);
    await kill(nodes[0]!);
    assert.equal(await standIn.acknowledgeAndBye(open), 200);
    await answered;
    assert.equal((await incoming.ended()).by, 'them');
    await mediaAreGone();
  });

  const dialogOf = (callId: string): Promise<Dialog> =>
    waitFor('the ledger to know the dialog', () => {
      const dialog = ledger().dialog(callId);
      return dialog?.state === 'confirmed' && dialog.holes.length === 0 ? dialog : undefined;
    });

  it('a phone that called is hung up', async () => {
    for (const node of nodes) node.onInvite(async call => void call.answer().catch(() => undefined));
    const call = await phone.invite(target());
    await call.answered();
    const dialog = await dialogOf(call.callId);
    await kill(nodes.find(node => node.calls.length > 0)!);
    const unknown = { ...dialog, remote: { ...dialog.remote, tag: 'another' } };
    assert.equal(await standIn.bye(unknown), 481);
    assert.equal(await lab.sessions(), 1);
    assert.equal(await standIn.bye(dialog), 200);
    const { by, bye } = await call.ended();
    assert.equal(by, 'them');
    assert.match(bye.get('Reason'), /cause=503/);
    assert.doesNotMatch(bye.toString(), new RegExp(`${lab.plan.privateVip}|${lab.plan.daemonAddress}(?!\\d)`));
    await mediaAreGone();
  });

  it('a phone that was called is hung up', async () => {
    const [incoming, call] = await Promise.all([phone.incoming(), callPhone()]);
    await incoming.answer();
    await call.answered();
    const dialog = await dialogOf(call.callId);
    await kill(nodes[0]!);
    assert.equal(await standIn.bye(dialog), 200);
    assert.equal((await incoming.ended()).by, 'them');
    await mediaAreGone();
  });
});
