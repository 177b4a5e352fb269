// Whether a call may go where its route sends it: limits of who calls and of who is called, and numbers as each trunk wants them.
import type {
  ConnectStep,
  ConnectTarget,
  FlowAnswer,
  FlowStep,
  IncomingCall,
  NamedFlowAnswer,
  OutgoingLeg,
  RedirectAnswer,
  Redirection,
  ReferAnswer,
  Referral,
  RouteAnswer,
} from '../calls/call-facts.js';
import type { CallRecord } from '../calls/call-record.js';
import { userOf, withUser } from '../calls/sip-uri.js';
import { destinationRefusal, expensiveRefusal, type CalledNumber } from '../numbers/destinations.js';
import { isEmergency } from '../numbers/emergency.js';
import { readNumber, writeNumber, type NumberRules } from '../numbers/phone-number.js';
import {
  forbidden,
  notTheirs,
  ownerName,
  tooMany,
  type AdmittedAnswer,
  type CallLimits,
  type Owner,
  type Refusal,
} from './call-limits.js';
import { CallRate } from './call-rate.js';
import { CallsHeld } from './calls-held.js';

/** What the config says of it; asked for each call, so that a reload counts for the next one. */
export interface AdmissionRules {
  readonly emergency: readonly string[];
  readonly expensive: readonly string[];
  limitsOf(owner: Owner): CallLimits | undefined;
  /** How numbers are written on a trunk. */
  numbersOf(trunk: string): NumberRules;
  /** Numbers that calls of a trunk may come from, or how they begin; none: any. */
  identitiesOf(trunk: string): readonly string[];
}

export interface AdmissionOptions {
  readonly rules: () => AdmissionRules;
  readonly calls: () => readonly CallRecord[];
}

/** Emergency calls pass all of it. They count as any other, for those that come after them. */
export class Admission {
  readonly #rules: () => AdmissionRules;
  readonly #held: CallsHeld;
  readonly #rates = new Map<string, CallRate>();

  constructor({ rules, calls }: AdmissionOptions) {
    this.#rules = rules;
    this.#held = new CallsHeld(calls);
  }

