// The daemon's HEP door: what every Kamailio received and sent in recent calls, kept in a worker thread.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { HoldfastError, messageOf } from '../errors.js';
import { Emitter } from '../events/emitter.js';
import type { Logger } from '../log.js';
import type { Dialog, DialogFacts, OpenInvite } from '../ledger/dialog.js';
import { Posted } from '../posted.js';
import { LegCallIds } from './leg-call-ids.js';
import type { TraceFarm } from './trace-farm.js';
import type { TraceLimits } from './trace-log.js';
import type { WholeTraceMessage } from './trace-message.js';
import type { FromWorker, ToWorker, TraceCounters, WorkerStart } from './trace-protocol.js';

export interface TraceOptions {
  /** Where HEP is heard: an inside address of the daemon. */
  readonly address: string;
  /** 0 for any free one. */
  readonly port: number;
  readonly farm: TraceFarm;
  /** What every Kamailio puts in its packets (`hep_auth_key`); undefined: not asked for. */
  readonly authKey?: string | undefined;
  /** Memory for whole messages. Default 0: none are kept. */
  readonly rawBytes?: number;
  readonly limits?: Partial<TraceLimits>;
  readonly log: Logger;
}

interface Question {
  readonly answer: (message: FromWorker) => void;
  readonly refuse: (error: HoldfastError) => void;
}

const startDeadlineMs = 5000;
const answerDeadlineMs = 2000;
const restartAfterMs = 1000;
const keptLegs = 20_000;
/** The thread's memory is bounded by its log; this is the net below, which ends the thread and not the daemon. */
const resourceLimits = { maxOldGenerationSizeMb: 384 };

