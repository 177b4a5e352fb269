// Trunks with several gateways: failover, weight, health; limits and numbers on their way in and out. One farm.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { CallDetailRecord } from '../../core/calls/call-facts.js';
import type { TrunkStatus } from '../../core/control/views.js';
import { recordOf } from '../harness/call-records.js';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import { IncomingCall } from '../harness/incoming-call.js';
import { localConfig } from '../harness/local-config.js';
import type { OutgoingCall } from '../harness/outgoing-call.js';
import { Provider } from '../harness/provider.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import type { SipMessage } from '../harness/sip-message.js';
import { waitFor } from '../harness/wait-for.js';

const trunks = `
  failing: { gateways: [.210, .211], probeSeconds: 0 }
  busy: { gateways: [.212, .211], probeSeconds: 0 }
  silent: { gateways: [.213, .211], probeSeconds: 0, silentSeconds: 2 }
  shared: { gateways: [{ address: .212, priority: 1, weight: 1 }, { address: .214, priority: 1, weight: 2 }], probeSeconds: 0 }
  dying: { gateways: [.215, .211], probeSeconds: 1 }
  small: { gateways: [.211], limits: { callsAtOnce: 1, block: ['+49177'] } }
  provider:
    gateways: [.216]
    credentials: { username: us, secret: 'a, "secret"; \\one' }
    register: { domain: provider.example, user: '4930901820' }
    numbers: { format: international }
  branch: { login: { username: branch, secret: branch-secret }, identities: ['+49305'], numbers: { format: national } }
  german:
    sources: [.203]
    gateways: [.211]
    numbers: { format: national }
    caller: { number: '+4930901820', asserted: number }
`;
const routes = `
      - { dial: 60xxx, to: [{ trunk: failing }] }
      - { dial: 61xxx, to: [{ trunk: busy }] }
      - { dial: 62xxx, to: [{ trunk: silent }] }
      - { dial: 63xxx, to: [{ trunk: shared }] }
      - { dial: 64xxx, to: [{ trunk: dying }] }
      - { dial: ['65.', '112'], to: [{ trunk: small, strip: 0 }] }
      - { dial: '+49.', from: { trunks: [german, provider, branch] }, to: [{ trunk: small }] }
      - { dial: '66.', to: [{ trunk: german, strip: 2 }] }
      - { dial: '68.', to: [{ trunk: provider, strip: 2 }] }
      - { dial: '67.', to: [{ table: prefixes.csv }] }
`;

async function config(): Promise<string> {
  const usual = await localConfig();
  return usual
    .replace(/(kamailio|call|conference|registrar|rtpengine): [23]/g, '$1: 1')
    .replace('trunks:\n', `numbers: { country: DE }\ntrunks:${trunks}`)
    .replace('sources: [.200-.207]', 'sources: [.200-.202]')
    .replace('    routes:', `    routes:${routes.trimEnd()}`);
}

