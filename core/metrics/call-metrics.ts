// What is counted as calls go by: started, answered, ended and why, and how long each part took.
import type { CallDetailRecord } from '../calls/call-facts.js';
import type { CallRecord, DialogState } from '../calls/call-record.js';
import type { Metric } from './exposition.js';
import { Counter, Histogram } from './instruments.js';

const states: readonly DialogState[] = ['trying', 'proceeding', 'early', 'confirmed'];
/** Seconds. Up to the delay that people give up at, and to the longest that a phone rings. */
const setupBounds = [0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8, 13];
const answerBounds = [0.25, 0.5, 1, 2, 3, 5, 8, 13, 20, 30, 45, 60, 120];
const durationBounds = [5, 15, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400];

export class CallMetrics {
  readonly #started = new Counter('holdfast_calls_started_total', 'Calls that reached a call node.', [{}]);
  readonly #answered = new Counter('holdfast_calls_answered_total', 'Calls that were answered.', [{}]);
  readonly #ended = new Counter(
    'holdfast_calls_ended_total',
    'Calls that are over, by outcome and by the final status that the caller was sent.',
  );
  readonly #limited = new Counter('holdfast_calls_limited_total', 'Calls that a limit of the config ended or refused.');
  readonly #setup = new Histogram(
    'holdfast_call_setup_seconds',
    'From the INVITE at the call node until the caller was told that it rings or is answered: the post-dial delay.',
    setupBounds,
  );
  readonly #answer = new Histogram(
    'holdfast_call_answer_seconds',
    'From the INVITE at the call node to the answer.',
    answerBounds,
  );
  readonly #duration = new Histogram(
    'holdfast_call_duration_seconds',
    'From the answer to the end, of answered calls.',
    durationBounds,
  );

  started(): void {
    this.#started.add();
  }

  /** The record changed: told of each change, so it does next to nothing. */
  changed(before: CallRecord, after: CallRecord, nowMs: number): void {
    const seconds = (): number => (nowMs - after.startedMs) / 1000;
    const told = before.state === 'trying' && after.state !== 'trying' && after.state !== 'terminated';
    if (told) this.#setup.observe(seconds());
    if (before.answeredMs === null && after.answeredMs !== null) {
      this.#answered.add();
      this.#answer.observe(seconds());
    }
  }

  ended({ outcome, sipStatus, limit, answeredAt, endedAt }: CallDetailRecord): void {
    this.#ended.add(1, { outcome, status: String(sipStatus) });
    if (limit !== null) this.#limited.add(1, { limit });
    if (answeredAt !== null) this.#duration.observe((Date.parse(endedAt) - Date.parse(answeredAt)) / 1000);
  }

  metrics(calls: readonly CallRecord[]): Metric[] {
    const legs = calls.flatMap(call => call.legs);
    return [
      {
        name: 'holdfast_calls_active',
        type: 'gauge',
        help: 'Calls now, by the state of RFC 4235.',
        samples: states.map(state => ({
          labels: { state },
          value: calls.filter(call => call.state === state).length,
        })),
      },
      ...[this.#started, this.#answered, this.#ended, this.#limited].map(counter => counter.metric()),
      ...[this.#setup, this.#answer, this.#duration].map(histogram => histogram.metric()),
      {
        name: 'holdfast_legs_recovering',
        type: 'gauge',
        help: 'Legs now that are being recovered from the death of their node.',
        samples: [{ value: legs.filter(leg => leg.recovering !== null).length }],
      },
    ];
  }
}
