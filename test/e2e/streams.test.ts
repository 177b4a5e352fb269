// Phones on TCP and TLS in a whole farm: they call and are called, and go on talking when the servers of their call die.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { after, afterEach, before, describe, test } from 'node:test';
import { ownCertificate } from '../../core/farm/edge-certificate.js';
import { readProcess, sessionOf } from '../../core/host/process-table.js';
import { statePaths } from '../../core/host/state-folder.js';
import { recordOf } from '../harness/call-records.js';
import { Baresip } from '../harness/baresip.js';
import { closeAll } from '../harness/close-all.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import type { NodeStatus, RegistrationStatus, TrunkStatus } from '../../core/control/views.js';
import type { EdgeCertificate } from '../../core/ports/edge.js';
import { localConfig } from '../harness/local-config.js';
import { Provider } from '../harness/provider.js';
import { CarrierNames } from '../harness/carrier-names.js';
import { Farm } from '../harness/farm.js';
import { PhonePair } from '../harness/phone-pair.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';

const domain = 'holdfast.test';
const account = { username: 'us', password: 'ours' };
const ports = { TCP: 5060, TLS: 5061 };
type Transport = 'UDP' | keyof typeof ports;

const trunks = `
  tcp:
    gateways: ['sip:.220:5070;transport=tcp']
    probeSeconds: 1
    credentials: { username: us, secret: ours }
    register: { registrar: '.228:5070;transport=tcp', domain: tcp.example, user: '4930901821' }
  far:
    transport: tls
    gateways: ['.224:5071', '.225:5071', '.226:5071', '.227:5071']
    probeSeconds: 0
    silentSeconds: 2
    credentials: { username: us, secret: ours }
    register: { domain: far.example, user: '4930901822' }
    tls: { authorities: AUTHORITIES, name: sip.provider.example }
  named:
    gateways: ['carrier.test;transport=tls']
    probeSeconds: 0
    silentSeconds: 2
    tls: { authorities: AUTHORITIES, name: sip.provider.example }
  tls:
    sources: [.207]
    transport: tls
    gateways: ['.221:5071', '.207:5071']
    probeSeconds: 1
    credentials: { username: us, secret: ours }
    register: { registrar: '.222:5071', domain: provider.example, user: '4930901820' }
    tls: { authorities: AUTHORITIES, name: sip.provider.example }
`;
const routes = `
      - { dial: 71xxx, to: [{ trunk: tcp }] }
      - { dial: 72xxx, to: [{ trunk: tls }] }
      - { dial: 73xxx, to: [{ trunk: far }] }
      - { dial: 74xxx, to: [{ trunk: named }] }
      - { dial: '4930901820', from: { trunks: [tls] }, to: [{ subscriber: '1002' }] }`;