describe('trunks', () => {
  let farm: Farm;
  let alice: SipEndpoint;
  let carrier: SipEndpoint;
  let provider: Provider;
  let usual: string;
  const gateways = new Map<number, SipEndpoint>();
  const open: SipEndpoint[] = [];

  const endpoint = async (host: number): Promise<SipEndpoint> => {
    const made = await SipEndpoint.open({ address: farm.host(host), codecs: ['PCMA'] });
    open.push(made);
    return made;
  };
  const gateway = async (host: number, answer: (call: IncomingCall) => unknown): Promise<void> => {
    const made = await endpoint(host);
    gateways.set(host, made);
    made.onInvite(async call => {
      await answer(call);
    });
  };
  /** The INVITE that a gateway got for this number. */
  const heard = (host: number, number: string): SipMessage | undefined => {
    const calls = gateways.get(host)?.calls.filter(call => call instanceof IncomingCall) ?? [];
    return calls.find(({ invite }) => invite.startLine.includes(`sip:${number}@`))?.invite;
  };

  before(async () => {
    farm = await Farm.up({ config: (await config()).replace('{ table: prefixes.csv }', '{ trunk: lab }') });
    await writeFile(join(farm.state, 'prefixes.csv'), 'prefix,trunks\n67,failing\n6799,silent|small\n');
    const account = { username: 'us', password: 'a, "secret"; \\one' };
    provider = await Provider.open(farm.host(216), 'provider.example', account, 'SHA-256');
    open.push(provider.endpoint);
    usual = await config();
    await farm.reload(usual);
    [alice, carrier] = await Promise.all([endpoint(200), endpoint(203)]);
    await gateway(210, call => call.reject(503));
    await gateway(211, async call => {
      call.ring();
      await call.answer();
      call.audio.sendTone(660);
    });
    await gateway(212, call => call.reject(486));
    await gateway(213, async () => undefined);
    await gateway(214, call => call.reject(404));
  });
  after(async () => {
    await closeAll(...open);
    await farm.down();
  });

  const over = async (call: OutgoingCall): Promise<CallDetailRecord> => {
    await call.hangup();
    return recordOf(farm, call.callId);
  };
  const peers = ({ legs }: CallDetailRecord): readonly string[] =>
    legs.slice(1).map(leg => leg.peer.replace(/^.*@.*\.(\d+):5060$/, '$1'));

  test('a gateway that answers 503 is followed by the next one', async () => {
    const call = await alice.invite(farm.uri('60001'));
    await call.answered();
    assert.deepEqual(peers(await over(call)), ['210', '211']);
  });

  test('one that says 486 has spoken for all', async () => {
    const call = await alice.invite(farm.uri('61001'));
    assert.equal(await call.rejected(), 486);
    assert.deepEqual(peers(await recordOf(farm, call.callId)), ['212']);
  });

  test('one that says nothing is given up after a moment', async () => {
    const call = await alice.invite(farm.uri('62001'));
    await call.answered(15_000);
    const record = await over(call);
    assert.deepEqual(peers(record), ['213', '211']);
    assert.equal(record.legs[1]?.sipStatus, 408);
  });

  test('those of one priority share the calls', async () => {
    const calls = await Promise.all(Array.from({ length: 30 }, (_, i) => alice.invite(farm.uri(`63${100 + i}`))));
    const statuses = await Promise.all(calls.map(call => call.rejected()));
    const [less, more] = [486, 404].map(status => statuses.filter(one => one === status).length);
    assert.equal((less ?? 0) + (more ?? 0), 30);
    assert.ok(less && more, `${less} and ${more}`);
  });

  test('one that does not answer OPTIONS is passed over, seen as down, and used again when it is back', async () => {
    const states = async (): Promise<string> => {
      const found = (await farm.json<TrunkStatus[]>('trunks')).find(({ trunk }) => trunk === 'dying');
      return found?.gateways.map(({ state }) => state).join(' ') ?? '';
    };
    await waitFor('the gateway to be down', async () => (await states()) === 'down up', {
      deadlineMs: 30_000,
      describe: states,
    });
    const call = await alice.invite(farm.uri('64001'));
    await call.answered();
    assert.deepEqual(peers(await over(call)), ['211']);
    await gateway(215, async back => back.answer());
    await waitFor('the gateway to be up', async () => (await states()) === 'up up', {
      deadlineMs: 30_000,
      describe: states,
    });
    const again = await alice.invite(farm.uri('64002'));
    await again.answered();
    assert.deepEqual(peers(await over(again)), ['215']);
  });

  test('the longest prefix of a table says which trunks', async () => {
    const call = await alice.invite(farm.uri('67001'));
    await call.answered();
    assert.deepEqual(peers(await over(call)), ['210', '211']);
    const other = await alice.invite(farm.uri('67991'));
    await other.answered(15_000);
    assert.deepEqual(peers(await over(other)), ['213', '211']);
  });

  test('a full trunk refuses with 503 and Retry-After, and takes an emergency call all the same', async () => {
    const first = await alice.invite(farm.uri('65001'));
    await first.answered();
    const second = await alice.invite(farm.uri('65002'));
    assert.equal(await second.rejected(), 503);
    assert.equal(second.final?.get('Retry-After'), '5');
    const { limit, reason, outcome } = await recordOf(farm, second.callId);
    assert.deepEqual([limit, outcome], ['callsAtOnce', 'rejected']);
    assert.match(reason, /trunk small has its 1 calls at once/);
    const emergency = await alice.invite(farm.uri('112'));
    await emergency.answered();
    await over(emergency);
    await over(first);
    const third = await alice.invite(farm.uri('65003'));
    await third.answered();
    await over(third);
  });

  test('numbers come in as E.164 and go out as the trunk writes them, with our number for a caller who has none', async () => {
    const call = await alice.invite(farm.uri('6600493012345678'), { from: `<sip:1001@${farm.host(200)}>;tag=a1` });
    await call.answered();
    await over(call);
    const invite = heard(211, '03012345678');
    assert.ok(invite, 'the number in national format');
    assert.match(invite.get('From'), /sip:030901820@/);
    assert.match(invite.get('P-Asserted-Identity'), /sip:030901820@/);
    const inbound = await carrier.invite(farm.uri('03023456789'), {
      from: `<sip:017712345678@${farm.host(203)}>;tag=b1`,
    });
    await inbound.answered();
    const { dialled, callerNumber } = await over(inbound);
    assert.deepEqual([dialled, callerNumber], ['+493023456789', '+4917712345678']);
  });

  describe('that we register with', () => {
    const registration = async (): Promise<TrunkStatus['registration'] | undefined> =>
      (await farm.json<TrunkStatus[]>('trunks')).find(({ trunk }) => trunk === 'provider')?.registration;
    const registered = async (): Promise<void> => {
      const isIt = async (): Promise<boolean> => (await registration())?.state === 'registered';
      await waitFor('the registration', isIt, { deadlineMs: 60_000, describe: () => provider.endpoint.ladder.print() });
    };
    /** Our Contact there is one and the same. */
    const oneBinding = (): void => {
      assert.equal(provider.contacts.length, 1, provider.contacts.join(' '));
      assert.equal(new Set(provider.registers.map(({ callId }) => callId)).size, 1);
      const cseqs = provider.registers.map(({ cseq }) => cseq);
      assert.ok(
        cseqs.every((cseq, i) => i === 0 || cseq >= (cseqs[i - 1] ?? 0)),
        cseqs.join(' '),
      );
    };

    test('its challenge is answered, and nothing of the inside is told', async () => {
      await registered();
      oneBinding();
      const last = provider.registers.at(-1)?.toString() ?? '';
      assert.match(last, /^REGISTER sip:provider\.example SIP/);
      for (const inside of [1, 2, 11, 21, 31, 101]) {
        const address = farm.host(inside).replaceAll('.', '\\.');
        assert.doesNotMatch(last, new RegExp(`${address}(?!\\d)|X-Holdfast`), last);
      }
      assert.equal(provider.registers.at(-1)?.all('Via').length, 1);
    });

    test('its calls come by our Contact, for the number that was dialled', async () => {
      const call = await provider.call('004930901821');
      await call.answered();
      const { dialled, source } = await over(call);
      assert.deepEqual([dialled, source], ['+4930901821', { kind: 'trunk', trunk: 'provider' }]);
      const forwarded = await provider.call('0049555', [
        ['P-Called-Party-ID', '"x" <sip:004930901822@provider.example>'],
      ]);
      await forwarded.answered();
      assert.equal((await over(forwarded)).dialled, '+4930901822');
      const guess = await provider.call('004930901821', [], `sip:4930901820@${farm.host(100)};line=${'0'.repeat(32)}`);
      assert.equal(await guess.rejected(), 407);
    });

    test('our calls to it show its own domain', async () => {
      provider.endpoint.onInvite(async call => {
        await call.answer();
      });
      const call = await alice.invite(farm.uri('68004930555'));
      await call.answered();
      await over(call);
      const isInvite = (message: SipMessage): boolean => message.isRequest && message.method === 'INVITE';
      const invite = await provider.endpoint.received('our INVITE', isInvite);
      assert.match(invite.requestUri, /^sip:004930555@/);
      assert.match(invite.get('From'), /@provider\.example>/);
    });

    test('it goes on over the deaths of daemon and Kamailio, and is refreshed where it was', async () => {
      const before = provider.registers.length;
      const [daemon, kamailio] = [(await farm.status()).daemon.pid, await farm.pid('kamailio-1')];
      for (const pid of [daemon, kamailio]) process.kill(pid, 'SIGKILL');
      provider.manner.nonceUses = 1;
      await farm.daemonAfter(daemon);
      await farm.whole();
      assert.equal((await registration())?.state, 'registered');
      const call = await provider.call('004930901821');
      await call.answered();
      await over(call);
      assert.equal(provider.registers.length, before);
      // Refreshed at once, as it wants another time now; the nonces of this provider are good for one.
      provider.manner.minSeconds = 700;
      const changed = usual.replace("user: '4930901820'", "user: '4930901820', expiresSeconds: 650");
      await farm.reload(changed);
      await waitFor('the refresh', () => provider.registers.some(one => one.get('Expires') === '700'));
      await waitFor('it to be taken', async () => (await registration())?.error === null);
      oneBinding();
    });

    test('a provider that is in trouble, and one that refuses us, are told of', async () => {
      provider.manner.refuses = 403;
      await farm.reload(usual.replace("user: '4930901820'", "user: '4930901820', expiresSeconds: 660"));
      await waitFor('the refusal', async () => (await registration())?.sipStatus === 403);
      const { state, error, until } = (await registration()) ?? {};
      assert.deepEqual([state, error], ['registered', '403 Unspecified']);
      assert.ok(until);
      provider.manner.refuses = undefined;
      await farm.reload(usual);
      await waitFor('it to be refreshed', async () => (await registration())?.error === null);
    });

    test('that the config has no more is ended there, and told as events', async () => {
      await farm.reload(usual.replace(/register: \{ domain: provider.*/, 'probeSeconds: 0'));
      // Ended there, and known to be: its answer may be late.
      await waitFor('the end', async () => provider.contacts.length === 0 && (await registration()) === null);
      await farm.reload(usual);
      await registered();
      const { stdout } = await farm.cli(['events', '--json']);
      const told = stdout.split('\n').flatMap(line => /"type":"(trunk\.\w+)"/.exec(line)?.slice(1) ?? []);
      assert.deepEqual(told, ['trunk.registered', 'trunk.unregistered', 'trunk.registered']);
    });
  });

  test('a trunk from anywhere by user and password, with callers that are its own', async () => {
    const branch = await endpoint(217);
    const credentials = { username: 'branch', password: 'branch-secret' };
    const from = `<sip:030512@${farm.host(217)}>;tag=c1`;
    const wrong = await branch.invite(farm.uri('03023456789'), {
      from,
      credentials: { ...credentials, password: 'x' },
    });
    assert.equal(await wrong.rejected(), 407);
    const stranger = await branch.invite(farm.uri('03023456789'), { credentials });
    assert.equal(await stranger.rejected(), 403);
    const { reason, limit } = await recordOf(farm, stranger.callId);
    assert.deepEqual([reason, limit], ['trunk branch may not call as test', 'identities']);
    const call = await branch.invite(farm.uri('03023456789'), { from, credentials });
    await call.answered();
    const record = await over(call);
    assert.deepEqual(record.source, { kind: 'trunk', trunk: 'branch' });
    assert.deepEqual([record.dialled, record.callerNumber], ['+493023456789', '+4930512']);
  });

  test('what is blocked is refused with 403: satellites for everybody, a prefix of one trunk', async () => {
    const call = await alice.invite(farm.uri('6600881612345678'));
    assert.equal(await call.rejected(), 403);
    const { limit, reason } = await recordOf(farm, call.callId);
    assert.equal(limit, 'destinations');
    assert.match(reason, /trunk lab may not call \+881612345678: \+881 is expensive/);
    const blocked = await carrier.invite(farm.uri('017712345678'));
    assert.equal(await blocked.rejected(), 403);
    assert.match(
      (await recordOf(farm, blocked.callId)).reason,
      /trunk small may not call \+4917712345678: \+49177 is blocked/,
    );
    assert.equal(heard(211, '+4917712345678'), undefined);
  });
});
