// The balancer's rules as text.
import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { planFarm } from '../../core/farm/farm-plan.js';
import { formatRuleset, tableName } from '../../core/host/nft-ruleset.js';

const plan = planFarm('127.66.0.0/24', { kamailio: 2, call: 1, conference: 1, registrar: 1, rtpengine: 1 });
const kamailios = plan.nodes.filter(({ farm }) => farm === 'kamailio');

describe('the balancer’s rules', () => {
  it('replace the table of their own farm in one transaction', () => {
    assert.equal(tableName(plan.subnet), 'holdfast_127_66_0_0');
    const [first, second, third] = formatRuleset(plan, kamailios).split('\n');
    assert.deepEqual(
      [first, second, third],
      ['add table ip holdfast_127_66_0_0', 'delete table ip holdfast_127_66_0_0', 'table ip holdfast_127_66_0_0 {'],
    );
  });

  it('spread each VIP over its own side of the members, one member without a counter, none at all without a rule', () => {
    const two = formatRuleset(plan, kamailios);
    assert.match(two, /daddr 127\.66\.0\.100 .*set numgen inc mod 2 map \{ 0 : 127\.66\.0\.11, 1 : 127\.66\.0\.12 \}/);
    assert.match(two, /daddr 127\.66\.0\.101 .*set numgen inc mod 2 map \{ 0 : 127\.66\.0\.21, 1 : 127\.66\.0\.22 \}/);
    assert.match(
      formatRuleset(plan, kamailios.slice(1)),
      /daddr 127\.66\.0\.100 udp dport 5060 ip daddr set 127\.66\.0\.12\n/,
    );
    assert.doesNotMatch(formatRuleset(plan, []), /daddr set/);
  });

  it('give each connection to one member, where there are any, and keep UDP untracked', () => {
    assert.doesNotMatch(formatRuleset(plan, kamailios), /tcp|nat/);
    const both = { ...plan, streams: { tcp: 5060, tls: 5061, perSource: 7 } };
    const text = formatRuleset(both, kamailios);
    assert.match(text, /tcp dport \{ 5060, 5061 \} dnat to numgen inc mod 2 map \{ 0 : 127\.66\.0\.11, 1 : /);
    const shaken = 'ct status assured ct direction original ct mark';
    const limit = (set: string, rate: string): string =>
      `update @${set} \\{ ip saddr limit rate over ${rate} packets \\} reject with tcp reset`;
    assert.match(text, /ct state new add @crowd \{ ip saddr ct count over 7 \} ct mark set 2/);
    assert.match(text, new RegExp(`${shaken} 2 ${limit('more', '1/minute burst 1')}`));
    assert.match(text, new RegExp(`${shaken} \\{ 0, 2 \\} ${limit('haste', '1/second burst 7')}`));
    assert.match(text, /ip daddr 127\.66\.0\.0\/24 meta l4proto udp notrack/);
    assert.match(text, /meta l4proto tcp ip daddr != 127\.66\.0\.2 snat to 127\.66\.0\.100/);
    assert.doesNotMatch(formatRuleset(both, []), /dnat/);
  });

  it('close the loopback network to a LAN that the VIP opens it to, and only then', () => {
    assert.doesNotMatch(formatRuleset(plan, kamailios), /iifname|ct state/);
    const lan = formatRuleset(plan, kamailios, { name: 'eth0', comment: 'why' });
    assert.match(lan, /iifname "eth0" ip saddr 127\.0\.0\.0\/8 drop comment "why"/);
    assert.match(lan, /iifname "eth0" ip daddr 127\.0\.0\.0\/8 drop comment "why"/);
  });
});
