// The rate service: GET <url>?number=<number> answers { "trunks": ["cheapest", "next", …] }.
import { z } from 'holdfast/plugin-api';

const reply = z.looseObject({ trunks: z.array(z.string()) });

/**
 * Names of the trunks that carry a call to `number`, cheapest first. Throws when the service is late, gone or says anything else.
 * @param {string} url
 * @param {string} number
 * @param {AbortSignal} signal
 */
export async function askRates(url, number, signal) {
  const address = new URL(url);
  address.searchParams.set('number', number);
  const response = await fetch(address, { signal });
  if (!response.ok) throw new Error(`the rate service answered ${response.status}`);
  return reply.parse(await response.json()).trunks;
}
