// Hands the caller over to another number: what its route says is done, as if they had dialled it.
import { z } from 'zod';
import type { FlowStep, IncomingCall } from '../../calls/call-facts.js';
import { flowSchema } from '../../calls/call-record.js';
import { defineAction, type FlowAction, type FlowEntry, type FlowScene, type FlowTurn } from '../flow-facts.js';
import { connectFailed, exitsOf, label, ringingTone, text } from './parts.js';

/** What the route of a number says: steps, another flow, or a refusal. */
export type FoundRoute =
  | { readonly steps: readonly FlowStep[] }
  | { readonly entries: readonly FlowEntry[] }
  | { readonly reject: number; readonly reason: string };

/** Asks for the route of the call as if it had dialled this number. */
export type FindRoute = (call: IncomingCall, dialled: string) => Promise<FoundRoute>;

const step = z.strictObject({
  to: text.pipe(z.string().min(1).max(128)).describe('The number, as a caller would dial it; may have variables.'),
  onFailed: label
    .optional()
    .describe('Where to go on when it has no route, or nobody there answers; default: the step below.'),
});
type Step = z.infer<typeof step>;

const found = z.union([
  z.object({ reject: z.number() }),
  z.object({ entries: z.array(z.unknown()) }),
  z.object({ steps: flowSchema }),
]);

export function transferAction(find: FindRoute): FlowAction<Step, null> {
  return defineAction<Step, null>({
    name: 'transfer',
    summary:
      'Hands the caller over to another number: what its route says happens, as if they had dialled it, also where that is another flow, which takes the place of this one. When nobody there answers it goes on, with `${connect_outcome}` and `${connect_status}`.',
    step,
    exits: ({ onFailed }) => ({ ...exitsOf({ onFailed }, ['onFailed']), next: true }),
    begin: () => ({ ask: true }),
    ask: ({ to }, scene) => find(scene.call, scene.text(to)),
    hear(given, _, event, scene) {
      if (event.type === 'answer') return routed(given, event.value, scene);
      if (event.type === 'askFailed') return connectFailed(given.onFailed, 'failed', 500);
      if (event.type === 'connectEnded') return connectFailed(given.onFailed, event.outcome, event.sipStatus);
      return undefined;
    },
  });
}

function routed({ to, onFailed }: Step, value: unknown, { answered, isOnHold, text: fill }: FlowScene): FlowTurn<null> {
  const route = found.parse(value);
  if ('reject' in route) return connectFailed(onFailed, 'failed', route.reject);
  const variables = { dialled: fill(to) };
  if ('entries' in route) return { follow: route.entries as readonly FlowEntry[], variables };
  const steps = route.steps.filter(one => one.action !== 'connect' || one.targets.length > 0);
  // RFC 3261 §21.4.18: known, and not reachable now.
  if (steps.length === 0) return connectFailed(onFailed, 'no-answer', 480);
  const rings = answered && !isOnHold && steps[0]?.action === 'connect';
  return { commands: [{ do: 'run', steps }], variables, ...(rings ? { play: ringingTone } : {}) };
}
