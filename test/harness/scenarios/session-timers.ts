// Session timers (RFC 4028), as SIPp plays them: a session of the shortest interval that is recovered.
import type { Header } from '../sip-message.js';
import { audioSdp, SippScenario } from '../sipp-scenario.js';

const sdp = audioSdp();
const supported: Header = ['Supported', 'timer'];
const required: Header = ['Require', 'timer'];
const expires = (refresher: string): Header => ['Session-Expires', `90;refresher=${refresher}`];
const allow = (methods: string): Header => ['Allow', `INVITE, ACK, BYE${methods}`];

function callUp(
  who: 'caller' | 'callee',
  name: string,
  headers: readonly [expires: Header, allow: Header],
): SippScenario {
  if (who === 'callee') return SippScenario.callee(name).answer({ sdp, headers: [required, ...headers] });
  return SippScenario.caller(name)
    .send('INVITE', { sdp, headers: [supported, ...headers] })
    .expect(200, { header: headers[0] })
    .send('ACK');
}

/** A session whose node dies: the re-INVITE of the next one has the interval, and the refresher, that were agreed on. */
export function recoveredParty(who: 'caller' | 'callee', refresher: 'us' | 'them'): SippScenario {
  const isOurs = refresher === 'us';
  const [first, again] = [isOurs === (who === 'callee') ? 'uac' : 'uas', isOurs ? 'uac' : 'uas'];
  const name = `a ${who} whose session ${refresher} refresh${isOurs ? '' : 'es'} is recovered`;
  return callUp(who, name, [expires(first), allow(', UPDATE')])
    .mark('up')
    .expect('INVITE', { withinMs: 30_000, header: expires(again) })
    .respond(200, { sdp, headers: [required, expires(again)] })
    .expect('ACK')
    .mark('recovered')
    .isHungUp();
}
