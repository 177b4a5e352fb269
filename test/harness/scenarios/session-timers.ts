// Session timers (RFC 4028), as SIPp plays them: who refreshes a session of the shortest interval, and who falls silent.
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

/** A party of a call of minutes. */
export interface TimedParty {
  readonly scenario: SippScenario;
  /** Of a call that ends by itself. */
  readonly reason?: string;
}

/** A session of 90 s: ours to refresh (by UPDATE, where SIPp allows it, else by re-INVITE), or SIPp's, which does not. */
export function timedParties(who: 'caller' | 'callee'): readonly TimedParty[] {
  const [us, them] = who === 'caller' ? ['uas', 'uac'] : ['uac', 'uas'];
  const call = (name: string, refresher: string, methods = ''): SippScenario =>
    callUp(who, name, [expires(refresher), allow(methods)]);
  const agreed = { headers: [required, expires('uac')] };
  const refresh = { withinMs: 70_000, header: expires('uac') };
  return [
    {
      scenario: call(`a ${who} that is to refresh, and does not`, them, ', UPDATE').isHungUp(90_000),
      reason: `the ${who} has fallen silent: its session was not refreshed`,
    },
    {
      scenario: call(`a ${who} that is refreshed by UPDATE`, us, ', UPDATE')
        .expect('UPDATE', refresh)
        .respond(200, agreed)
        .mark('refreshed')
        .isHungUp(),
    },
    {
      scenario: call(`a ${who} that is refreshed by re-INVITE, when it has one of its own`, us)
        .expect('INVITE', refresh)
        .respond(491)
        .expect('ACK')
        .expect('INVITE', { header: expires('uac') })
        .respond(200, { sdp, ...agreed })
        .expect('ACK')
        .mark('refreshed')
        .isHungUp(),
    },
  ];
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

/** In a call that is up: SIPp refreshes by either method, and is told that it is its to do. */
export function refreshes(party: SippScenario): SippScenario {
  const headers = [supported, expires('uac')];
  return party
    .send('UPDATE', { headers })
    .expect(200, { header: expires('uac') })
    .send('INVITE', { headers, sdp })
    .expect(200, { header: expires('uac') })
    .send('ACK');
}

/** Wants an hour at least. The ACK to its 422 may come after the next INVITE, which is passed over then and comes again: `lenient`. */
export function patientCallee(): SippScenario {
  return SippScenario.callee('a callee whose sessions are longer')
    .respond(422, { toInvite: true, headers: [['Min-SE', '3600']] })
    .expect('ACK')
    .isCalled({ header: ['Session-Expires', '3600'] })
    .answer({ sdp, headers: [required, ['Session-Expires', '3600;refresher=uac']] });
}
