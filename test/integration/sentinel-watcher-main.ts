// A process of its own that watches one Asterisk and prints each verdict: for a test that makes it stand still.
import { silentLogger } from '../../core/log.js';
import { Sentinel } from '../../core/sentinel/sentinel.js';
import type { WatchedNode } from '../../core/sentinel/sentinel-protocol.js';

const { address, node } = JSON.parse(process.argv[2] ?? '{}') as { address: string; node: WatchedNode };
const sentinel = new Sentinel({
  address,
  log: silentLogger,
  onVerdict: ({ health }) => process.stdout.write(`${health}\n`),
});
await sentinel.open();
sentinel.stream(node.name, true);
sentinel.watch(node);
