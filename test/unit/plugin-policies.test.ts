// The pure cores of the transcoding-policy, conference and registrar plugins.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Directory } from '../../core/plugin-api.js';
import { placeConference } from '../../plugins/conference/place-conference.js';
import { staticLocation } from '../../plugins/registrar/static-location.js';
import { checkRecovery, recoveryConfig } from '../../plugins/session-recovery/recovery-config.js';
import { checkPolicies } from '../../plugins/transcoding-policy/check-policies.js';
import { policyId, policyTable, type PolicyConfig } from '../../plugins/transcoding-policy/policy-table.js';

const directory: Directory = {
  domain: 'a.test',
  flows: [],
  webhooks: [],
  limits: {
    maxSetupSeconds: 0,
    maxCallSeconds: 0,
    rtpTimeoutSeconds: 0,
    rtpTimeoutOnHoldSeconds: 0,
    strayGraceSeconds: 5,
  },
  file: path => path,
  e164: () => undefined,
  address: text => `127.40.0${text}`,
  trunks: [{ name: 'lab', gateways: [] }],
  subscribers: [{ name: '1001' }],
};

describe('transcoding policies', () => {
  const config: PolicyConfig = {
    default: ['opus', 'PCMU'],
    trunks: { lab: ['PCMA'], other: ['opus', 'PCMU'] },
    subscribers: { '1001': ['G722'] },
    srtp: { default: 'off', trunks: {}, subscribers: {} },
  };

  test('go by subscriber, then trunk, then the default, and equal lists are one policy', () => {
    const table = policyTable(config);
    const { policies, defaultPolicy } = table;
    assert.deepEqual(
      policies.map(({ codecs }) => codecs),
      [['opus', 'PCMU'], ['PCMA'], ['G722']],
    );
    assert.equal(table.policyFor({}), defaultPolicy);
    assert.equal(table.policyFor({ trunk: 'lab' }), policyId(['PCMA']));
    assert.equal(table.policyFor({ trunk: 'lab', subscriber: '1001' }), policyId(['G722']));
    assert.equal(table.policyFor({ trunk: 'other' }), defaultPolicy);
    assert.equal(table.policyFor({ trunk: 'unknown', subscriber: 'unknown' }), defaultPolicy);
  });

  test('say of each leg whether it is SRTP, whatever its codecs are', () => {
    const srtp = { default: 'optional', trunks: { lab: 'required' }, subscribers: { '1001': 'off' } } as const;
    const table = policyTable({ ...config, srtp });
    const of = (leg: { trunk?: string; subscriber?: string }): unknown => {
      const policy = table.policies.find(({ id }) => id === table.policyFor(leg));
      return policy && [policy.codecs[0], policy.srtp];
    };
    assert.deepEqual(of({}), ['opus', 'optional']);
    assert.deepEqual(of({ trunk: 'lab' }), ['PCMA', 'required']);
    assert.deepEqual(of({ trunk: 'other' }), ['opus', 'optional']);
    assert.deepEqual(of({ trunk: 'lab', subscriber: '1001' }), ['G722', 'off']);
    assert.deepEqual(of({ trunk: 'lab', subscriber: 'constructor' }), ['PCMA', 'required']);
    assert.equal(
      table.policyFor({ subscriber: '1001' }),
      policyId(['G722']),
      'off is what it was before there was SRTP',
    );
  });

  test('have ids that fit into Route parameters and never change', () => {
    for (const { id } of policyTable(config).policies) assert.match(id, /^[a-z0-9]{1,12}$/);
    assert.equal(policyId(['opus', 'G722', 'PCMA', 'PCMU']), policyId(['opus', 'G722', 'PCMA', 'PCMU']));
    assert.notEqual(policyId(['PCMA', 'PCMU']), policyId(['PCMU', 'PCMA']));
  });

  test('name what is wrong in their config', () => {
    const wrong: PolicyConfig = {
      ...{ default: ['opus', 'opus'], trunks: { labb: ['PCMA'] }, subscribers: {} },
      srtp: { default: 'off', trunks: { labbb: 'required' }, subscribers: { '1009': 'off' } },
    };
    assert.deepEqual(
      checkPolicies(wrong, directory).map(({ path, message }) => `${path.join('.')}: ${message}`),
      [
        'trunks.labb: there is no trunk "labb"',
        'srtp.trunks.labbb: there is no trunk "labbb"',
        'srtp.subscribers.1009: there is no subscriber "1009"',
        'default.1: opus is there twice',
      ],
    );
    assert.deepEqual(checkPolicies({ ...config, trunks: { lab: ['PCMA'] } }, directory), []);
  });
});

describe('the patience of a recovery', () => {
  const check = (patienceSeconds: number, rtpTimeoutSeconds: number): readonly string[] =>
    checkRecovery(recoveryConfig.parse({ patienceSeconds }), {
      ...directory,
      limits: { ...directory.limits, rtpTimeoutSeconds },
    }).map(({ message }) => message);

  test('is shorter than the silence that ends a call', () => {
    assert.deepEqual(check(30, 300), []);
    assert.deepEqual(check(30, 0), []);
    assert.match(check(30, 30)[0] ?? '', /patienceSeconds \(30\) is not less than limits\.rtpTimeoutSeconds \(30\)/);
  });
});

describe('placement of a conference', () => {
  const two = { id: 'c1', callNodes: ['call-1'] };

  test('follows the config for two parties on one call node', () => {
    assert.deepEqual(placeConference(two, 'call-node'), { mixing: 'call-node' });
    assert.deepEqual(placeConference(two, 'conference-farm'), { mixing: 'conference-farm' });
  });

  test('is the conference farm for rooms, and for parties on different nodes', () => {
    assert.deepEqual(placeConference({ ...two, room: '8001' }, 'call-node'), { mixing: 'conference-farm' });
    const apart = { id: 'c1', callNodes: ['call-1', 'call-2'] };
    assert.deepEqual(placeConference(apart, 'call-node'), { mixing: 'conference-farm' });
  });
});

test('contacts from the config are found by subscriber, with short addresses written out', () => {
  const location = staticLocation({ '1001': ['sip:1001@.201:5070;transport=udp', 'sip:a@192.0.2.1'] }, directory);
  assert.deepEqual(location.contacts('1001'), ['sip:1001@127.40.0.201:5070;transport=udp', 'sip:a@192.0.2.1']);
  assert.deepEqual(location.contacts('1002'), []);
});
