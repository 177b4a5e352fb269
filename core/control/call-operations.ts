// What an operator does to a call that is up: end it, or give one of its parties another one.
import type { CallEngine } from '../calls/call-engine.js';
import { isLive, type CallRecord } from '../calls/call-record.js';
import { mayRefer } from '../calls/transfers.js';
import { HoldfastError } from '../errors.js';
import type { CallInspector } from '../inspect/call-inspector.js';
import type { ParamsOf, ResultOf } from './operations.js';

export interface CallOperationsOptions {
  readonly engine: CallEngine;
  readonly inspector: CallInspector;
}

const lookEveryMs = 50;
/** How long the command waits for the other ends to have hung up. */
const hangupPatienceMs = 5_000;

export async function hangUpCall(
  { engine, inspector }: CallOperationsOptions,
  wanted: string,
): Promise<ResultOf<'callHangup'>> {
  const { id } = liveCall(inspector, wanted);
  engine.hangup(id, 'hung up by the operator');
  for (const endMs = Date.now() + hangupPatienceMs; engine.record(id) !== undefined && Date.now() < endMs;)
    await look();
  return { id, over: engine.record(id) === undefined };
}

export async function transferCall(
  { engine, inspector }: CallOperationsOptions,
  { id: wanted, to, replaced }: ParamsOf<'callTransfer'>,
  progress: (line: string) => void,
): Promise<ResultOf<'callTransfer'>> {
  const call = liveCall(inspector, wanted);
  const { id } = call;
  const leg = replacedLeg(call, replaced);
  if (leg === undefined) {
    throw notTransferred(id, to, 'it is not a call of two that are talking, or a transfer is under way', {
      remedy: `holdfast call show ${id}`,
    });
  }
  const before = call.legs.length;
  engine.transfer(id, leg, to);
  progress(`calling ${to}`);
  await look();
  while ((engine.record(id)?.transfer ?? null) !== null) await look();
  const after = engine.record(id);
  if (after?.ending === null && after.legs.some(one => one.id === leg && (!isLive(one) || one.ending)))
    return { id, to };
  throw notTransferred(id, to, whyNot(after, before), { remedy: 'the call is as it was, if nobody has hung up' });
}

/** The leg that another party is to take the place of; undefined where nobody can. */
function replacedLeg(call: CallRecord, replaced: 'caller' | 'callee'): string | undefined {
  const direction = replaced === 'caller' ? 'inbound' : 'outbound';
  return call.legs.find(leg => leg.direction === direction && mayRefer(call, leg.id))?.id;
}

function whyNot(after: CallRecord | undefined, legsBefore: number): string {
  if (after === undefined || after.ending !== null) return 'the call has ended meanwhile';
  const statuses = after.legs.slice(legsBefore).flatMap(leg => leg.sipStatus ?? []);
  return statuses.length === 0
    ? 'no route for whoever is replaced leads there'
    : `nobody answered: ${statuses.join(', ')}`;
}

function notTransferred(id: string, to: string, why: string, { remedy }: { readonly remedy: string }): HoldfastError {
  return new HoldfastError('CALL_NOT_TRANSFERRED', `call ${id} is not transferred to ${to}: ${why}`, { remedy });
}

function liveCall(inspector: CallInspector, wanted: string): CallRecord {
  const call = inspector.liveCall(wanted);
  if (call !== undefined) return call;
  throw new HoldfastError('CALL_NOT_FOUND', `no call is up with the id or SIP Call-ID "${wanted}"`, {
    remedy: '`holdfast calls` lists those that are; `holdfast find` finds those that were',
  });
}

function look(): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, lookEveryMs));
}
