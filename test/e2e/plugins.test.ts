// The three example plugins on a farm, with the config of the tutorial: what their callers and callees see of them.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import type { CallDetailRecord } from '../../core/plugin-api.js';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import type { IncomingCall } from '../harness/incoming-call.js';
import { readTutorial } from '../harness/plugin-tutorial.js';
import { projectRoot } from '../harness/project-root.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import type { SipMessage } from '../harness/sip-message.js';
import { waitFor } from '../harness/wait-for.js';

/** The tutorial's, on a farm no larger than it must be, with a rate service of the test's. */
async function configFor(rates: Server): Promise<string> {
  const file = (await readTutorial()).find(block => 'path' in block && block.path === 'farm.yaml');
  assert.ok(file && 'path' in file);
  const { port } = rates.address() as { port: number };
  return file.text
    .replace('domain:', 'farm: { kamailio: 2, call: 1, conference: 1, registrar: 1, rtpengine: 1 }\ndomain:')
    .replaceAll('from: ./', `from: ${join(projectRoot, 'examples')}/`)
    .replace('127.0.0.1:8088', `127.0.0.1:${port}`)
    .replace('callsPerMinute: 10', 'callsPerMinute: 3');
}

describe('the plugins of the tutorial on a farm', () => {
  let rates: Server;
  let farm: Farm;
  let caller: SipEndpoint;
  let lab: SipEndpoint;
  let west: SipEndpoint;
  let onWest: (call: IncomingCall) => Promise<void> | void;
  const invites: { lab: SipMessage[]; west: SipMessage[] } = { lab: [], west: [] };

  before(async () => {
    rates = createServer((_, response) => response.end(JSON.stringify({ trunks: ['west', 'lab'] })));
    await new Promise<void>(resolve => rates.listen(0, '127.0.0.1', resolve));
    farm = await Farm.up({ config: await configFor(rates) });
    caller = await SipEndpoint.open({ address: farm.host(200), codecs: ['PCMA'] });
    lab = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMA'] });
    west = await SipEndpoint.open({ address: farm.host(209), codecs: ['PCMA'] });
    lab.onInvite(async call => {
      invites.lab.push(call.invite);
      await call.answer();
    });
    west.onInvite(async call => {
      invites.west.push(call.invite);
      await onWest(call);
    });
  });
  after(async () => {
    rates.close();
    rates.closeAllConnections();
    await closeAll(caller, lab, west);
    await farm.down();
  });
  afterEach(() => farm.idle());

  const call = (number: string, as: string): ReturnType<SipEndpoint['invite']> =>
    caller.invite(farm.uri(number), { from: `<sip:${as}@${farm.host(200)}>;tag=${as}${number}` });
  const logged = async (sipCallId: string, message: RegExp): Promise<boolean> => {
    const lines = (await readFile(join(farm.state, 'log', 'daemon.log'), 'utf8'))
      .split('\n')
      .filter(line => line !== '');
    const parsed = lines.map(line => JSON.parse(line) as { call?: string; msg: string; sipCallId?: string });
    const id = parsed.find(line => line.sipCallId === sipCallId)?.call;
    return parsed.some(line => id !== undefined && line.call === id && message.test(line.msg));
  };
  const routeOf = async (sipCallId: string): Promise<string | null> => {
    const record = await waitFor('the record', async () => {
      const lines = (await readFile(join(farm.state, 'cdr.jsonl'), 'utf8')).split('\n').filter(line => line !== '');
      return lines.map(line => JSON.parse(line) as CallDetailRecord).find(one => one.sipCallIds.includes(sipCallId));
    });
    return record.route;
  };

  test('a call goes where the service says, with the headers and the number of that trunk', async () => {
    onWest = one => one.reject(503);
    const placed = await call('70001', '5550100');
    await placed.answered();
    const [toWest, toLab] = [invites.west.at(-1), invites.lab.at(-1)];
    assert.ok(toWest && toLab);
    assert.equal(toWest.get('X-Account'), 'holdfast 70001');
    assert.match(toWest.get('From'), /sip:\+15550100@/);
    assert.equal(toLab.get('X-Account'), '');
    assert.match(toLab.get('From'), /sip:5550100@/);
    await placed.hangup();
    assert.equal(await routeOf(placed.callId), 'least-cost');
  });

  test('a blocked number is refused with 603, however it is written, and rings nobody', async () => {
    const before = invites.lab.length + invites.west.length;
    for (const number of ['0900123', '008815551']) {
      const placed = await call(number, '5550101');
      assert.equal(await placed.rejected(), 603);
    }
    assert.equal(invites.lab.length + invites.west.length, before);
  });

  test('a caller who calls too often is refused with 603, and others are not', async () => {
    const statusOf = async (as: string): Promise<number> => (await call('5550', as)).rejected();
    for (let i = 0; i < 3; i++) assert.equal(await statusOf('5550102'), 404);
    assert.equal(await statusOf('5550102'), 603);
    assert.equal(await statusOf('5550103'), 404);
  });

  test('without the service the call goes to the fallback, and the log says so', async () => {
    rates.close();
    rates.closeAllConnections();
    const placed = await call('70002', '5550104');
    await placed.answered();
    assert.match(invites.lab.at(-1)?.startLine ?? '', /sip:70002@/);
    await placed.hangup();
    await waitFor('the line', () => logged(placed.callId, /the rate service did not answer/));
  });

  test('what no plugin is for is routed by routing', async () => {
    const placed = await call('9001', '5550105');
    await placed.answered();
    await placed.hangup();
    assert.equal(await routeOf(placed.callId), '9001');
  });
});
