// Calls whose call node dies: their sessions are re-created on another one, and the people on the phone stay where they were.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { Farm } from '../harness/farm.js';
import { leftovers } from '../harness/leftovers.js';
import { PhonePair } from '../harness/phone-pair.js';
import { projectRoot } from '../harness/project-root.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';

async function configFor(twoParty: string): Promise<string> {
  const config = await readFile(join(projectRoot, 'examples/local.yaml'), 'utf8');
  return config.replace('twoParty: call-node', `twoParty: ${twoParty}`);
}

for (const twoParty of ['call-node', 'conference-farm']) {
  describe(`a call node dies under calls mixed on the ${twoParty}`, () => {
    let farm: Farm;
    let alice: SipEndpoint;
    let bob: SipEndpoint;

    before(async () => {
      farm = await Farm.up({ config: await configFor(twoParty) });
      alice = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] });
      bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMU'] });
    });
    after(async () => {
      await Promise.allSettled([alice.close(), bob.close()]);
      await farm.down();
    });
    afterEach(async () => {
      await farm.idle();
      await waitFor('nothing to be left', async () => (await leftovers(farm)).length === 0, {
        deadlineMs: 15_000,
        describe: async () => (await leftovers(farm)).join('\n'),
      });
      await up(farm);
    });

    for (const by of ['caller', 'callee'] as const) {
      test(
        `an answered call goes on, both phones can hold, resume, and the ${by} hangs up`,
        { timeout: 60_000 },
        async t => {
          const pair = await PhonePair.call(farm, alice, bob);
          const node = await pair.node(farm);
          const { reinvites } = pair;
          pair.calls.forEach(call => call.audio.resetReport());
          process.kill(await farm.pid(node), 'SIGKILL');
          await pair.reinvited(reinvites);
          await pair.soundsAgain();
          const silences = pair.calls.map(call => Math.round(call.audio.report().largestGapMs));
          t.diagnostic(`silence: caller ${silences[0] ?? '?'} ms, callee ${silences[1] ?? '?'} ms`);
          assert.notEqual(await pair.node(farm), node);
          await pair.holdAndResume();
          await pair.hangup(by);
        },
      );
    }
  });
}

/** Every node is up again. */
async function up(farm: Farm): Promise<void> {
  await waitFor('every node to be up', async () => (await farm.status()).nodes.every(node => node.state === 'up'), {
    deadlineMs: 30_000,
    everyMs: 200,
  });
}
