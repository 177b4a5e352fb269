// Transfers (RFC 3515, RFC 5589), as SIPp plays whoever asks for one in a call that is up.
import type { SippScenario } from '../sipp-scenario.js';

export interface Transfer {
  /** Number of the Refer-To. */
  readonly to: string;
  /** Of the Refer-To's URI. */
  readonly query?: string;
}

/**
 * A REFER, and what is told of it: that it is being followed, and its outcome. A NOTIFY may overtake the 202 (RFC 6665 section 4.1.2.4), and
 * one the other: marks say what has come, `accepted` and `told SIP/2.0` with each status.
 */
export function transfers(party: SippScenario, transfer: Transfer): SippScenario {
  const told = (so: SippScenario): SippScenario =>
    accepted(so).expect('NOTIFY', { withinMs: 15_000, body: 'SIP/2.0 [0-9]+', mark: 'told [found]' }).respond(200);
  return accepted(told(told(asks(party, transfer))));
}

/** A REFER of one who leaves once it is accepted, or, `isTold`, when told that it is being followed, which may come before. */
export function transfersAndLeaves(party: SippScenario, transfer: Transfer, isTold: boolean): SippScenario {
  const asked = asks(party, transfer);
  return (isTold ? accepted(asked).expect('NOTIFY', { body: 'SIP/2.0 100' }).respond(200) : asked.expect(202)).hangUp();
}

function accepted(party: SippScenario): SippScenario {
  return party.expect(202, { optional: true, mark: 'accepted' });
}

function asks(party: SippScenario, { to, query = '' }: Transfer): SippScenario {
  const headers = [['Refer-To', `"Somebody" <sip:${to}@holdfast.test${query}>`]] as const;
  return party.pause(300).send('REFER', { headers, once: true });
}

/** An attended one (RFC 3891) to a dialog that is not there. */
export function transfersAttended(party: SippScenario): SippScenario {
  return transfers(party, { to: '70002', query: '?Replaces=a%40b%3Bto-tag%3Dc%3Bfrom-tag%3Dd' });
}
