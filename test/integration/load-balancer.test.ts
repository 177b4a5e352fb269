// What docs/load-balancer.md says of balancers that do not do what is asked of them, on real Kamailios. The fault is an nftables table in
// front of the one that balances.
import { after, afterEach, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import type { OutgoingCall } from '../harness/outgoing-call.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { EdgeLab } from './kamailio-lab.js';

let lab: EdgeLab;
let table: string;

before(async () => {
  lab = await EdgeLab.up();
  table = `holdfast_fault_${lab.plan.subnet.replace(/\/.*/, '').replaceAll('.', '_')}`;
});
after(async () => {
  heal();
  await lab.down();
});
afterEach(async () => {
  heal();
  await lab.closeEndpoints();
});

/** A hang-up that overtook the ACK, by another Kamailio, would find the callee still waiting. */
async function goesThrough(call: OutgoingCall, nodes: readonly SipEndpoint[]): Promise<void> {
  await call.answered();
  await nodes
    .flatMap(node => node.calls)
    .at(-1)
    ?.confirmed();
  assert.equal(await call.hangup(), 200);
}

/** Applies rules to each packet before the balancer has it. */
function fault(...rules: readonly string[]): void {
  const chain = ['chain output {', 'type filter hook output priority -310;', ...rules, '}'];
  execFileSync('nft', ['-f', '-'], { input: [`table ip ${table} {`, ...chain, '}', ''].join('\n') });
}

function heal(): void {
  execFileSync('nft', ['-f', '-'], { input: `add table ip ${table}\ndelete table ip ${table}\n` });
}

/** The address of a balancer that puts itself in the sender's place, and takes the answers back. */
function hides(host: number, vip: string): void {
  const [sender, balancer] = [lab.address(host), lab.address(150)];
  fault(
    `ip saddr ${sender} ip daddr ${vip} udp dport 5060 ip saddr set ${balancer}`,
    `ip daddr ${balancer} udp sport 5060 ip daddr set ${sender}`,
  );
}

const target = (): string => `sip:70001@${lab.plan.publicVip}`;

describe('Behind a balancer that does not keep the source', () => {
  it('a trunk is challenged, which it cannot answer', async () => {
    const nodes = await lab.openNodes(call => void call.answer());
    const trunk = await lab.open({ host: 200 });
    await goesThrough(await trunk.invite(target()), nodes);
    hides(200, lab.plan.publicVip);
    assert.equal(await (await trunk.invite(target())).rejected(), 407);
  });

  it('and that is a trunk’s address, everybody is let in', async () => {
    const nodes = await lab.openNodes(call => void call.answer());
    const stranger = await lab.open({ host: 220 });
    assert.equal(await (await stranger.invite(target())).rejected(), 407);
    await lab.apply({ sources: [...lab.state.sources, { address: lab.address(150), trunk: 'lab', policy: 'any' }] });
    hides(220, lab.plan.publicVip);
    await goesThrough(await stranger.invite(target()), nodes);
  });

  it('nothing of an Asterisk is taken', async () => {
    const node = await lab.open({ host: 31 });
    hides(31, lab.plan.privateVip);
    const before = await lab.counter('refused.source');
    const headers = [['Route', `<sip:${lab.plan.privateVip}:5060;lr>`]] as const;
    const call = await node.invite(`sip:70001@${lab.address(208)}`, { proxy: lab.privateVip, headers });
    await call.waitFor('the refusal', async () => (await lab.counter('refused.source')) > before);
    assert.equal(call.final, undefined);
  });
});

describe('Behind a balancer that is sticky', () => {
  it('a caller gets no answer while its Kamailio is gone, and one of another with its next packet that is not stuck', async () => {
    const nodes = await lab.openNodes(call => void call.answer());
    const trunk = await lab.open({ host: 200 });
    const [first, ...others] = lab.nodes('kamailio');
    assert.ok(first);
    lab.signal(first, 'SIGSTOP');
    // The daemon's own balancer knows it already.
    await lab.balancer.apply(others);
    fault(
      `ip saddr ${trunk.address} ip daddr ${lab.plan.publicVip} udp dport 5060 ip daddr set ${first.external ?? ''}`,
    );
    const call = await trunk.invite(target());
    // Three retransmissions (RFC 3261 section 17.1.1.2): after 0.5, 1.5 and 3.5 seconds.
    await delay(4_000);
    assert.equal(call.final, undefined);
    assert.equal(nodes.flatMap(one => one.calls).length, 0);
    heal();
    await goesThrough(call, nodes);
    lab.signal(first, 'SIGCONT');
  });
});
