// Cuts servers off for a test: nft rules that drop packets that match, until they are taken away again.
import { execFileSync } from 'node:child_process';

/** Of a farm, by its subnet. A match as nft has it, e.g. `ip daddr 127.9.9.31 udp dport 5060`. The function that is given back ends it, once. */
export function cut({ subnet }: { readonly subnet: string }, ...matches: readonly string[]): () => void {
  const table = `holdfast_cut_${subnet.replace(/\/.*$/, '').replaceAll('.', '_')}`;
  const drops = matches.map(match => `${match} drop\n`).join('');
  const rules = `table ip ${table} { chain input { type filter hook input priority 0; ${drops}}\n}`;
  execFileSync('nft', ['-f', '-'], { input: rules });
  let isCut = true;
  return () => {
    if (isCut) execFileSync('nft', ['delete', 'table', 'ip', table]);
    isCut = false;
  };
}
