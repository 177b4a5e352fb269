// The farm's call detail records, as its CDR file has them.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CallDetailRecord } from '../../core/calls/call-facts.js';
import type { Farm } from './farm.js';
import { waitFor } from './wait-for.js';

/** All that are written, the first one first. */
export async function callRecords(farm: Farm): Promise<readonly CallDetailRecord[]> {
  const text = await readFile(join(farm.state, 'cdr.jsonl'), 'utf8').catch(() => '');
  const lines = text.split('\n').filter(line => line !== '');
  return lines.map(line => JSON.parse(line) as CallDetailRecord);
}

/** Waits for the record of the call that had this SIP Call-ID on one of its legs; throws if it was written twice. */
export async function recordOf(farm: Farm, sipCallId: string): Promise<CallDetailRecord> {
  const record = async (): Promise<CallDetailRecord | undefined> => {
    const [found, ...more] = (await callRecords(farm)).filter(one => one.sipCallIds.includes(sipCallId));
    if (more.length > 0) throw new Error(`${more.length + 1} records of ${sipCallId}`);
    return found;
  };
  return waitFor(`the record of ${sipCallId}`, record);
}
