// What the ledger has missed of a dialog is asked of its Asterisk while that lives.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { callRecordSchema } from '../../core/calls/call-record.js';
import { noLimits } from '../../core/calls/limits.js';
import { newCallRecord } from '../../core/calls/new-call.js';
import { DialogBook, type LedgerThread } from '../../core/ledger/dialog-book.js';
import type { Dialog, DialogFacts } from '../../core/ledger/dialog.js';
import { silentLogger } from '../../core/log.js';
import type { AsteriskFarm, AsteriskNode } from '../../core/ports/asterisk.js';
import { openMemoryStore } from '../../core/store/memory-store.js';
import { incomingCall } from '../../core/testing/facts.js';
import { waitFor } from '../harness/wait-for.js';

const { sipCallId: callId } = incomingCall();

function answered(): ReturnType<typeof newCallRecord> {
  const call = newCallRecord(incomingCall(), 'call-1', 'caller', 0, noLimits);
  return callRecordSchema.parse({ ...call, legs: call.legs.map(leg => ({ ...leg, state: 'confirmed' })) });
}

/** An Asterisk in the midst of a re-INVITE of its own, which it counts only when it is asked for the second time. */
function asterisks(): AsteriskFarm {
  const said = new Map<string, string>();
  const values: Readonly<Record<string, string>> = { 'call-id': callId, role: 'uas', local_tag: 'a', remote_tag: 'b' };
  let cseq = 6;
  const getChannelVar = async ({ variable }: { variable: string }): Promise<{ value: string }> => {
    const field = /,(.*)\)/.exec(variable)?.[1] ?? '';
    if (field === 'local_cseq') said.set(field, String(++cseq));
    return { value: said.get(field) ?? values[field] ?? '' };
  };
  return { node: () => ({ ari: { channels: { getChannelVar } } }) as unknown as AsteriskNode };
}

test('copies that were missed are made up for a second later, and again where the Asterisk was behind', async () => {
  const asked: DialogFacts[] = [];
  let tell: (changed: readonly Dialog[], ended: readonly string[]) => void = () => undefined;
  const party = { uri: 'sip:1@192.0.2.1', displayName: '', tag: 'a' };
  const dialog: Dialog = {
    ...{ callId, node: 'call-1', role: 'uas', state: 'confirmed', local: party, remote: { ...party, tag: 'b' } },
    ...{ localCseq: 8, remoteCseq: 1, routeSet: [], remoteTarget: party.uri, localSdp: null, remoteSdp: null },
    ...{ session: null, legId: null, changedMs: 0, holes: ['lost'] },
  };
  const isFilled = (): boolean => (asked.at(-1)?.localCseq ?? 0) >= 8;
  const ledger: LedgerThread = {
    onDialogs: listener => {
      tell = listener;
      return () => undefined;
    },
    seed: () => undefined,
    fill: facts => {
      asked.push(...facts);
      // As the ledger tells of what it was told.
      tell([{ ...dialog, holes: isFilled() ? [] : ['lost'] }], []);
    },
    forget: () => undefined,
    dialogs: async () => [{ ...dialog, holes: isFilled() ? [] : ['lost'] }],
  };
  const parts = { store: openMemoryStore(), asterisks: asterisks(), log: silentLogger };
  const book = new DialogBook({ ...parts, calls: () => [answered()] });
  await book.open(ledger);
  tell([dialog], []);
  await waitFor('the numbers that were seen', isFilled);
  assert.deepEqual(
    asked.map(({ localCseq }) => localCseq),
    [7, 8],
  );
});
