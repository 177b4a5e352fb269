// Cuts servers off for a test: nft rules that drop packets that match, until they are taken away again.
import { execFileSync } from 'node:child_process';
import type { FarmPlan } from '../../core/farm/farm-plan.js';

/** `match` as nft has it, e.g. `ip daddr 127.9.9.31 udp dport 5060`. The function that is given back ends it, once. */
export function cut(plan: FarmPlan, match: string): () => void {
  const table = `holdfast_cut_${plan.subnet.replace(/\/.*$/, '').replaceAll('.', '_')}`;
  const rules = `table ip ${table} { chain input { type filter hook input priority 0; ${match} drop\n}\n}`;
  execFileSync('nft', ['-f', '-'], { input: rules });
  let isCut = true;
  return () => {
    if (isCut) execFileSync('nft', ['delete', 'table', 'ip', table]);
    isCut = false;
  };
}
