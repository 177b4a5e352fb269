// ARI's operations by their own names, with parameters and paths from the API description of the Asterisk that is built here.
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { HoldfastError } from '../core/errors.js';
import type { AriBridge, AriClient } from '../core/ports/asterisk.js';
import type { AriRequest, AriRequester } from './ari-requester.js';
import { ariOperations, type AriOperations } from './generated/ari.js';

export type OperationName = keyof typeof ariOperations;
type Parameters<N extends OperationName> = AriOperations[N]['parameters'];

const partySchema = z.looseObject({ name: z.string(), number: z.string() });

/** ARI's Channel, as much of it as core reads. */
export const channelSchema = z.looseObject({
  id: z.string(),
  name: z.string(),
  state: z.string(),
  caller: partySchema,
  connected: partySchema,
  dialplan: z.looseObject({ context: z.string(), exten: z.string(), app_name: z.string() }),
  creationtime: z.string(),
  channelvars: z.record(z.string(), z.string()).exactOptional(),
});

/** ARI's Bridge, as much of it as core reads. */
export const bridgeSchema = z.looseObject({
  id: z.string(),
  technology: z.string(),
  bridge_type: z.string(),
  name: z.string(),
  channels: z.array(z.string()),
});

const infoSchema = z.looseObject({
  status: z.looseObject({ startup_time: z.string() }),
  system: z.looseObject({ version: z.string(), entity_id: z.string() }),
});
const attributesSchema = z.array(z.looseObject({ attribute: z.string(), value: z.string() }));
/** For operations whose reply tells nothing new. */
const nothing = z.unknown().transform(() => undefined);

/** What goes over the wire for one operation. Pure. */
export function requestOf<N extends OperationName>(operation: N, parameters: Parameters<N>): AriRequest {
  const { method, path, inQuery, inBody } = ariOperations[operation];
  const values = new Map(Object.entries(parameters as Readonly<Record<string, unknown>>));
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(values.get(name))));
  const query = new URLSearchParams();
  for (const name of inQuery) {
    const value = values.get(name);
    if (isText(value)) query.set(name, `${value}`);
    else if (Array.isArray(value)) query.set(name, value.join(','));
  }
  const search = query.size === 0 ? '' : `?${query.toString()}`;
  return { operation, method, path: `${filled}${search}`, ...bodyOf(inBody, values) };
}

function isText(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

/** `variables` are wrapped in an object of that name; a filter is the whole body (res/ari/resource_*.c). */
function bodyOf(inBody: readonly string[], values: ReadonlyMap<string, unknown>): { body?: unknown } {
  const [name = ''] = inBody;
  const value = values.get(name);
  if (value === undefined) return {};
  return { body: name === 'variables' ? { variables: value } : value };
}

/** Sends one operation and reads its reply by `schema`. Throws what AriRequester throws. */
export async function callAri<N extends OperationName, T>(
  requester: AriRequester,
  operation: N,
  parameters: Parameters<N>,
  schema: z.ZodType<T>,
): Promise<T> {
  const unread = (schema as unknown) === nothing;
  const answer = await requester.send({ ...requestOf(operation, parameters), unread });
  if (unread) return undefined as T;
  const reply = schema.safeParse(answer);
  if (!reply.success) throw requester.invalid(operation, new Error(z.prettifyError(reply.error)));
  return reply.data;
}

/** How often a bridge that is neither to be made nor there is asked for, and how long it may take in between to be gone. */
const mostTries = 10;
const endingMs = 20;

/** The bridge of this id: made, or as it is. */
async function bridgeOf(
  requester: AriRequester,
  parameters: Parameters<'bridges.createWithId'> & { readonly bridgeId: string },
): Promise<AriBridge> {
  for (let tries = 1; ; tries++) {
    try {
      return await callAri(requester, 'bridges.createWithId', parameters, bridgeSchema);
    } catch (error) {
      // Asked twice, as after a restart of ours: Asterisk refuses (res/ari/resource_bridges.c), though it has what we want.
      if (!isRefusal(error, 409)) throw error;
    }
    try {
      return await callAri(requester, 'bridges.get', { bridgeId: parameters.bridgeId }, bridgeSchema);
    } catch (error) {
      // One of this id is just ending, as its last channel has left it.
      if (!isRefusal(error, 404) || tries === mostTries) throw error;
    }
    await sleep(endingMs);
  }
}

function isRefusal(error: unknown, status: number): boolean {
  return HoldfastError.is(error, 'ARI_REFUSED') && error.details['status'] === status;
}

/** The operations that core uses. */
export function ariClient(requester: AriRequester): AriClient {
  const call =
    <N extends OperationName, T>(operation: N, schema: z.ZodType<T>) =>
    (parameters: Parameters<N>): Promise<T> =>
      callAri(requester, operation, parameters, schema);
  const ask =
    <T>(operation: OperationName, schema: z.ZodType<T>) =>
    (): Promise<T> =>
      callAri(requester, operation, {}, schema);
  return {
    channels: {
      list: ask('channels.list', z.array(channelSchema)),
      get: call('channels.get', channelSchema),
      create: call('channels.create', nothing),
      originate: call('channels.originate', nothing),
      answer: call('channels.answer', nothing),
      ring: call('channels.ring', nothing),
      progress: call('channels.progress', nothing),
      hangup: call('channels.hangup', nothing),
      continueInDialplan: call('channels.continueInDialplan', nothing),
      getChannelVar: call('channels.getChannelVar', z.looseObject({ value: z.string() })),
      setChannelVar: call('channels.setChannelVar', nothing),
      transfer_progress: call('channels.transfer_progress', nothing),
      mute: call('channels.mute', nothing),
      unmute: call('channels.unmute', nothing),
      hold: call('channels.hold', nothing),
      unhold: call('channels.unhold', nothing),
      startMoh: call('channels.startMoh', nothing),
      stopMoh: call('channels.stopMoh', nothing),
      startSilence: call('channels.startSilence', nothing),
      stopSilence: call('channels.stopSilence', nothing),
      sendDTMF: call('channels.sendDTMF', nothing),
      play: call('channels.play', z.looseObject({ id: z.string() })),
      snoopChannelWithId: call('channels.snoopChannelWithId', nothing),
      record: call('channels.record', nothing),
    },
    playbacks: {
      get: call('playbacks.get', z.looseObject({ id: z.string(), state: z.string() })),
      stop: call('playbacks.stop', nothing),
    },
    bridges: {
      list: ask('bridges.list', z.array(bridgeSchema)),
      createWithId: parameters => bridgeOf(requester, parameters),
      addChannel: call('bridges.addChannel', nothing),
      removeChannel: call('bridges.removeChannel', nothing),
      destroy: call('bridges.destroy', nothing),
      record: call('bridges.record', nothing),
      play: ({ bridgeId, media }) => callAri(requester, 'bridges.play', { bridgeId, media: [media] }, nothing),
    },
    asterisk: {
      getInfo: ask('asterisk.getInfo', infoSchema),
      ping: ask('asterisk.ping', nothing),
      reloadModule: call('asterisk.reloadModule', nothing),
      getObject: call('asterisk.getObject', attributesSchema),
      updateObject: ({ fields, ...named }) =>
        callAri(requester, 'asterisk.updateObject', { ...named, fields: { fields } }, nothing),
      deleteObject: call('asterisk.deleteObject', nothing),
    },
    recordings: {
      stop: call('recordings.stop', nothing),
      getLive: call('recordings.getLive', nothing),
    },
    endpoints: {
      listByTech: call('endpoints.listByTech', z.array(z.looseObject({ resource: z.string() }))),
    },
  };
}