describe('phones and trunks on TCP and TLS', () => {
  let farm: Farm;
  let local: string;
  let provider: EdgeCertificate;
  let authorities: string;
  let names: CarrierNames;
  const phones: (SipEndpoint | Baresip)[] = [];
  const distant: SipEndpoint[] = [];
  let far: Provider;
  let registrar: Provider;
  let onTcp: Provider;
  let wrong: SipEndpoint;

  before(async () => {
    local = await localConfig();
    provider = await ownCertificate(await mkdtemp(join(tmpdir(), 'holdfast-provider-')), {
      ...{ domain: 'sip.provider.example', publicVip: '192.0.2.1' },
    });
    authorities = join(await mkdtemp(join(tmpdir(), 'holdfast-authorities-')), 'provider.pem');
    await writeFile(authorities, provider.certificate);
    local = local
      .replace('trunks:\n', `trunks:${trunks.replaceAll('AUTHORITIES', authorities)}`)
      .replace('    routes:', `    routes:${routes}`)
      .replace(
        '    default: [opus, G722, PCMA, PCMU]\n',
        '    default: [opus, G722, PCMA, PCMU]\n    srtp: { trunks: { far: required } }\n',
      )
      .replace('sources: [.200-.207]', 'sources: [.200-.206]')
      // Each test's phones are new ones, and those of the tests before are registered still.
      .replace('subscribers:\n', 'registration: { maxContacts: 50 }\n\nsubscribers:\n');
    names = await CarrierNames.serve();
    farm = await Farm.up({ config: `${local}\nedge: { tcp: {}, tls: {} }\n` });
    await openDistant();
  });

  /** Registrars, and gateways of the trunk `far`, which stay: .224 is dead. */
  async function openDistant(): Promise<void> {
    const other = await ownCertificate(await mkdtemp(join(tmpdir(), 'holdfast-other-')), {
      ...{ domain: 'sip.other.example', publicVip: '192.0.2.1' },
    });
    const at = { port: 5071, listens: { transport: 'TLS', certificate: provider } } as const;
    far = await Provider.open(farm.host(227), 'far.example', account, 'SHA-256', { ...at, security: 'srtp' });
    wrong = await SipEndpoint.open({
      ...{ address: farm.host(225), ...at, listens: { ...at.listens, certificate: other } },
    });
    const busy = await SipEndpoint.open({ address: farm.host(226), ...at });
    onTcp = await Provider.open(farm.host(228), 'tcp.example', account, 'MD5', {
      port: 5070,
      listens: { transport: 'TCP' },
    });
    registrar = await Provider.open(farm.host(222), 'provider.example', account, 'SHA-256', at);
    distant.push(registrar.endpoint, far.endpoint, wrong, busy, onTcp.endpoint);
    busy.onInvite(call => call.reject(503));
  }

  after(async () => {
    await closeAll(names, ...distant);
    await farm.down();
  });
  afterEach(async () => {
    await Promise.all(phones.splice(0).map(phone => phone.close()));
    // A phone of a test before is bound for a minute, and does not answer: our INVITE to it comes again for 32 s (Timer B), each time with a media session, which
    // is a stray for another 15 s.
    await nothingLeft(farm, 70_000);
  });

  async function phone(user: string, host: number, transport: Transport): Promise<SipEndpoint> {
    const name = { '1001': 'alice', '1002': 'bob', '1003': 'carol' }[user] ?? '';
    const one = await SipEndpoint.open({
      ...{ address: farm.host(host), user, domain, credentials: { username: user, password: `${name}-secret` } },
      ...(transport === 'UDP'
        ? {}
        : { connection: { transport, to: { address: farm.host(100), port: ports[transport] } } }),
    });
    phones.push(one);
    await register(one, user, 1);
    return one;
  }

  /** As a phone does it: all with one Call-ID (RFC 3261 §10.2). */
  async function register(one: SipEndpoint, user: string, time: number): Promise<void> {
    const headers = [
      ['Call-ID', `registers-${user}-${one.address}`],
      ['CSeq', `${time * 10} REGISTER`],
    ] as const;
    const { status } = await one.register(farm.uri(user), 60, { headers });
    if (status !== 200) {
      const edges = (await farm.json<NodeStatus[]>('nodes')).map(({ name, counters }) => ({ name, counters }));
      const why = `disconnected: ${String(one.isDisconnected)}\n${one.ladder.print()}\n${JSON.stringify(edges)}`;
      assert.fail(`REGISTER was answered ${status}\n${why}`);
    }
    await isBound(user, one.contact.slice(1, -1));
  }

  /** A moment after the registrar the daemon knows it too, and has calls go there. */
  async function isBound(user: string, contact?: string): Promise<void> {
    const isIt = (bound: RegistrationStatus): boolean =>
      bound.subscriber === user && (contact === undefined || bound.contact === contact);
    await waitFor(`${user} to be bound`, async () => (await farm.registrations()).some(isIt), {
      describe: async () => JSON.stringify(await farm.registrations()),
    });
  }

  async function edgeOf(user: string): Promise<string> {
    return waitFor(`${user} to be registered by a connection`, async () => {
      const all = (await farm.registrations()).filter(({ subscriber }) => subscriber === user);
      return all.at(-1)?.connection?.edge;
    });
  }

  const pairs: readonly (readonly [Transport, Transport])[] = [
    ['TCP', 'UDP'],
    ['UDP', 'TLS'],
  ];
  for (const [from, to] of pairs) {
    test(`${from} calls ${to}: heard, held, and their call node killed`, async () => {
      const alice = await phone('1001', 210, from);
      const bob = await phone('1002', 211, to);
      const pair = await PhonePair.call(farm, alice, bob, '1002');
      await pair.holdAndResume();
      const before = pair.reinvites;
      process.kill(await farm.pid(await pair.node(farm)), 'SIGKILL');
      await pair.reinvited(before);
      await pair.soundsAgain();
      await pair.hangup(from === 'UDP' ? 'caller' : 'callee');
    });
  }

  test('baresip on TLS, which trusts our certificate, and baresip on UDP call each other, hold and hang up', async () => {
    const trusts = join(statePaths(farm.state).certificateFolder, 'own/certificate.pem');
    const options = { farm, domain };
    const alice = await Baresip.start({
      ...{ ...options, user: '1001', secret: 'alice-secret', address: farm.host(212), hz: 440, tls: { trusts } },
    });
    phones.push(alice);
    const carol = await Baresip.start({
      ...{ ...options, user: '1003', secret: 'carol-secret', address: farm.host(213), hz: 660 },
    });
    phones.push(carol);
    assert.match(await edgeOf('1001'), /^kamailio-\d$/);
    await isBound('1003');
    for (const [caller, callee] of [
      [alice, carol],
      [carol, alice],
    ] as const) {
      await caller.dial(farm.uri(callee.user));
      await callee.is('incoming');
      await callee.accept();
      await caller.is('established');
      await Promise.all([caller.hears(callee.hz), callee.hears(caller.hz)]);
      await callee.hold();
      await callee.resume();
      await callee.hangup();
      await caller.is('ended');
    }
  });

  test('a new certificate is shown while a call goes on, and a broken one changes nothing', async () => {
    const alice = await phone('1001', 210, 'TLS');
    const bob = await phone('1002', 211, 'TLS');
    const pair = await PhonePair.call(farm, alice, bob, '1002');
    const files = join(farm.state, 'new');
    const made = await ownCertificate(files, { domain, publicVip: farm.host(100) });
    const shows = async (): Promise<boolean> =>
      (await shownCertificate(farm.host(100))) === fingerprint(made.certificate);
    assert.equal(await shows(), false);
    await farm.reload(
      `${local}\nedge: { tcp: {}, tls: { certificate: ${files}/certificate.pem, key: ${files}/key.pem } }\n`,
    );
    assert.equal(await shows(), true);
    await writeFile(join(files, 'key.pem'), 'no key');
    const { code, stderr } = await farm.cli(['check', farm.configFile]);
    assert.equal(code, 1);
    assert.match(stderr, /test\.yaml:\d+:\d+: edge\.tls\.key: .*key\.pem cannot be read as a private key/);
    const reload = await farm.cli(['reload']);
    assert.equal(reload.code, 1);
    assert.match(reload.stderr, /the certificate that was in use stays: .*edge\.tls\.key: .*key\.pem cannot be read/);
    for (let i = 0; i < 3; i++) assert.equal(await shows(), true);
    await writeFile(join(files, 'key.pem'), made.key);
    await farm.json('reload');
    await pair.hear();
    await pair.hangup('callee');
  });

  for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
    test(`${signal} to the Kamailio that has a connection: sound goes on, and the phone that comes back has its call`, async () => {
      await farm.whole();
      const alice = await phone('1001', 210, 'TLS');
      const bob = await phone('1002', 211, 'TCP');
      const pair = await PhonePair.call(farm, alice, bob, '1002');
      const victim = await edgeOf('1001');
      await signalAll(victim, signal);
      if (signal === 'SIGSTOP') {
        await waitFor('it to be seen', async () => (await stateOf(victim)) === 'dead', { deadlineMs: 30_000 });
        void alice.request('OPTIONS', farm.uri('')).catch(() => undefined);
      }
      await waitFor('its connection to end', () => alice.isDisconnected);
      await pair.hear();
      // An answer that is spread to it until then is lost, and by a connection nobody asks again before Timer F.
      await waitFor('the VIPs to be on the others', async () => !(await members()).includes(victim));
      // As a phone does that lost its connection: it registers by a new one.
      await alice.connect();
      await register(alice, '1001', 2);
      if ((await edgeOf('1002')) === victim) {
        await bob.connect();
        await register(bob, '1002', 2);
      }
      // Ours to it, though the route of its dialog names the connection that is gone; and its own.
      await pair.holdAndResume();
      // Our BYE may go by the one that has come back: it knows where the phone is now.
      if (signal === 'SIGKILL')
        await waitFor('it to have traffic again', async () => (await members()).includes(victim), {
          deadlineMs: 30_000,
        });
      await pair.hangup(signal === 'SIGSTOP' ? 'caller' : 'callee');
    });
  }

  /** The Kamailios that the VIPs are on. */
  async function members(): Promise<string> {
    const lines = (await readFile(statePaths(farm.state).daemonLog, 'utf8')).split('\n');
    return lines.findLast(line => line.includes('the VIPs are on')) ?? '';
  }

  /** A Kamailio is many processes. */
  async function signalAll(node: string, signal: NodeJS.Signals): Promise<void> {
    const leader = readProcess(await farm.pid(node));
    for (const { pid } of leader ? sessionOf(leader) : []) process.kill(pid, signal);
  }

  async function stateOf(node: string): Promise<string | undefined> {
    return (await farm.status()).nodes.find(({ name }) => name === node)?.state;
  }

  test('a phone without a connection when its call node dies has its call when it is back', async () => {
    await farm.whole();
    const alice = await phone('1001', 214, 'TLS');
    const bob = await phone('1002', 215, 'UDP');
    const pair = await PhonePair.call(farm, alice, bob, '1002');
    const lost = async (): Promise<number> => {
      const nodes = await farm.json<NodeStatus[]>('nodes');
      return nodes.reduce((sum, { counters }) => sum + (counters?.['failed.flow'] ?? 0), 0);
    };
    const [before, lostBefore, node] = [pair.reinvites, await lost(), await pair.node(farm)];
    await alice.disconnect();
    process.kill(await farm.pid(node), 'SIGKILL');
    await waitFor('a re-INVITE that found no connection', async () => (await lost()) > lostBefore);
    await alice.connect();
    await register(alice, '1001', 2);
    await pair.reinvited(before);
    await pair.soundsAgain();
    await pair.hangup('callee');
  });

  async function gateway(host: number, transport: 'TCP' | 'TLS'): Promise<SipEndpoint> {
    const port = transport === 'TCP' ? 5070 : 5071;
    const listens = { transport, certificate: provider };
    const one = await SipEndpoint.open({ address: farm.host(host), port, user: 'gateway', codecs: ['PCMA'], listens });
    phones.push(one);
    return one;
  }

  async function gatewayStates(trunk: string): Promise<string> {
    const found = (await farm.json<TrunkStatus[]>('trunks')).find(one => one.trunk === trunk);
    return found?.gateways.map(({ state }) => state).join(' ') ?? '';
  }

  for (const [trunk, transport, host, prefix] of [
    ['tcp', 'TCP', 220, '71'],
    ['tls', 'TLS', 207, '72'],
  ] as const) {
    test(`a call to a trunk on ${transport} is heard, held, and outlives its call node and a Kamailio`, async () => {
      await farm.whole();
      const carrier = await gateway(host, transport);
      await waitFor('the gateway to be up', async () => (await gatewayStates(trunk)).endsWith('up'), {
        deadlineMs: 60_000,
        describe: () => gatewayStates(trunk),
      });
      const alice = await phone('1001', 210, 'UDP');
      const pair = await PhonePair.call(farm, alice, carrier, `${prefix}001`);
      await pair.holdAndResume();
      const before = pair.reinvites;
      process.kill(await farm.pid(await pair.node(farm)), 'SIGKILL');
      await pair.reinvited(before);
      await pair.soundsAgain();
      // What is under way in that moment is lost, as TCP repeats nothing.
      await farm.kill('kamailio-1');
      await farm.whole();
      await pair.holdAndResume();
      await pair.hangup('callee');
    });
  }

  test('a trunk on TLS: dead, of another certificate and with 503, each is followed by the next one; SRTP, and registered where one grants it', async () => {
    await farm.whole();
    const alice = await phone('1001', 210, 'UDP');
    const pair = await PhonePair.call(farm, alice, far.endpoint, '73001');
    const isSecure = (): void =>
      assert.deepEqual([pair.callee.media.remote?.transport, pair.callee.audio.unauthentic], ['RTP/SAVP', 0]);
    isSecure();
    await pair.holdAndResume();
    const before = pair.reinvites;
    process.kill(await farm.pid(await pair.node(farm)), 'SIGKILL');
    await pair.reinvited(before);
    await pair.soundsAgain();
    isSecure();
    await pair.hangup('callee');
    const { legs } = await recordOf(farm, pair.caller.callId);
    const peers = legs.slice(1).map(({ peer }) => /\.(\d+):5071/.exec(peer)?.[1]);
    assert.deepEqual(peers, ['224', '225', '226', '227']);
    assert.deepEqual(
      legs.slice(1, 4).map(({ sipStatus }) => sipStatus),
      [408, 408, 503],
    );
    assert.equal(wrong.ladder.rows().length, 0);
    await waitFor('the registration', () => far.contacts.length === 1, { deadlineMs: 120_000 });
    assert.match(far.contacts[0] ?? '', /^sip:4930901822@[\d.]+:5061;transport=tls;line=/);
  });

  test('SRV records name several gateways on TLS: the next one is tried, by priority', async () => {
    await farm.whole();
    const backup = await SipEndpoint.open({
      ...{
        address: names.backupAddress,
        port: 5071,
        codecs: ['PCMA'],
        listens: { transport: 'TLS', certificate: provider },
      },
    });
    phones.push(backup);
    const alice = await phone('1001', 210, 'UDP');
    const pair = await PhonePair.call(farm, alice, backup, '74001');
    await pair.holdAndResume();
    await pair.hangup('callee');
    const { legs } = await recordOf(farm, pair.caller.callId);
    const peers = legs.slice(1).map(({ peer }) => peer.replace(/^.*@/, ''));
    assert.deepEqual(
      peers,
      [names.dead, names.backup].map(host => `${host}:5071;transport=tls`),
    );
  });

  test('a trunk on TCP is registered with', async () => {
    await waitFor('the registration', () => onTcp.contacts.length === 1, { deadlineMs: 60_000 });
    assert.match(onTcp.contacts[0] ?? '', /^sip:4930901821@[\d.]+:5060;transport=tcp;line=/);
  });

  test('a trunk on TLS is registered with, and its calls come by its source', async () => {
    await waitFor('the registration', () => registrar.contacts.length === 1, { deadlineMs: 60_000 });
    assert.match(registrar.contacts[0] ?? '', /^sip:4930901820@[\d.]+:5061;transport=tls;line=/);
    const bob = await phone('1002', 211, 'TLS');
    for (const caller of [registrar.endpoint, await gateway(207, 'TLS')]) {
      const called = caller === registrar.endpoint ? (registrar.contacts[0] ?? '') : farm.uri('4930901820');
      const pair = await PhonePair.ring(caller, bob, called, {
        headers: [['To', '<sip:4930901820@provider.example>']],
        proxy: { address: farm.host(100), port: ports.TLS },
      });
      await PhonePair.answer(pair.caller, pair.callee);
      await pair.hangup('callee');
    }
  });

  test('a daemon that starts while a file of authorities is broken goes on with what it held, and says so until it is mended', async () => {
    await farm.whole();
    const faults = async (): Promise<string> => (await farm.status()).faults.join();
    assert.equal(await faults(), '');
    const carrier = await gateway(221, 'TLS');
    await writeFile(authorities, 'garbage');
    try {
      await farm.daemonAfter(await farm.killDaemon());
      await farm.whole();
      await waitFor('the gateway to be up', async () => (await gatewayStates('tls')).startsWith('up'), {
        deadlineMs: 60_000,
        describe: () => gatewayStates('tls'),
      });
      assert.match(await faults(), /what it held when it was right is used: .*provider\.pem has no certificate in it/);
      const pair = await PhonePair.call(farm, await phone('1001', 210, 'UDP'), carrier, '72001');
      await pair.hangup('callee');
      const { code, stderr } = await farm.cli(['reload']);
      assert.notEqual(code, 0);
      assert.match(stderr, /provider\.pem has no certificate in it/);
    } finally {
      await writeFile(authorities, provider.certificate);
    }
    assert.equal((await farm.cli(['reload'])).code, 0);
    assert.equal(await faults(), '');
  });

  test('a gateway whose certificate has another name is down, and the log says why', async () => {
    const carrier = await gateway(223, 'TLS');
    const wrong = `\n  wrong: { gateways: ['sips:.223:5071'], probeSeconds: 1, tls: { authorities: ${authorities}, name: sip.other.example } }\n`;
    await farm.reload(`${local.replace('trunks:\n', `trunks:${wrong}`)}\nedge: { tcp: {}, tls: {} }\n`);
    const said = /gateway [\d.]+223:5071;transport=tls of wrong is down: its certificate is refused/;
    await waitFor(
      'the log to say so',
      async () => said.test(await readFile(statePaths(farm.state).daemonLog, 'utf8')),
      {
        deadlineMs: 60_000,
      },
    );
    assert.equal(carrier.calls.length, 0);
    assert.ok(carrier.ladder.rows().every(({ message }) => message.method === 'OPTIONS'));
  });
});

function fingerprint(certificate: string): string {
  return new X509Certificate(certificate).fingerprint256;
}

async function shownCertificate(host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: ports.TLS, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? '');
      socket.destroy();
    });
    socket.on('error', reject);
  });
}
