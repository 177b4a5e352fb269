// What a test does with a phone from Debian, whichever it is: one call at a time, and what its user hears and sees.
import type { Farm } from './farm.js';
import type { PhoneProcess } from './phone-process.js';
import { waitFor } from './wait-for.js';

export interface PhoneOptions {
  /** Where it registers, and sends all its requests: at the public VIP. */
  readonly farm: Farm;
  readonly address: string;
  readonly user: string;
  readonly secret: string;
  readonly domain: string;
  /** By UDP where there is none; `trusts` is the file of the certificate that it wants to be shown. */
  readonly tls?: { readonly trusts: string };
  /** What its user says, all the time. */
  readonly hz: number;
}

/** Where its call stands. */
export type PhoneState = 'idle' | 'calling' | 'incoming' | 'established' | 'ended';

export abstract class DebianPhone {
  readonly address: string;
  readonly user: string;
  readonly hz: number;
  protected readonly process: PhoneProcess;
  #state: PhoneState = 'idle';
  #digits = '';

  protected constructor(options: PhoneOptions, process: PhoneProcess) {
    ({ address: this.address, user: this.user, hz: this.hz } = options);
    this.process = process;
  }

  get state(): PhoneState {
    return this.#state;
  }

  /** Digits of the other side in this call. */
  get digits(): string {
    return this.#digits;
  }

  abstract dial(uri: string): Promise<void>;
  abstract accept(): Promise<void>;
  abstract hangup(): Promise<void>;
  /** Resolves when the other side has agreed. */
  abstract hold(): Promise<void>;
  abstract resume(): Promise<void>;
  abstract sendDigit(digit: string): Promise<void>;
  /** Waits until its user hears the tone, in what comes in from now on. */
  abstract hears(hz: number, deadlineMs?: number): Promise<void>;
  /** What it has printed and told, for the description of a failure. */
  abstract story(): string;

  async close(): Promise<void> {
    await this.process.stop();
  }

  /** Waits until its call stands so. */
  async is(state: PhoneState, deadlineMs = 20_000): Promise<void> {
    await this.until(`${this.user} to be ${state}`, () => this.#state === state, deadlineMs);
  }

  async hasDigits(digits: string): Promise<void> {
    await this.until(`digits ${digits} at ${this.user}`, () => this.#digits === digits);
  }

  protected enter(state: PhoneState): void {
    this.#state = state;
    if (state === 'calling' || state === 'incoming') this.#digits = '';
  }

  protected hearDigit(digit: string): void {
    this.#digits += digit;
  }

  protected async until<T>(what: string, condition: () => T | Promise<T>, deadlineMs = 15_000) {
    return waitFor(what, condition, { deadlineMs, describe: () => `${this.#state}, ${this.#digits}\n${this.story()}` });
  }
}