  /** The answer with numbers as the trunks want them and without targets that may not be called now, or why there is none left. */
  admit(call: IncomingCall, answer: RouteAnswer | undefined): AdmittedAnswer | undefined {
    if (answer === undefined || 'reject' in answer) return answer;
    if ('flowName' in answer) return this.#admitFlow(call, answer);
    const written = this.#written(answer);
    if (this.#isEmergency(call, written.flow.flatMap(targetsOf))) {
      this.#held.begin(call.id, call.source);
      return written;
    }
    const { routeName } = answer;
    const refused = this.#refusesSource(call);
    if (refused) return { ...refused, routeName };
    const refusals: Refusal[] = [];
    const flow = written.flow.flatMap(step => this.#allowedStep(call, step, refusals));
    const [first] = refusals;
    if (first !== undefined && flow.length === 0) return { ...first, routeName };
    this.#takeRate(call.source, 'from');
    this.#held.begin(call.id, call.source);
    return { ...written, flow };
  }

  /** Whom a flow connects its caller to: as `admit` does it with what a route says. */
  connected(call: IncomingCall, steps: readonly ConnectStep[]): readonly ConnectStep[] | Refusal {
    const written = this.#writtenSteps(steps);
    if (this.#isEmergency(call, written.flatMap(targetsOf))) return written;
    const refusals: Refusal[] = [];
    const allowed = written.flatMap(step => this.#allowedStep(call, step, refusals));
    const [first] = refusals;
    return first !== undefined && allowed.length === 0 ? first : allowed;
  }

  /** Whom a 3xx names must be somebody whom the caller, and the one who names them, may call. */
  redirected({ call, target }: Redirection, answer: RedirectAnswer | undefined): RedirectAnswer | undefined {
    return answer && { targets: this.#callable(call, answer.targets, [call.source, ownerOf(target)]) };
  }

  /** Whoever asks for a transfer must be one who may call there. */
  referred({ call, by, dialled, consulted }: Referral, answer: ReferAnswer | undefined): ReferAnswer | undefined {
    // Both are in calls that were admitted.
    if (answer?.action === 'join' || consulted) return answer;
    const targets = answer ? this.#callable({ id: call.id, dialled }, answer.targets, [ownerOf(by)]) : [];
    return answer === undefined || targets.length === 0 ? undefined : { ...answer, targets };
  }

  /** Asked of each leg in the moment in which it is dialled. */
  dial({ call, target }: OutgoingLeg): Refusal | undefined {
    const owner = ownerOf(target);
    if (owner === undefined) return undefined;
    const refused = this.#isEmergency(call, [target]) ? undefined : this.#refusesNow(owner, 'to', call.id);
    if (refused) return refused;
    if (owner.kind === 'trunk') this.#takeRate(owner, 'to');
    this.#held.admit(call.id, owner);
    return undefined;
  }

  /** By what its caller dialled, or by what a target of its route gets. */
  isEmergencyCall({ dialled, flow }: CallRecord): boolean {
    return this.#isEmergency({ dialled }, flow.flatMap(targetsOf));
  }

  /** The call is over. */
  forget(callId: string): void {
    this.#held.forget(callId);
  }

  #callable(
    call: Pick<IncomingCall, 'id' | 'dialled'>,
    targets: readonly ConnectTarget[],
    payers: readonly (Owner | undefined)[],
  ): readonly ConnectTarget[] {
    const written = targets.map(one => this.#writtenTarget(one));
    if (this.#isEmergency(call, written)) return written;
    const owners = payers.filter(one => one !== undefined);
    return written.filter(one => this.#refusesTarget(call.id, one, owners) === undefined);
  }

  #isEmergency(call: Pick<IncomingCall, 'dialled'>, targets: readonly ConnectTarget[]): boolean {
    return isEmergency(this.#rules().emergency, [call.dialled, ...targets.map(({ uri }) => userOf(uri))]);
  }

  #refusesSource(call: IncomingCall): Refusal | undefined {
    return this.#refusesCaller(call) ?? this.#refusesNow(call.source, 'from', call.id);
  }

  /** A subscriber's caller was looked at by the edge. */
  #refusesCaller({ source, callerNumber }: IncomingCall): Refusal | undefined {
    if (source.kind !== 'trunk') return undefined;
    const identities = this.#rules().identitiesOf(source.trunk);
    const { e164 } = calledNumber(callerNumber, this.#rules().numbersOf(source.trunk));
    const isTheirs = identities.some(prefix => callerNumber.startsWith(prefix) || e164?.startsWith(prefix));
    return identities.length === 0 || isTheirs ? undefined : notTheirs(source, callerNumber);
  }

  /** Whom it will connect to is not known yet. */
  #admitFlow(call: IncomingCall, answer: NamedFlowAnswer): NamedFlowAnswer | Refusal {
    if (!this.#isEmergency(call, [])) {
      const refused = this.#refusesSource(call);
      if (refused) return { ...refused, routeName: answer.routeName };
      this.#takeRate(call.source, 'from');
    }
    this.#held.begin(call.id, call.source);
    return answer;
  }

  #allowedStep<Step extends FlowStep>(call: IncomingCall, step: Step, refusals: Refusal[]): readonly Step[] {
    if (step.action !== 'connect') return [step];
    const targets = step.targets.filter(target => {
      const refusal = this.#refusesTarget(call.id, target, [call.source]);
      if (refusal) refusals.push(refusal);
      return refusal === undefined;
    });
    return targets.length === 0 ? [] : [{ ...step, targets }];
  }

  #refusesTarget(callId: string, target: ConnectTarget, payers: readonly Owner[]): Refusal | undefined {
    const owner = ownerOf(target);
    for (const payer of payers) {
      const refusal = this.#refusesNumber(payer, target, true);
      if (refusal) return refusal;
    }
    return owner && (this.#refusesNumber(owner, target) ?? this.#refusesNow(owner, 'to', callId));
  }

  /** Only what leaves by a trunk has a number that costs anything. `isPayer`: of one who is to pay for an expensive one. */
  #refusesNumber(owner: Owner, { uri, trunk }: ConnectTarget, isPayer = false): Refusal | undefined {
    if (trunk === undefined) return undefined;
    const rules = this.#rules();
    const number = judgedNumber(userOf(uri), rules.numbersOf(trunk));
    const { allow, block } = rules.limitsOf(owner) ?? { allow: [], block: [] };
    const why =
      destinationRefusal(number, { allow, block }) ??
      (isPayer ? expensiveRefusal(number, rules.expensive, allow) : undefined);
    return why === undefined ? undefined : forbidden(owner, number.e164 ?? number.written, why);
  }

  #refusesNow(owner: Owner, direction: 'from' | 'to', callId: string): Refusal | undefined {
    const { callsAtOnce, callsPerSecond } = this.#rules().limitsOf(owner) ?? {};
    if (callsAtOnce !== undefined && this.#held.count(owner, callId) >= callsAtOnce)
      return tooMany(owner, 'callsAtOnce', callsAtOnce);
    if (callsPerSecond === undefined || (owner.kind === 'subscriber' && direction === 'to')) return undefined;
    const isFree = this.#rate(owner, direction, callsPerSecond).has(callsPerSecond, Date.now());
    return isFree ? undefined : tooMany(owner, 'callsPerSecond', callsPerSecond);
  }

  #takeRate(owner: Owner, direction: 'from' | 'to'): void {
    const { callsPerSecond } = this.#rules().limitsOf(owner) ?? {};
    if (callsPerSecond !== undefined) this.#rate(owner, direction, callsPerSecond).take();
  }

  #rate(owner: Owner, direction: 'from' | 'to', perSecond: number): CallRate {
    const key = `${direction} ${ownerName(owner)}`;
    const rate = this.#rates.get(key) ?? new CallRate(perSecond, Date.now());
    this.#rates.set(key, rate);
    return rate;
  }

