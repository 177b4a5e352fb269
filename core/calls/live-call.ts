// One call in motion: takes events in order, keeps its record in the store ahead of its actions, and runs its timers.
import { isUnheard } from '../conferences/node-deaths.js';
import { HoldfastError, messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { NewEvent } from '../events/event-log.js';
import type { RejectAnswer } from './call-facts.js';
import { retryAfter } from './call-ending.js';
import { logChange } from './call-log.js';
import { advance, type CallAction, type CallEvent } from './call-machine.js';
import { callerLeg, type CallRecord } from './call-record.js';
import { CallTimers } from './call-timers.js';
import type { CallWorld } from './call-world.js';

/** Events that change nothing a recovery needs before the answer, which is a write itself. */
const notDurable: ReadonlySet<CallEvent['type']> = new Set(['legRinging', 'legCallId', 'joined']);

/** Events of many calls at once: whoever tells them saves all those calls in one transaction. */
const savedTogether: ReadonlySet<CallEvent['type']> = new Set(['legsMoved', 'legRecovered']);

type EndAction = Extract<CallAction, { do: 'hangup' | 'reject' }>;

/** How long the end of a leg may follow the refusal to put it into a bridge. */
const joinGraceMs = 500;

export class LiveCall {
  #call: CallRecord;
  readonly #world: CallWorld;
  readonly #log: Logger;
  readonly #dialling = new Set<string>();
  readonly #timers = new CallTimers(event => this.dispatch(event));
  #tail: Promise<void> = Promise.resolve();
  /** Of changes that are not in the store yet. */
  #untold: NewEvent[] = [];
  /** What each leg that asked for a transfer is still to be told, by leg. */
  readonly #tellings = new Map<string, number>();
  #isFinished = false;

  constructor(call: CallRecord, world: CallWorld, log: Logger) {
    this.#call = call;
    this.#world = world;
    this.#log = log.child({ call: call.id });
  }

  get record(): CallRecord {
    return this.#call;
  }

  /** True once its record has been handed to the store: saved after that, the call would be there once more, and end with a second one. */
  get isFinished(): boolean {
    return this.#isFinished;
  }

  /** True while a leg's channel is being created: a snapshot taken now need not hold it. */
  isDialling(legId: string): boolean {
    return this.#dialling.has(legId);
  }

  /** Resolves when everything dispatched so far has been acted upon. */
  settled(): Promise<void> {
    return this.#tail;
  }

  dispatch(event: CallEvent): void {
    const before = this.#call;
    const { call, actions } = advance(before, event, Date.now(), {
      actions: this.#world.flowActions(),
      companions: this.#world.companions(before),
    });
    if (call === before && actions.length === 0) return;
    this.#call = call;
    this.#untold.push(...this.#world.eventsOf(event.type === 'started' ? undefined : before, call));
    this.#world.changed(before, call);
    logChange(this.#log, before, call, event);
    this.#timers.set(call);
    for (const action of actions) {
      if (action.do === 'dial') action.legs.forEach(leg => this.#dialling.add(leg));
      if (action.do === 'tellReferrer') this.#tellings.set(action.leg, (this.#tellings.get(action.leg) ?? 0) + 1);
    }
    const matters = !notDurable.has(event.type) || call.state === 'confirmed' || this.#untold.length > 0;
    const isSavedHere = matters && !savedTogether.has(event.type);
    const save = (isSavedHere || actions.length > 0) && !actions.some(action => action.do === 'finish');
    this.#queue(call, actions, save);
  }

  /** Does again what the record says must be done: an earlier daemon may have died between the write and the act. */
  resume(actions: readonly CallAction[]): void {
    this.#timers.set(this.#call);
    this.#queue(this.#call, actions, false);
  }

  #queue(call: CallRecord, actions: readonly CallAction[], save: boolean): void {
    const events = save ? this.#newlyTold() : [];
    this.#tail = this.#tail.then(async () => {
      if (save) await this.#guarded('save', () => this.#world.save(call, events));
      for (const action of actions) await this.#guarded(action.do, () => this.#run(action), action);
    });
  }

  async #run(action: CallAction): Promise<void> {
    const call = this.#call;
    switch (action.do) {
      case 'route':
        // Not awaited: a caller who hangs up meanwhile must not wait for the plugin.
        void this.#world.route(call).then(event => this.dispatch(event));
        return;
      case 'redirect':
        void this.#world.redirect(call, action.leg).then(event => this.dispatch(event));
        return;
      case 'refer':
        void this.#world.refer(call, action.leg).then(event => this.dispatch(event));
        return;
      case 'tellReferrer': {
        const more = (this.#tellings.get(action.leg) ?? 1) - 1;
        this.#tellings.set(action.leg, more);
        // A leg's every REFER is told the same: the last word is for all, or a flood of them would keep the call's end waiting.
        if (action.outcome === 'refused' && more > 0) return;
        return this.#world.tellReferrer(call, action.leg, action.outcome);
      }
      case 'part':
        return this.#world.part(call, action.leg, action.orEnd === true);
      case 'merge':
        this.dispatch(await this.#world.merge(call, action.other));
        return;
      case 'unhold':
        return this.#world.unhold(call);
      case 'dial':
        await Promise.all(action.legs.map(leg => this.#dial(leg)));
        return;
      case 'ring':
        return this.#world.ring(call);
      case 'progress':
        return this.#world.progress(call);
      case 'answer':
        return this.#world.answer(call);
      case 'mute':
        return this.#world.mute(call, action.muted);
      case 'enter':
        void this.#world.enter(call).then(event => {
          this.dispatch(event);
          // It ended meanwhile, and left before it had its place.
          if (this.#call.ending) this.#queue(this.#call, [{ do: 'leave' }], false);
        });
        return;
      case 'join': {
        const conferenceId = await this.#world.join(call, action.legs, action.answer === true);
        this.dispatch({ type: 'joined', conferenceId });
        return;
      }
      case 'hangup':
        // It may have ended by itself, or with its node, before its turn came.
        if (call.legs.find(leg => leg.id === action.leg)?.state === 'terminated') return;
        if (action.afterMs !== undefined) {
          this.#hangUpLater(action, action.afterMs);
          return;
        }
        return this.#world.hangup(call, action.leg, action.cause, action.headers ?? []);
      case 'reject':
        if (callerLeg(call).state === 'terminated') return;
        return this.#world.reject(call, action.sipStatus, action.headers ?? []);
      case 'play':
        return this.#world.play(call, action.id, action.media, action.offsetMs);
      case 'stopPlay':
        return this.#world.stopPlay(call, action.id);
      case 'lookPlay': {
        const { id, sinceMs } = action;
        if (await this.#world.lookPlay(call, id)) return;
        this.dispatch({ type: 'flow', event: { type: 'itemLost', id, sinceMs } });
        return;
      }
      case 'ask':
        // Not awaited: a caller may hang up meanwhile.
        void this.#world.ask(call, action.asking).then(event => this.dispatch(event));
        return;
      case 'leave':
        return this.#world.leave(call);
      case 'finish':
        // A daemon that comes back to a call whose legs are all gone asks for it twice: one call has one record.
        if (this.#isFinished) return;
        this.#isFinished = true;
        this.#timers.clear();
        return this.#world.finish(call, this.#newlyTold());
    }
  }

  /** The call goes on meanwhile. A daemon that comes back to it finds that the leg is ending. */
  #hangUpLater(action: Extract<CallAction, { do: 'hangup' }>, afterMs: number): void {
    const { afterMs: _, ...now } = action;
    setTimeout(() => this.#queue(this.#call, [now], false), afterMs).unref();
  }

  #newlyTold(): readonly NewEvent[] {
    const events = this.#untold;
    this.#untold = [];
    return events;
  }

  async #dial(leg: string): Promise<void> {
    try {
      const answers = this.#isOver(leg) ? [] : await this.#world.askDial(this.#call, leg);
      // Its end may have been asked for before its turn came: a CANCEL then costs no INVITE.
      if (this.#isOver(leg)) this.dispatch({ type: 'legEnded', leg, sipStatus: 487 });
      else if ('reject' in answers) this.#refused(leg, answers);
      else await this.#world.dial(this.#call, leg, answers);
    } catch (error) {
      this.#log.warn({ leg, error }, `leg ${leg} could not be dialled: ${messageOf(error)}`);
      this.dispatch({ type: 'legEnded', leg, sipStatus: 503 });
    } finally {
      this.#dialling.delete(leg);
    }
  }

  #refused(leg: string, answer: RejectAnswer): void {
    this.#log.info({ leg, sipStatus: answer.reject }, `leg ${leg} is not dialled: ${answer.reason}`);
    this.dispatch({ type: 'legEnded', leg, sipStatus: answer.reject, headers: retryAfter(answer) });
  }

  #isOver(legId: string): boolean {
    return this.#call.ending !== null || (this.#call.legs.find(({ id }) => id === legId)?.ending ?? false);
  }

  /** A failed action is turned into the event that it means for the call; the queue goes on. */
  async #guarded(what: string, work: () => Promise<void>, action?: CallAction): Promise<void> {
    try {
      await work();
    } catch (error) {
      const gone = HoldfastError.is(error, 'ARI_REFUSED') && error.details['status'] === 404;
      if (gone && action?.do === 'hangup') {
        this.dispatch({ type: 'legEnded', leg: action.leg, sipStatus: 487 });
        return;
      }
      if (gone && this.#call.ending) return;
      this.#log.warn({ action: what, error }, `${what} failed: ${messageOf(error)}`);
      if ((action?.do === 'hangup' || action?.do === 'reject') && isUnheard(error)) this.#again(action);
      if (action?.do === 'join') this.#joinFailed(messageOf(error));
      // A sound that cannot be played is passed over: the caller has come for what follows.
      if (action?.do === 'play')
        this.dispatch({ type: 'flow', event: { type: 'itemPlayed', id: action.id, failed: true } });
      if (action?.do === 'answer') this.dispatch({ type: 'hangup', reason: `answer failed: ${messageOf(error)}` });
    }
  }

  /** A node that has too much to do answers too late, or never got to hear it: the far end must not wait for what nobody says any more. */
  #again(action: EndAction): void {
    const { legs } = this.#call;
    const leg = action.do === 'reject' ? callerLeg(this.#call) : legs.find(({ id }) => id === action.leg);
    if (!leg || leg.state === 'terminated') return;
    this.#world.again(leg.node, () => this.#guarded(action.do, () => this.#run(action), action));
  }

  /** Whoever has just hung up is refused too; what the phone said of it comes a moment later, and is what the others are to hear. */
  #joinFailed(reason: string): void {
    setTimeout(() => this.dispatch({ type: 'joinFailed', reason }), joinGraceMs);
  }
}
