// Kills whatever runs while no daemon does, with calls up, and tells what became of each: `node dist/test/bench/deaths/deaths.bench.js [PART OF A NAME …]`,
// with `=NAME` for one. All of it takes about ten minutes.
import { localConfig } from '../../harness/local-config.js';
import { Lab } from './death-lab.js';
import { scenes } from './death-scenes.js';

const chosen = process.argv.slice(2);
const isChosen = (name: string): boolean =>
  chosen.length === 0 || chosen.some(part => name === part.slice(1) || name.includes(part));

const config = (await localConfig()).replace(/call: 2/, 'call: 3');
const lab = await Lab.open(config);
let failed = 0;
try {
  for (const [name, run] of scenes.filter(scene => isChosen(scene[0])))
    if (!(await lab.scene(name, () => run(lab, config)))) failed++;
} finally {
  const left = await lab.close();
  for (const one of left) console.log(`left after down: ${one}`);
  console.log(`${failed} do not hold`);
  process.exit(failed + left.length === 0 ? 0 : 1);
}