  #written(answer: FlowAnswer): FlowAnswer {
    return { ...answer, flow: this.#writtenSteps(answer.flow) };
  }

  #writtenSteps<Step extends FlowStep>(steps: readonly Step[]): readonly Step[] {
    return steps.map(step =>
      step.action === 'connect' ? { ...step, targets: step.targets.map(one => this.#writtenTarget(one)) } : step,
    );
  }

  #writtenTarget(target: ConnectTarget): ConnectTarget {
    if (target.trunk === undefined) return target;
    const rules = this.#rules().numbersOf(target.trunk);
    if (rules.format === 'as-is') return target;
    const { e164 } = calledNumber(userOf(target.uri), rules);
    return e164 === undefined ? target : { ...target, uri: withUser(target.uri, writeNumber(e164, rules)) };
  }
}

/**
 * A number that is on its way to a trunk: as its route made it, or in the trunk's own format already. So many digits without any prefix are
 * taken for one with its country's code: many carriers do, also those whose format nobody has written down.
 */
function calledNumber(written: string, rules: NumberRules): CalledNumber {
  const e164 =
    readNumber(written, { ...rules, format: 'as-is' }) ??
    readNumber(written, rules) ??
    (/^[1-9]\d{9,14}$/.test(written) ? `+${written}` : undefined);
  return { written, ...(e164 === undefined ? {} : { e164 }) };
}

/** E.164 has 15 digits at most; an international prefix goes before them. */
const mostRead = 20;
const fewestRead = 8;

/** A number as rules judge it: digits behind its end, which a carrier passes over, do not hide it. */
function judgedNumber(written: string, rules: NumberRules): CalledNumber {
  const digits = written.replace(/[ ().-]/g, '').slice(0, mostRead);
  const isLong = new RegExp(`^\\+?\\d{${fewestRead},}$`).test(digits);
  for (let end = digits.length; isLong && end >= fewestRead; end--) {
    const { e164 } = calledNumber(digits.slice(0, end), rules);
    if (e164 !== undefined) return { written, e164 };
  }
  return calledNumber(written, rules);
}

function targetsOf(step: FlowStep): readonly ConnectTarget[] {
  return step.action === 'connect' ? step.targets : [];
}

function ownerOf({ trunk, subscriber }: { readonly trunk?: string; readonly subscriber?: string }): Owner | undefined {
  if (trunk !== undefined) return { kind: 'trunk', trunk };
  return subscriber === undefined ? undefined : { kind: 'subscriber', subscriber };
}
