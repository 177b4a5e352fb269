// extensions.conf of each role: a call is the daemon's from its first moment; registrars have no dialplan.
import {
  bridgeVariable,
  conferenceHeader,
  muteHeader,
  receivedInvite,
  recoveredContext,
  stasisApp,
} from '../core/ports/asterisk.js';

/**
 * What the daemon would have to ask for. In one argument, as a caller's bracket that is never closed makes one of all that
 * follow (main/app.c, __ast_app_separate_args; URIENCODE leaves round brackets alone); `&` is in none of the values.
 */
const invite = [
  '${URIENCODE(${CHANNEL(pjsip,call-id)})}',
  '${URIENCODE(${PJSIP_HEADER(read,X-Holdfast-Source)})}',
  '${URIENCODE(${EXTEN})}',
  `\${${receivedInvite}}`,
].join('&');
const inbound = `Stasis(${stasisApp},inbound,${invite})`;

/**
 * After Stasis() a call is over, or no daemon listens: 503, so that a trunk tries elsewhere. `h` runs after each hang-up
 * (main/pbx.c), when Stasis() has set its status; before that it is what was dialled, as any other name.
 * `reject`: the one way to answer with exactly this status. `echo`: far end of the echo test. `recovered`: a session that came up while
 * no daemon listens waits for the next one.
 */
export const callExtensions = `[from-edge]
exten => _[!-~]!,1,${inbound}
 same => n,ExecIf($["\${STASISSTATUS}" = "FAILED"]?PJSIPHangup(503))
 same => n,Hangup()
exten => h,1,ExecIf($["\${STASISSTATUS}" != ""]?Hangup())
 same => n,${inbound}
 same => n,ExecIf($["\${STASISSTATUS}" = "FAILED"]?PJSIPHangup(503))
 same => n,Hangup()

[reject]
exten => _[456]XX,1,PJSIPHangup(\${EXTEN})
 same => n,Hangup()

[${recoveredContext}]
exten => s,1,Stasis(${stasisApp},recovered)
 same => n,ExecIf($["\${STASISSTATUS}" != "FAILED"]?Hangup())
 same => n,Wait(0.5)
 same => n,Goto(1)

[echo]
exten => s,1,Answer()
 same => n,Echo()
 same => n,Hangup()

[nowhere]
`;

/**
 * Only call nodes reach it. What they say is a conference's leg is in it at once, muted where it is to be: `i` answers without
 * waiting for media.
 */
export const conferenceExtensions = `[from-call]
exten => _[!-~]!,1,Set(${bridgeVariable}=\${PJSIP_HEADER(read,${conferenceHeader})})
 same => n,Set(MUTE=\${PJSIP_HEADER(read,${muteHeader})})
 same => n,ExecIf($["\${MUTE}" != ""]?Set(MUTEAUDIO(\${MUTE})=on))
 same => n,Answer(0,i)
 same => n,Stasis(${stasisApp},conference,\${EXTEN},\${MUTE})
 same => n,ExecIf($["\${STASISSTATUS}" = "FAILED"]?PJSIPHangup(503))
 same => n,Hangup()
exten => h,1,Hangup()

[nowhere]
`;

export const registrarExtensions = '[nowhere]\n';
