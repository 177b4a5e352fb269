// The flows of the config and the actions that they have, as the daemon runs them now.
import { HoldfastError, messageOf } from '../errors.js';
import { incomingCall, type CallRecord } from '../calls/call-record.js';
import { withDeadline } from '../plugins/deadline.js';
import type { FlowActions } from './action-registry.js';
import type { FlowEntry } from './flow-facts.js';
import { keysOf, sceneOf, type RunEvent } from './interpreter.js';

/** By name, checked, with their defaults filled in. */
export type NamedFlows = ReadonlyMap<string, readonly FlowEntry[]>;

export interface FlowsOptions {
  /** Of the plugins that run now. */
  readonly actions: () => FlowActions;
  readonly named: () => NamedFlows;
  /** Media URI of a sound of this name. */
  readonly soundUri: (name: string) => string;
}

const usualTimeoutMs = 5_000;

export class Flows {
  readonly #options: FlowsOptions;

  constructor(options: FlowsOptions) {
    this.#options = options;
  }

  get actions(): FlowActions {
    return this.#options.actions();
  }

  /** Throws FLOW_NOT_FOUND. */
  entries(name: string): readonly FlowEntry[] {
    const entries = this.#options.named().get(name);
    if (entries !== undefined) return entries;
    throw new HoldfastError('FLOW_NOT_FOUND', `there is no flow "${name}"`, {
      remedy: 'name one of the flows of the config: a plugin has answered with this one',
    });
  }

  /** What a playback's media is to Asterisk. */
  mediaUri(media: string): string {
    return media.startsWith('sound:') ? this.#options.soundUri(media.slice('sound:'.length)) : media;
  }

  /** Has the step that runs ask what it asks, in its time. What comes of it is an event of the flow. Never rejects. */
  async ask(call: CallRecord, asking: number): Promise<RunEvent> {
    try {
      return await this.#asked(call, asking);
    } catch (error) {
      return { type: 'askFailed', asking, reason: messageOf(error) };
    }
  }

  async #asked(call: CallRecord, asking: number): Promise<RunEvent> {
    const { run } = call;
    const entry = run?.entries[run.at];
    const action = entry && this.actions.get(entry.action);
    // The step that asked is done already.
    if (!run || !entry || run.asking !== asking || !action?.ask)
      return { type: 'askFailed', asking, reason: 'nobody asks any more' };
    const keys = keysOf(entry);
    const scene = sceneOf(run, { call: incomingCall(call), answered: call.answeredMs !== null, nowMs: Date.now() });
    const timeoutMs = action.askTimeoutMs?.(keys) ?? usualTimeoutMs;
    const askId = `${call.id}-${asking}`;
    const outcome = await withDeadline<unknown>(timeoutMs, signal => action.ask?.(keys, scene, signal, askId));
    if (outcome.kind === 'late') return { type: 'askFailed', asking, reason: `no answer after ${timeoutMs / 1000} s` };
    if (outcome.kind === 'threw') return { type: 'askFailed', asking, reason: messageOf(outcome.error) };
    return { type: 'answer', asking, value: outcome.value };
  }
}
