// Gateways of trunks on TCP and TLS through three real Kamailios: each has its own connections, and any of them carries any message of a call.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { ownCertificate } from '../../core/farm/edge-certificate.js';
import { gatewayRoute, type EdgeCertificate, type EdgeGateway, type EdgeHost } from '../../core/ports/edge.js';
import { IncomingCall } from '../harness/incoming-call.js';
import type { OutgoingCall } from '../harness/outgoing-call.js';
import type { SipCall } from '../harness/sip-call.js';
import { SipEndpoint, type EndpointOptions } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';
import { EdgeLab, labDomain } from './kamailio-lab.js';

const streams = { tcp: 5060, tls: 5061, perSource: 20 };
let lab: EdgeLab;
let folder: string;
/** Signed by itself: whoever trusts it trusts nobody else. */
let provider: EdgeCertificate;
const endpoints: SipEndpoint[] = [];
const asked: string[] = [];

before(async () => {
  lab = await EdgeLab.up(streams);
  folder = await mkdtemp(join(tmpdir(), 'holdfast-gateways-'));
  provider = await ownCertificate(folder, { domain: 'sip.provider.example', publicVip: lab.address(208) });
});
after(async () => {
  await lab.down();
  await rm(folder, { recursive: true, force: true });
});
afterEach(async () => {
  await Promise.all(endpoints.splice(0).map(one => one.close()));
  await lab.endSessions();
});

async function open(options: Omit<EndpointOptions, 'address'> & { host: number }): Promise<SipEndpoint> {
  const endpoint = await SipEndpoint.open({ ...options, address: lab.address(options.host) });
  endpoints.push(endpoint);
  return endpoint;
}

function gateway(transport: 'TCP' | 'TLS', reuses = false, port = 5071): Promise<SipEndpoint> {
  return open({
    ...{ host: 208, port, codecs: ['PCMA'], user: 'gateway' },
    listens: { transport, certificate: provider, reuses, asked: name => asked.push(name) },
  });
}

async function known(
  gateway: Omit<EdgeGateway, 'trunk' | 'id'>,
  hosts: readonly EdgeHost[] = [],
): Promise<EdgeGateway> {
  const one = { id: `g${gateways++}`, trunk: 'lab', ...gateway };
  await lab.apply({ gateways: [one], hosts });
  return one;
}
let gateways = 1;

/** As an Asterisk dials it for the daemon. */
async function dial(
  node: SipEndpoint,
  to: EdgeGateway,
  options: { callId: string; host?: string },
): Promise<OutgoingCall> {
  const routes = [`<sip:${lab.plan.privateVip}:5060;lr>`, gatewayRoute(lab.plan.privateVip, to)];
  const { host = `${lab.address(208)}:5071` } = options;
  const target = `sip:70001@${host};transport=${to.transport}`;
  return node.invite(target, {
    ...{ from: `<sip:1002@${labDomain}>;tag=t`, proxy: lab.privateVip, callId: options.callId },
    headers: routes.map(value => ['Route', value] as const),
  });
}

async function hearEachOther(a: SipCall, b: SipCall): Promise<void> {
  a.audio.sendTone(440);
  b.audio.sendTone(660);
  await b.audio.hears(440);
  await a.audio.hears(660);
}

