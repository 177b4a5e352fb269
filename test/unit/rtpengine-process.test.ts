// What one engine's files and process look like.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HoldfastError } from '../../core/errors.js';
import { planFarm } from '../../core/farm/farm-plan.js';
import { isRestart } from '../../rtpengine/engine-incarnation.js';
import { engineModel, EngineRenderer, renderEngineConfig } from '../../rtpengine/rtpengine-process.js';

const sizes = { kamailio: 1, call: 1, conference: 1, registrar: 1, rtpengine: 2 };
const node = planFarm('10.1.2.0/24', sizes).nodes.find(({ name }) => name === 'rtpengine-2')!;

/** The settings of a rendered file, without its comments. */
function settings(config: string): Record<string, string> {
  const lines = config.split('\n').filter(line => line.includes('=') && !line.startsWith('#'));
  return Object.fromEntries(lines.map(line => line.split(' = ', 2) as [string, string]));
}

describe('rtpengine process', () => {
  it('has an outside and an inside interface, and ng on the inside only', () => {
    assert.deepEqual(settings(renderEngineConfig(engineModel(node))), {
      table: '-1',
      interface: 'ext/10.1.2.82;int/10.1.2.92',
      'listen-ng': '10.1.2.92:2223',
      'listen-tcp-ng': '10.1.2.92:2223',
      'port-min': '20000',
      'port-max': '29999',
      'endpoint-learning': 'heuristic',
      'delete-delay': '0',
      timeout: '172800',
      'silent-timeout': '172800',
      'offer-timeout': '300',
      foreground: 'true',
      'log-stderr': 'true',
      'log-level': '5',
    });
  });

  it('runs unprivileged from its own file', () => {
    const setup = new EngineRenderer().setup(node, '/var/lib/farm/nodes/rtpengine-2');
    assert.equal(setup.process.user, 'holdfast-rtpengine');
    assert.equal(setup.process.args[0], '--config-file=/var/lib/farm/nodes/rtpengine-2/rtpengine.conf');
    assert.deepEqual(
      setup.files.map(({ path, mode }) => [path, mode]),
      [['rtpengine.conf', 0o600]],
    );
  });

  it('is refused for a node of another farm', () => {
    const { external: _, ...inside } = node;
    assert.throws(
      () => engineModel({ ...inside, farm: 'call' }),
      error => HoldfastError.is(error, 'CONFIG_INVALID'),
    );
  });
});

describe('engine incarnation', () => {
  const before = { atMs: 100_000, uptimeSeconds: 50, statisticsRequests: 40 };

  it('stays the same while counters rise and the start time stands still', () => {
    assert.equal(isRestart(before, { atMs: 110_400, uptimeSeconds: 59, statisticsRequests: 41 }), false);
    assert.equal(isRestart(before, { atMs: 100_001, uptimeSeconds: 50, statisticsRequests: 40 }), false);
  });

  it('changes when uptime or counter fell', () => {
    assert.equal(isRestart(before, { atMs: 101_000, uptimeSeconds: 0, statisticsRequests: 0 }), true);
    assert.equal(isRestart(before, { atMs: 200_000, uptimeSeconds: 60, statisticsRequests: 3 }), true);
  });

  it('changes when the start time moved, whatever the counter says', () => {
    assert.equal(isRestart(before, { atMs: 200_000, uptimeSeconds: 60, statisticsRequests: 400 }), true);
  });
});
