// Module resolution for plugins from outside (node:module `register`): every plugin gets this daemon's own plugin API,
// and a package is looked for from the config file on. Runs in Node's loader thread.
import type { InitializeHook, ResolveHook } from 'node:module';

const scheme = 'holdfast-plugin:';

let apiUrl = '';

export const initialize: InitializeHook<{ readonly api: string }> = ({ api }) => {
  apiUrl = api;
};

/** A specifier that has Node resolve `name` as if the file `parent` had imported it. */
export function encodeImport(name: string, parent: string): string {
  return `${scheme}${encodeURIComponent(JSON.stringify({ name, parent }))}`;
}

export const resolve: ResolveHook = (specifier, context, nextResolve) => {
  // One instance: an error class or a schema of another copy would not be ours.
  if (specifier === 'holdfast/plugin-api') return { url: apiUrl, shortCircuit: true };
  if (!specifier.startsWith(scheme)) return nextResolve(specifier, context);
  const { name, parent } = JSON.parse(decodeURIComponent(specifier.slice(scheme.length))) as Record<
    'name' | 'parent',
    string
  >;
  return nextResolve(name, { ...context, parentURL: parent });
};
