// Reads ARI events from the wire: those that core knows are checked, all others are skipped and counted.
import type { AriEvent } from '../core/ports/asterisk.js';

type Fields = Readonly<Record<string, unknown>>;

/**
 * True where an event has what core reads of it. Plain checks on what JSON.parse gave: a schema makes a copy of each event, which for
 * seven events a call was more than all that is done about them.
 */
type Check = (event: Fields) => boolean;

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null;
const isText = (value: unknown): boolean => typeof value === 'string';
const isNumber = (value: unknown): boolean => typeof value === 'number';

function isChannel(value: unknown): boolean {
  if (!isFields(value) || !isText(value['id']) || !isText(value['name']) || !isText(value['state'])) return false;
  const { caller, channelvars, protocol_id: protocolId } = value;
  if (protocolId !== undefined && !isText(protocolId)) return false;
  if (!isFields(caller) || !isText(caller['name']) || !isText(caller['number'])) return false;
  return channelvars === undefined || (isFields(channelvars) && Object.values(channelvars).every(isText));
}

const ofChannel: Check = event => isChannel(event['channel']);
const named =
  (field: string, ...texts: readonly string[]): Check =>
  event => {
    const value = event[field];
    return isFields(value) && texts.every(text => isText(value[text]));
  };

const known: Readonly<Record<string, Check>> = {
  StasisStart: event => ofChannel(event) && Array.isArray(event['args']) && event['args'].every(isText),
  StasisEnd: ofChannel,
  ChannelStateChange: ofChannel,
  ChannelHold: ofChannel,
  ChannelUnhold: ofChannel,
  ChannelTalkingStarted: ofChannel,
  ChannelTalkingFinished: ofChannel,
  ChannelDestroyed: event =>
    ofChannel(event) &&
    isNumber(event['cause']) &&
    (event['tech_cause'] === undefined || isNumber(event['tech_cause'])),
  ChannelTransfer: ({ state, refer_to: to, referred_by: by }) =>
    (state === undefined || isText(state)) &&
    isFields(to) &&
    named('requested_destination', 'destination')(to) &&
    isDestination(to['requested_destination']) &&
    isFields(by) &&
    isChannel(by['source_channel']),
  Dial: event => isChannel(event['peer']) && isText(event['dialstatus']),
  ChannelDtmfReceived: event => ofChannel(event) && isText(event['digit']),
  BridgeDestroyed: named('bridge', 'id'),
  ContactStatusChange: named('contact_info', 'aor', 'uri'),
  PlaybackFinished: named('playback', 'id', 'state'),
};

/** What a Refer-To with Replaces adds to it. */
function isDestination(destination: unknown): boolean {
  if (!isFields(destination)) return false;
  const { protocol_id: id, additional_protocol_params: params = [] } = destination;
  const isParameter = (one: unknown): boolean =>
    isFields(one) && isText(one['parameter_name']) && isText(one['parameter_value']);
  return (id === undefined || isText(id)) && Array.isArray(params) && params.every(isParameter);
}

/** Every type that can be read. */
export const knownEvents: readonly string[] = Object.keys(known);

/** The types that core acts upon, which is what Asterisk is asked to send: all others cost it and us for nothing. */
export const heardEvents: readonly string[] = [
  'StasisStart',
  'ChannelStateChange',
  'Dial',
  'ChannelHold',
  'ChannelUnhold',
  'ChannelTalkingStarted',
  'ChannelTalkingFinished',
  'ChannelDestroyed',
  'ChannelTransfer',
  'ChannelDtmfReceived',
  'PlaybackFinished',
  'ContactStatusChange',
];

/** Undefined for garbage and for types that core does not know; which of the two is counted. */
export function readEvent(data: unknown, counters: { garbage: number; skipped: number }): AriEvent | undefined {
  try {
    const text = Buffer.isBuffer(data) ? data.toString('utf8') : String(data);
    const message: unknown = JSON.parse(text);
    if (isFields(message) && typeof message['type'] === 'string') {
      if (!Object.hasOwn(known, message['type'])) {
        counters.skipped += 1;
        return undefined;
      }
      if (known[message['type']]?.(message) === true) return message as unknown as AriEvent;
    }
  } catch {
    // Not JSON: counted below.
  }
  counters.garbage += 1;
  return undefined;
}
