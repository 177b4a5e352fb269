// What Prometheus reads: a scrape of a farm with a call up, after the death of the call's node.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import { localConfig } from '../harness/local-config.js';
import { PhonePair } from '../harness/phone-pair.js';
import { projectRoot } from '../harness/project-root.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';

/** `name{label="value",…}` → value. */
type Scrape = ReadonlyMap<string, number>;

describe('a scrape', () => {
  let farm: Farm;
  let alice: SipEndpoint;
  let bob: SipEndpoint;

  before(async () => {
    const config = await localConfig();
    const more = [
      "  probed: { gateways: ['.208:5060'], probeSeconds: 5 }",
      // Nobody is there: its metric is 0.
      "  provider: { gateways: ['.209:5060'], register: {}, credentials: { username: us, secret: a-secret } }",
    ];
    const trunks = config.replace('trunks:\n', `trunks:\n${more.join('\n')}\n`);
    farm = await Farm.up({ config: `${trunks}\nmetrics: { listen: '.2:9464' }\n` });
    alice = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] });
    bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMA'] });
  });
  after(async () => {
    await closeAll(alice, bob);
    await farm.down();
  });

  const scrape = async (): Promise<Scrape> => {
    const response = await fetch(`http://${farm.host(2)}:9464/metrics`);
    assert.equal(response.status, 200);
    assert.match(response.headers.get('content-type') ?? '', /^(text\/plain|application\/openmetrics-text)/);
    const lines = (await response.text()).split('\n').filter(line => line !== '' && !line.startsWith('#'));
    return new Map(
      lines.map(line => {
        const [, name = '', value = ''] = /^(\S+?(?:\{.*\})?) (\S+)$/.exec(line) ?? [];
        assert.ok(name !== '' && Number.isFinite(Number(value)), `a line that Prometheus does not read: ${line}`);
        return [name, Number(value)] as const;
      }),
    );
  };
  const sum = (found: Scrape, start: string): number =>
    [...found].reduce((total, [name, value]) => (name.startsWith(start) ? total + value : total), 0);

  test('counts a call, its recovery and its end as they are', { timeout: 90_000 }, async () => {
    const pair = await PhonePair.call(farm, alice, bob);
    assert.equal(sum(await scrape(), 'holdfast_calls_active{state="confirmed"}'), 1);

    const before = pair.reinvites;
    process.kill(await farm.pid(await pair.node(farm)), 'SIGKILL');
    await pair.reinvited(before);
    await pair.hear();
    await farm.whole();
    await pair.hangup('caller');
    await farm.idle();

    const { nodes } = await farm.status();
    // One that was slow to answer is suspect for a moment.
    const found = await waitFor('every node to be up', async () => {
      const now = await scrape();
      const isUp = (name: string, kind: string): boolean =>
        now.get(`holdfast_node_state{node="${name}",farm="${kind}",state="up"}`) === 1;
      return nodes.every(node => isUp(node.name, node.farm)) && now;
    });
    assert.equal(sum(found, 'holdfast_calls_active'), 0);
    assert.equal(sum(found, 'holdfast_calls_started_total'), 1);
    assert.equal(sum(found, 'holdfast_calls_ended_total{outcome="answered"'), 1);
    assert.equal(sum(found, 'holdfast_recovered_sessions_total{farm="call",result="recovered"}'), 2);
    assert.equal(sum(found, 'holdfast_legs_recovering'), 0);
  });

  test('has every metric that docs/metrics.md names, and the dashboard asks for no other', async () => {
    const found = await waitFor('every Kamailio and the gateway to be asked', async () => {
      const now = await scrape();
      const answers = sum(now, 'holdfast_trunk_gateway_up{trunk="probed"') > 0;
      return answers && sum(now, 'holdfast_edge_messages_total') > 0 && now;
    });
    const names = new Set([...found.keys()].map(name => name.replace(/\{.*$/, '').replace(/_(bucket|sum|count)$/, '')));
    const documented = await read('docs/metrics.md');
    // Labels begin to be when there is something to count.
    const onlyWhenTheyCount = /_(refused|limited|limit|lost|failures)_|webhook/;
    assert.deepEqual(
      namesIn(documented.slice(0, documented.indexOf('## What to be woken for'))).filter(
        name => !names.has(name) && !onlyWhenTheyCount.test(name),
      ),
      [],
    );
    const all = new Set(namesIn(documented));
    assert.deepEqual(
      namesIn(await read('docs/grafana-dashboard.json')).filter(
        name => !all.has(name.replace(/_(bucket|sum|count)$/, '')),
      ),
      [],
    );
  });
});

async function read(path: string): Promise<string> {
  return readFile(join(projectRoot, path), 'utf8');
}

function namesIn(text: string): string[] {
  return [...new Set(text.match(/\bholdfast_[a-z_]+[a-z]\b/g) ?? [])];
}