for (const transport of ['TCP', 'TLS'] as const) {
  const lower = transport === 'TCP' ? 'tcp' : 'tls';
  const wish = (): Omit<EdgeGateway, 'trunk' | 'id'> =>
    transport === 'TCP'
      ? { transport: 'tcp' }
      : { transport: 'tls', tls: { name: 'sip.provider.example', verify: true, authorities: provider.certificate } };

  describe(`A gateway on ${transport}`, () => {
    for (const reuses of [false, true]) {
      it(`is called, and talks by ${reuses ? 'our connections' : 'its own'}`, async () => {
        const carrier = await gateway(transport, reuses);
        const to = await known(wish());
        const node = await open({ host: 31, codecs: ['PCMU'] });
        const given = carrier.incoming(15_000);
        const call = await dial(node, to, { callId: `${transport}-${reuses}` });
        const rung = await given;
        assert.ok(
          node.retransmissions < lab.nodes('kamailio').length,
          'the first call waits for a connection, not for each Kamailio to have one',
        );
        assert.match(rung.invite.get('Via'), new RegExp(`^SIP/2.0/${transport} ${lab.plan.publicVip}:`));
        assert.match(rung.invite.get('Record-Route'), new RegExp(`^<sip:[\\d.]+:506\\d;transport=${lower};hf=`));
        rung.ring();
        await call.ringing();
        await rung.answer();
        await call.answered();
        await hearEachOther(rung, call);
        for (let i = 0; i < 6; i++) assert.equal((await call.request('OPTIONS')).status, 200);
        for (let i = 0; i < 6; i++) assert.equal((await rung.request('OPTIONS')).status, 200);
        assert.equal((await rung.reinvite()).status, 200);
        assert.equal((await call.reinvite()).status, 200);
        assert.equal(reuses ? await rung.hangup() : await call.hangup(), 200);
      });
    }

    it('that has a name and no port is where the daemon says, and has the certificate of its name', async () => {
      const carrier = await gateway(transport, false, transport === 'TCP' ? 5060 : 5061);
      const host = 'sip.provider.example';
      const to = await known(wish(), [{ name: host, address: lab.address(208) }]);
      const node = await open({ host: 31, codecs: ['PCMU'] });
      const given = carrier.incoming(15_000);
      const call = await dial(node, to, { callId: `named-${transport}`, host });
      const rung = await given;
      assert.equal(rung.invite.requestUri, `sip:70001@${host};transport=${lower}`);
      await rung.answer();
      await call.answered();
      await hearEachOther(rung, call);
      assert.equal(await call.hangup(), 200);
    });

    it('is cancelled, and refuses', async () => {
      const carrier = await gateway(transport);
      const to = await known(wish());
      const node = await open({ host: 31, codecs: ['PCMU'] });
      const given = carrier.incoming(15_000);
      const first = await dial(node, to, { callId: `${transport}-cancelled` });
      (await given).ring();
      await first.ringing();
      assert.equal(await first.cancel(), 487);
      carrier.onInvite(call => call.reject(486));
      const second = await dial(node, to, { callId: `${transport}-refused` });
      assert.equal(await second.rejected(), 486);
    });

    it('is connected to again after it has closed, and the death of a Kamailio', async () => {
      const carrier = await gateway(transport);
      const to = await known(wish());
      const node = await open({ host: 31, codecs: ['PCMU'] });
      const given = carrier.incoming(15_000);
      const call = await dial(node, to, { callId: `${transport}-again` });
      await (await given).answer();
      await call.answered();
      await carrier.connect();
      for (let i = 0; i < 4; i++) assert.equal((await call.request('OPTIONS')).status, 200);
      const [first, ...others] = lab.nodes('kamailio');
      assert.ok(first);
      await lab.balancer.apply(others);
      await lab.setNodeState(first.name, 'dead');
      for (let i = 0; i < 4; i++) assert.equal((await call.request('OPTIONS')).status, 200);
      const rung = carrier.calls.find(one => one instanceof IncomingCall);
      assert.equal(await rung?.hangup(), 200);
      await lab.setNodeState(first.name, 'up');
      await lab.balancer.apply(lab.nodes('kamailio'));
    });
  });
}

describe('The certificate of a gateway', () => {
  const tries: readonly (readonly [string, string, boolean, boolean])[] = [
    ['of another name is refused', 'sip.other.example', true, false],
    ['of its address is taken', '208', true, true],
    ['of any name is taken where nothing is verified', 'sip.other.example', false, true],
  ];
  for (const [what, written, verify, taken] of tries) {
    it(what, async () => {
      const carrier = await gateway('TLS');
      const name = written === '208' ? lab.address(208) : written;
      const authorities = verify ? { authorities: provider.certificate } : {};
      const to = await known({ transport: 'tls', tls: { name, verify, ...authorities } });
      const node = await open({ host: 31, codecs: ['PCMU'] });
      carrier.onInvite(call => call.reject(486));
      const before = await lab.counter('refused.certificate');
      const call = await dial(node, to, { callId: `certificate-${written}-${verify}` });
      if (taken) assert.equal(await call.rejected(), 486);
      else await waitFor('it to be refused', async () => (await lab.counter('refused.certificate')) > before);
      assert.equal(carrier.calls.length, taken ? 1 : 0);
    });
  }

  it('of an authority that nobody knows is refused', async () => {
    const carrier = await gateway('TLS');
    const to = await known({ transport: 'tls', tls: { name: 'sip.provider.example', verify: true } });
    const node = await open({ host: 31, codecs: ['PCMU'] });
    const { callId } = await dial(node, to, { callId: 'unknown-authority' });
    await waitFor('the INVITE to have been sent again', () => node.retransmissions > 1);
    // A Kamailio may still send what is left of the call before, whose gateway was at this address.
    const ofIt = carrier.ladder.rows().filter(({ message }) => message.get('Call-ID') === callId);
    assert.deepEqual(ofIt, []);
  });
});

describe('A sips: URI', () => {
  it('is refused with 416, by TLS too', async () => {
    const to = { address: lab.plan.publicVip, port: streams.tls };
    const phone = await open({ host: 210, user: '1001', domain: labDomain, connection: { transport: 'TLS', to } });
    const uri = `sips:1002@${lab.plan.publicVip}`;
    for (const method of ['INVITE', 'REGISTER'])
      assert.equal((await phone.request(method, uri, { proxy: to })).status, 416);
    const contact = [['Contact', '<sips:1001@192.0.2.1>']] as const;
    assert.equal(
      (await phone.request('REGISTER', uri.replace('sips', 'sip'), { proxy: to, headers: contact })).status,
      416,
    );
  });
});
