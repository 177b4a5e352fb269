// Transfers (RFC 3515, RFC 5589), as SIPp plays whoever asks for one in a call that is up.
import type { SippScenario } from '../sipp-scenario.js';

export interface Transfer {
  /** Number of the Refer-To. */
  readonly to: string;
  /** Of the Refer-To's URI. */
  readonly query?: string;
  /** Statuses that the NOTIFYs tell of, one after the other. */
  readonly told: readonly number[];
}

/** A REFER, and what is told of it. */
export function transfers(party: SippScenario, { to, query = '', told }: Transfer): SippScenario {
  const asked = party
    .pause(300)
    .send('REFER', { headers: [['Refer-To', `"Somebody" <sip:${to}@holdfast.test${query}>`]] })
    .expect(202);
  return told.reduce(
    (so, status) => so.expect('NOTIFY', { withinMs: 15_000, body: `SIP/2.0 ${status}` }).respond(200),
    asked,
  );
}

/** An attended one (RFC 3891) to a dialog that is not there. */
export function transfersAttended(party: SippScenario): SippScenario {
  return transfers(party, { to: '70002', query: '?Replaces=a%40b%3Bto-tag%3Dc%3Bfrom-tag%3Dd', told: [100, 603] });
}
