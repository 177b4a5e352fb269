// Compares what the callers went through with the call records: one for each call, and none twice. Pure.
import type { CallDetailRecord } from '../../../core/calls/call-facts.js';

export interface Accounts {
  readonly placed: number;
  readonly answered: number;
  /** Got a final response other than 200. */
  readonly refused: number;
  readonly records: number;
  /** Records of an answer. */
  readonly answeredRecords: number;
  /** Calls of the callers that have no record: no daemon had heard of them when they were refused. */
  readonly withoutRecord: number;
  /** What must not be, each in words. */
  readonly wrong: readonly string[];
}

/** `marks`: what the callers' scenarios have logged, `answered CALL-ID` and `refused CALL-ID`. */
export function account(placed: number, marks: readonly string[], records: readonly CallDetailRecord[]): Accounts {
  const marked = (what: string): Set<string> =>
    new Set(marks.flatMap(mark => (mark.startsWith(`${what} `) ? [mark.slice(what.length + 1).trim()] : [])));
  const [answered, refused] = [marked('answered'), marked('refused')];
  const caller = ({ sipCallIds }: CallDetailRecord): string => sipCallIds[0] ?? '';
  const recorded = new Set(records.map(caller));
  const answeredRecords = records.filter(record => record.answeredAt !== null);
  const recordedAsAnswered = new Set(answeredRecords.map(caller));
  return {
    placed,
    answered: answered.size,
    refused: refused.size,
    records: records.length,
    answeredRecords: answeredRecords.length,
    withoutRecord: placed - recorded.size,
    wrong: [
      ...twice(records.map(record => record.callId)).map(id => `two records of call ${id}`),
      ...twice(records.map(caller)).map(id => `two records of the INVITE ${id}`),
      ...[...answered].filter(id => !recordedAsAnswered.has(id)).map(id => `answered, and no such record: ${id}`),
    ],
  };
}

function twice(values: readonly string[]): string[] {
  const seen = new Set<string>();
  return values.filter(value => seen.size === seen.add(value).size);
}
