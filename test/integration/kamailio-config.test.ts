// `kamailio -c` on what the generator writes: the real parser and the real modules find no fault.
import { after, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { planFarm } from '../../core/farm/farm-plan.js';
import { KamailioRenderer } from '../../kamailio/kamailio-renderer.js';
import { plainEdge } from '../harness/plain-edge.js';

const run = promisify(execFile);
const sizes = { kamailio: 1, call: 2, conference: 1, registrar: 1, rtpengine: 1 };
const variants = [
  { what: 'without HOMER', homer: undefined, streams: {} },
  { what: 'with HOMER', homer: '192.0.2.60:9060', streams: {} },
  { what: 'with TCP', homer: undefined, streams: { tcp: 5060 } },
  { what: 'with TLS', homer: undefined, streams: { tls: 5061 } },
];

describe('The generated kamailio.cfg', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-cfg-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  for (const { what, homer, streams } of variants) {
    it(`is valid ${what}`, async () => {
      const plan = planFarm('127.40.0.0/24', sizes, {}, streams);
      const renderer = new KamailioRenderer({
        connections: () => ({ mostConnections: 200, strangerSilenceSeconds: 30 }),
        certificate: () => ({ certificate: '', key: '' }),
        tlsAfterFork: () => '/cache/tls-after-fork.so',
        plan: () => plan,
        domain: () => 'holdfast.test',
        leastExpiresSeconds: () => 60,
        homer: () => homer,
        secrets: {
          routeKeys: { current: 'k1', keys: { k1: 'key' } },
          maskKey: 'mask',
          nonceSecret: 'nonce',
          lineKey: 'line',
          hepKey: 'hep',
        },
        state: () => ({
          nodes: plan.nodes.map(({ name, farm, address }) => ({ name, farm, address, state: 'up' })),
          ...plainEdge,
          engines: [],
          policies: [{ id: 'p', codecs: ['PCMA'] }],
          defaultPolicy: 'p',
          fenced: [],
        }),
      });
      const { files } = renderer.setup(
        plan.nodes.find(node => node.farm === 'kamailio')!,
        folder,
      );
      for (const file of files) {
        await mkdir(dirname(join(folder, file.path)), { recursive: true });
        await writeFile(join(folder, file.path), file.content);
      }
      const { stderr } = await run('/usr/sbin/kamailio', ['-c', '-E', '-f', join(folder, 'kamailio.cfg')]);
      assert.match(stderr, /config file ok/);
      assert.doesNotMatch(stderr, /ERROR|CRITICAL/);
    });
  }
});