export class Trace {
  readonly #options: TraceOptions;
  readonly #log: Logger;
  readonly #events: Emitter<{
    legCallId: readonly [legId: string, callId: string];
    dialogs: readonly [changed: readonly Dialog[], ended: readonly string[]];
  }>;
  readonly #legs = new LegCallIds(keptLegs);
  readonly #questions = new Map<number, Question>();
  #farm: TraceFarm;
  #worker: Worker | undefined;
  #posted = new Posted(Posted.memory());
  #port: number;
  #lastQuestion = 0;
  #restart: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(options: TraceOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#events = new Emitter(options.log);
    this.#farm = options.farm;
    this.#port = options.port;
  }

  /** Starts the thread and hears HEP. Throws ADDRESS_TAKEN where the socket cannot be bound, else TRACE_UNAVAILABLE. */
  static async open(options: TraceOptions): Promise<Trace> {
    const trace = new Trace(options);
    await trace.#start();
    return trace;
  }

  /** The port that HEP is heard on. */
  get port(): number {
    return this.#port;
  }

  /** The SIP Call-ID of a leg of ours, as soon as a Kamailio has seen its INVITE. */
  callIdOfLeg(legId: string): string | undefined {
    return this.#legs.get(legId);
  }

  /** Tells each leg's Call-ID once. The disposer may be called twice. */
  onLegCallId(listener: (legId: string, callId: string) => void): () => void {
    return this.#events.on('legCallId', 'trace', listener);
  }

  /** Tells the confirmed dialogs that changed and the Call-IDs of those that ended, in batches. */
  onDialogs(listener: (changed: readonly Dialog[], ended: readonly string[]) => void): () => void {
    return this.#events.on('dialogs', 'trace', listener);
  }

  /** Confirmed dialogs that a node carries, as its Asterisk sees them. */
  async dialogs(node: string): Promise<readonly Dialog[]> {
    const answer = await this.#ask(id => ({ kind: 'dialogs', id, node }));
    return answer.kind === 'dialogs' ? answer.dialogs : [];
  }

  /** The dialog of one Call-ID, early or confirmed. */
  async dialog(callId: string): Promise<Dialog | undefined> {
    const answer = await this.#ask(id => ({ kind: 'dialog', id, callId }));
    return answer.kind === 'dialogs' ? answer.dialogs[0] : undefined;
  }

  /** A node's INVITEs without a final response, and those whose 2xx was not acknowledged. */
  async openInvites(node: string): Promise<readonly OpenInvite[]> {
    const answer = await this.#ask(id => ({ kind: 'openInvites', id, node }));
    return answer.kind === 'openInvites' ? answer.invites : [];
  }

  /** Gives the ledger what an earlier daemon knew. */
  seed(dialogs: readonly Dialog[]): void {
    this.#post({ kind: 'seed', dialogs });
  }

  /** Gives the ledger what living Asterisks say of their dialogs. */
  fill(facts: readonly DialogFacts[]): void {
    this.#post({ kind: 'fill', facts });
  }

  /** Has the ledger forget the dialogs of a Call-ID whose call is over. */
  forget(callId: string): void {
    this.#post({ kind: 'forget', callId });
  }

  /** Reads no copies until `release`, or for `mostMs`: they wait, and a question has them read at once. */
  hold(mostMs: number): void {
    this.#post({ kind: 'hold', mostMs });
  }

  release(): void {
    this.#post({ kind: 'release' });
  }

  /** The farm has changed: other Kamailios' copies are taken from now on. */
  setSources(farm: TraceFarm): void {
    this.#farm = farm;
    this.#post({ kind: 'farm', farm });
  }

  /** The copies of one Call-ID in order of arrival; none when it is not known (any more). `whole`: as far as they are kept. */
  async messages(callId: string, whole = false): Promise<readonly WholeTraceMessage[]> {
    const answer = await this.#ask(id => ({ kind: 'messages', id, callId, whole }));
    return answer.kind === 'messages' ? answer.messages : [];
  }

  /** Call-IDs that have `text` in them or in the line of their first request (a number), those last heard of first. */
  async find(text: string, most: number): Promise<readonly string[]> {
    const answer = await this.#ask(id => ({ kind: 'find', id, text, most }));
    return answer.kind === 'found' ? answer.callIds : [];
  }

  async counters(): Promise<TraceCounters> {
    const answer = await this.#ask(id => ({ kind: 'counters', id }));
    if (answer.kind === 'counters') return answer.counters;
    throw unavailable('gave another answer than was asked for');
  }

  /** Ends the thread. Open questions are refused. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#restart);
    this.#refuseQuestions('was closed');
    this.#events.removeAll();
    const worker = this.#worker;
    this.#worker = undefined;
    if (!worker) return;
    const ended = once(worker, 'exit');
    worker.postMessage({ kind: 'close' } satisfies ToWorker);
    this.#posted.note();
    const late = setTimeout(() => void worker.terminate(), answerDeadlineMs);
    // A thread that fails while it ends has ended.
    await ended.catch(() => undefined).finally(() => clearTimeout(late));
  }

  async #start(): Promise<void> {
    const { address, authKey, rawBytes = 0, limits = {} } = this.#options;
    const [port, farm, legs] = [this.#port, this.#farm, keptLegs];
    const posted = Posted.memory();
    const workerData: WorkerStart = { address, port, farm, authKey, rawBytes, limits, legs, posted };
    const worker = new Worker(new URL('./trace-worker.js', import.meta.url), { workerData, resourceLimits });
    try {
      this.#port = await listening(worker, this.#options);
    } catch (error) {
      await worker.terminate();
      throw error;
    }
    if (this.#closed) {
      await worker.terminate();
      return;
    }
    this.#worker = worker;
    this.#posted = new Posted(posted);
    worker.on('message', (message: FromWorker) => this.#heard(message));
    worker.on('error', error => this.#log.error({ error }, `the trace's thread failed: ${messageOf(error)}`));
    worker.on('exit', () => this.#lost(worker));
    // What changed while the thread was starting.
    this.#post({ kind: 'farm', farm: this.#farm });
  }

  #heard(message: FromWorker): void {
    switch (message.kind) {
      case 'legs':
        for (const [legId, callId] of message.legs) {
          if (this.#legs.add(legId, callId)) this.#events.emit('legCallId', legId, callId);
        }
        return;
      case 'ledger':
        this.#events.emit('dialogs', message.changed, message.ended);
        return;
      case 'messages':
      case 'found':
      case 'dialogs':
      case 'openInvites':
      case 'counters':
        this.#questions.get(message.id)?.answer(message);
        return;
      case 'failed':
        this.#log.error({ code: message.code }, `the trace's socket failed: ${message.reason}`);
        return;
      case 'listening':
        return;
    }
  }

  /** A thread that ended by itself is started again: calls do not need it, but nobody else sees their messages. */
  #lost(worker: Worker): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#refuseQuestions('has ended');
    this.#log.error({}, `the trace's thread has ended, what it kept is lost; it starts again in ${restartAfterMs} ms`);
    this.#startLater();
  }

  #startLater(): void {
    this.#restart = setTimeout(() => {
      this.#start().catch((error: unknown) => {
        this.#log.error({ error }, `the trace's thread did not start: ${messageOf(error)}`);
        if (!this.#closed) this.#startLater();
      });
    }, restartAfterMs);
    this.#restart.unref();
  }

  #post(message: ToWorker): void {
    if (!this.#worker) return;
    this.#worker.postMessage(message);
    this.#posted.note();
  }

  async #ask(question: (id: number) => ToWorker): Promise<FromWorker> {
    if (!this.#worker) throw unavailable('does not run');
    const id = ++this.#lastQuestion;
    let late: NodeJS.Timeout | undefined;
    const answered = new Promise<FromWorker>((answer, refuse) => {
      this.#questions.set(id, { answer, refuse });
      late = setTimeout(() => refuse(unavailable(`gave no answer within ${answerDeadlineMs} ms`)), answerDeadlineMs);
    });
    this.#post(question(id));
    return answered.finally(() => {
      clearTimeout(late);
      this.#questions.delete(id);
    });
  }

  #refuseQuestions(why: string): void {
    for (const { refuse } of this.#questions.values()) refuse(unavailable(why));
  }
}

/** The port, once the worker hears HEP. */
async function listening(worker: Worker, { address, port }: TraceOptions): Promise<number> {
  const signal = AbortSignal.timeout(startDeadlineMs);
  // once() rejects with what the thread throws while it starts.
  const first: unknown[] = await once(worker, 'message', { signal }).catch((cause: unknown) => {
    throw unavailable(
      signal.aborted ? `was not ready within ${startDeadlineMs} ms` : `failed: ${messageOf(cause)}`,
      cause,
    );
  });
  const said = first[0] as FromWorker;
  if (said.kind === 'listening') return said.port;
  const reason = said.kind === 'failed' ? said.reason : said.kind;
  throw new HoldfastError('ADDRESS_TAKEN', `cannot hear HEP at ${address}:${port}/udp: ${reason}`, {
    details: { address, port },
    remedy: bindRemedy(said.kind === 'failed' ? said.code : '', port),
  });
}

function bindRemedy(code: string, port: number): string {
  if (code === 'EADDRNOTAVAIL') return "the daemon's address is not one of this machine: choose another subnet";
  if (code === 'EACCES') return `a port below 1024 needs root: choose another than ${port}`;
  return `another process has this port: "ss -ulnp sport = :${port}" shows which; end it, or choose another subnet`;
}

function unavailable(what: string, cause?: unknown): HoldfastError {
  return new HoldfastError('TRACE_UNAVAILABLE', `the trace's thread ${what}`, { cause });
}
