// Loads the composition only for the commands that need it: the others start faster, and work when a plugin is broken.
import { HoldfastError } from '../errors.js';
import type { Composition } from './composition.js';

const needed = ['startDaemon', 'checkConfig', 'renderFarm', 'demoCall'] as const;

export async function loadComposition(): Promise<Composition> {
  const loaded: unknown = await import(new URL('./compose.js', import.meta.url).href);
  const module = loaded as Partial<Composition>;
  const missing = needed.filter(name => typeof module[name] !== 'function');
  if (missing.length > 0) throw new HoldfastError('HOST_FAILED', `compose.js lacks ${missing.join(', ')}`);
  return module as Composition;
}
