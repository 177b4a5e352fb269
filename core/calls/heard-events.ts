// What an Asterisk tells of a leg's channel, as an event of the leg's call.
import { receivedEnd, type AriEvent, type EventOf } from '../ports/asterisk.js';
import type { CallEvent } from './call-machine.js';
import type { ReplacedDialog } from './call-record.js';
import { endHeaders, type PassingRules } from './passed-headers.js';
import { contactsOf } from './redirections.js';
import { readFields } from './sip-fields.js';
import { finalStatus } from './sip-status.js';

export interface HeardEvent {
  /** Of the leg, or of a playback, which is named as legs are: the call's id, and a name in it. */
  readonly id: string;
  readonly event: CallEvent;
}

/** Of a leg that Asterisk ends as no RTP comes (rtp_check_timeout() of res_pjsip_sdp_rtp.c); a phone that gives it says so in its BYE. */
const rtpTimeoutCause = 44;

/** Undefined for what no call needs to hear. */
export function heardEvent(event: AriEvent, passing: () => PassingRules): HeardEvent | undefined {
  switch (event.type) {
    case 'Dial':
      return dialled(event.peer.id, event.dialstatus);
    case 'ChannelStateChange':
      return dialled(event.channel.id, statusOf[event.channel.state] ?? '');
    case 'ChannelDtmfReceived':
      return { id: event.channel.id, event: { type: 'flow', event: { type: 'digit', digit: event.digit } } };
    case 'PlaybackFinished':
      return played(event.playback);
    case 'ChannelHold':
    case 'ChannelUnhold':
      return held(event.channel.id, event.type === 'ChannelHold');
    case 'ChannelTransfer':
      return referred(event);
    case 'ChannelDestroyed':
      return { id: event.channel.id, event: legEnded(event, passing()) };
    default:
      return undefined;
  }
}

/** What a leg's state is as the status of a Dial event. Of its dialling it has none but PROGRESS (patches/0012), in a bridge all. */
const statusOf: Readonly<Record<string, string>> = { Ringing: 'RINGING', Up: 'ANSWER' };

function held(leg: string, held: boolean): HeardEvent {
  return { id: leg, event: { type: 'legHeld', leg, held } };
}

function dialled(leg: string, status: string): HeardEvent | undefined {
  if (status === 'RINGING') return { id: leg, event: { type: 'legRinging', leg } };
  if (status === 'PROGRESS') return { id: leg, event: { type: 'legProgress', leg } };
  if (status === 'ANSWER') return { id: leg, event: { type: 'legAnswered', leg } };
  return undefined;
}

function played({ id, state }: EventOf<'PlaybackFinished'>['playback']): HeardEvent {
  const item = id.slice(id.lastIndexOf('-') + 1);
  return { id, event: { type: 'flow', event: { type: 'itemPlayed', id: item, failed: state === 'failed' } } };
}

/** With a state it is an echo of our own word. */
function referred({ state, refer_to, referred_by }: EventOf<'ChannelTransfer'>): HeardEvent | undefined {
  if (state !== undefined) return undefined;
  const { id: leg } = referred_by.source_channel;
  const { destination: dialled } = refer_to.requested_destination;
  const replaces = replacedDialogOf(refer_to.requested_destination);
  return { id: leg, event: { type: 'referred', leg, dialled, ...(replaces && { replaces }) } };
}

/** The tags are told as whoever is replaced has them: `to` is ours. */
function replacedDialogOf({
  protocol_id: sipCallId,
  additional_protocol_params: params = [],
}: EventOf<'ChannelTransfer'>['refer_to']['requested_destination']): ReplacedDialog | undefined {
  if (sipCallId === undefined) return undefined;
  const tag = (name: string): string => params.find(one => one.parameter_name === name)?.parameter_value ?? '';
  return { sipCallId, localTag: tag('to'), remoteTag: tag('from') };
}

function legEnded({ channel, cause, tech_cause }: EventOf<'ChannelDestroyed'>, passing: PassingRules): CallEvent {
  const received = channel.channelvars?.[receivedEnd] ?? '';
  const fields = readFields(received);
  return {
    type: 'legEnded',
    leg: channel.id,
    sipStatus: finalStatus(tech_cause, cause),
    headers: endHeaders(fields, passing),
    contacts: contactsOf(fields),
    silent: cause === rtpTimeoutCause && received === '',
    givenUp: tech_cause === 408 && received === '',
    cancelled: tech_cause === 487 && channel.state !== 'Up',
  };
}
