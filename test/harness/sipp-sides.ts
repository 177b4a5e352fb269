// Calls of which SIPp plays one side, and an endpoint of ours the other; answered and with audio when they are given back.
import type { Farm } from './farm.js';
import type { OutgoingCall } from './outgoing-call.js';
import type { SipCall } from './sip-call.js';
import type { SipEndpoint } from './sip-endpoint.js';
import { SippParty, type PartyOptions } from './sipp-party.js';
import type { SippScenario } from './sipp-scenario.js';

/** The party that SIPp plays, and the call at the other side. */
export interface Side<Call extends SipCall = SipCall> {
  readonly party: SippParty;
  readonly call: Call;
}

/** Options of a party, and whom it calls or as whom it is called. */
type SideOptions = Partial<PartyOptions> & { readonly number?: string };

export class SippSides {
  readonly #farm: Farm;
  readonly #caller: SipEndpoint;
  readonly #callee: SipEndpoint;

  /** `caller` calls those whom SIPp plays, `callee` is called by them. */
  constructor(farm: Farm, caller: SipEndpoint, callee: SipEndpoint) {
    this.#farm = farm;
    this.#caller = caller;
    this.#callee = callee;
  }

  async asCaller(scenario: SippScenario, { number = '70001', ...options }: SideOptions = {}): Promise<Side> {
    const arriving = this.#callee.incoming(10_000);
    const party = await SippParty.caller(this.#farm, scenario, number, { host: 201, ...options });
    const call = await party.during(arriving);
    // Without a 180: a 200 that follows at once may overtake it, and SIPp ends a call for what it does not expect.
    await party.during(call.answer());
    return { party, call };
  }

  async asCallee(
    scenario: SippScenario,
    { number = '60001', ...options }: SideOptions = {},
  ): Promise<Side<OutgoingCall>> {
    const party = await SippParty.callee(this.#farm, scenario, { host: 209, ...options });
    const call = await this.#caller.invite(this.#farm.uri(number));
    await party.during(call.answered());
    return { party, call };
  }
}

/** SIPp sends back what it hears: who hears their own tone has audio both ways. */
export async function hearsItself(call: SipCall, hz = 440): Promise<void> {
  call.audio.sendTone(hz);
  const before = call.audio.report().packets;
  await call.waitFor('fresh audio', () => call.audio.report().packets > before + 15);
  await call.audio.hears(hz);
}
