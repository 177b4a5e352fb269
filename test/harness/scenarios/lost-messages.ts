// One message after the other is lost, or comes again, as SIPp plays it: run with `retransmits: false`.
import { audioSdp, SippScenario } from '../sipp-scenario.js';

const sdp = audioSdp();

/**
 * The INVITE comes again after its 100, the ACK only after the 200 has come again, and it and our BYE twice. SIPp looks for messages
 * between two sends: what could be answered in between is waited for.
 */
export function repeatingCaller(): SippScenario {
  return SippScenario.caller('a caller whose messages come again')
    .send('INVITE', { sdp })
    .expect(100)
    .again()
    .expect(200)
    .expect(200)
    .send('ACK')
    .again()
    .pause(600)
    .mark('played')
    .expect('BYE', { withinMs: 60_000 })
    .expect('BYE')
    .respond(200);
}

/** The INVITE is answered the second time, the 200 comes again after its ACK, and again after a 180 that is late. */
export function repeatingCallee(): SippScenario {
  return SippScenario.callee('a callee whose messages come again')
    .expect('INVITE')
    .respond(180, { toInvite: true })
    .again()
    .pause(100)
    .respond(200, { toInvite: true, sdp })
    .expect('ACK')
    .again()
    .expect('ACK')
    .respond(180, { toInvite: true })
    .pause(100)
    .respond(200, { toInvite: true, sdp })
    .expect('ACK')
    .pause(600)
    .mark('played')
    .expect('BYE', { withinMs: 60_000 })
    .expect('BYE')
    .respond(200);
}

/** Whoever hangs up says so twice. */
export function hangingUpTwice(party: SippScenario): SippScenario {
  return party.mark('up').pause(300).send('BYE').expect(200).again().expect(200);
}

/** Never acknowledges what it is answered with: the 200 comes again for 32 s (RFC 3261 §13.3.1.4). */
export function deafCaller(): SippScenario {
  const again = Array.from({ length: 12 });
  const deaf = SippScenario.caller('a caller that never sends its ACK').send('INVITE', { sdp }).expect(200);
  return again.reduce((party: SippScenario) => party.expect(200, { optional: true }), deaf).isHungUp();
}
