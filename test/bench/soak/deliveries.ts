// A webhook's receiver that is often in trouble, and whether it has what the file of call records has: the same records in the same order, each delivery always the same.
import { isDeepStrictEqual } from 'node:util';
import type { CallDetailRecord } from '../../../core/calls/call-facts.js';
import type { Answer, Delivery, WebhookReceiver } from '../../harness/webhook-receiver.js';

export interface Deliveries {
  readonly taken: number;
  readonly attempts: number;
  /** Requests that were answered with a 503, and those that never were. */
  readonly refused: number;
  readonly unanswered: number;
  /** How often a daemon went on with a delivery of the one that was killed. */
  readonly inherited: number;
  /** What must not be, each in words. */
  readonly wrong: readonly string[];
}

/** Until so many daemons were killed, each is killed with a delivery under way. */
const killsUnderWay = 2;

export class TroubledReceiver {
  readonly #receiver: WebhookReceiver;
  /** How many daemons had been killed when a delivery was last tried. */
  readonly #lastTried = new Map<string, number>();
  #inherited = 0;
  #refused = 0;
  #unanswered = 0;

  /** `share`: records that are taken of each daemon at least, and not many more. `daemonKills`: as many as there were. */
  constructor(receiver: WebhookReceiver, share: number, daemonKills: () => number) {
    this.#receiver = receiver;
    receiver.answer = ({ id }, attempt) => {
      const kills = daemonKills();
      if ((this.#lastTried.get(id) ?? kills) < kills) this.#inherited++;
      this.#lastTried.set(id, kills);
      const hasEnough = kills < killsUnderWay && receiver.callIds.length >= share * (kills + 1);
      return this.#answer(attempt, hasEnough);
    };
  }

  /** Compared with the records of the file. */
  compared(records: readonly CallDetailRecord[]): Deliveries {
    const { attempts, taken, forged } = this.#receiver;
    const first = new Map<string, Delivery>();
    for (const one of attempts) if (!first.has(one.id)) first.set(one.id, one);
    const changed = attempts.filter(one => !isDeepStrictEqual(one, first.get(one.id)));
    const all = taken.flatMap(one => one.records);
    return {
      ...{ taken: taken.length, attempts: attempts.length },
      ...{ refused: this.#refused, unanswered: this.#unanswered, inherited: this.#inherited },
      wrong: [
        ...forged.map(body => `not signed: ${body}`),
        ...changed.map(({ id }) => `delivery ${id} came again with other records`),
        ...difference(all, records),
      ],
    };
  }

  /** What it never answers it has taken: it comes again. */
  #answer(attempt: number, hasEnough: boolean): Answer {
    if (attempt % 5 === 2) {
      this.#unanswered++;
      return 'silence';
    }
    if (attempt % 5 !== 4 && !hasEnough) return { status: 204 };
    this.#refused++;
    return { status: 503 };
  }
}

/** The first place where they are not the same: from there on all would be. */
function difference(taken: readonly CallDetailRecord[], records: readonly CallDetailRecord[]): string[] {
  const count = Math.max(taken.length, records.length);
  for (let i = 0; i < count; i++) {
    if (isDeepStrictEqual(taken[i], records[i])) continue;
    const said = (record: CallDetailRecord | undefined): string => record?.callId ?? 'none';
    const where = `record ${i + 1} (${taken.length} were taken, ${records.length} are in the file)`;
    return [`${where} is ${said(taken[i])} at the webhook and ${said(records[i])} in the file`];
  }
  return [];
}
