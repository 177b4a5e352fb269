// What an Asterisk tells of a leg, as its call hears it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { heardEvent } from '../../core/calls/heard-events.js';
import type { AriChannel, AriEvent } from '../../core/ports/asterisk.js';

const rules = { headers: [], domain: 'holdfast.test', trusts: () => false };
const channel = (state = 'Up', channelvars: Record<string, string> = {}): AriChannel =>
  ({ id: 'c1-1', name: 'PJSIP/edge-1', state, caller: { name: '', number: '' }, channelvars }) as unknown as AriChannel;
const heard = (event: object): ReturnType<typeof heardEvent> =>
  heardEvent({ timestamp: '', ...event } as unknown as AriEvent, () => rules);

describe('a call hears', () => {
  test('how far a leg of ours is, by its states and by what is told of its dialling', () => {
    const dial = (dialstatus: string): unknown => heard({ type: 'Dial', peer: channel(), dialstatus })?.event.type;
    assert.deepEqual(['RINGING', 'PROGRESS', 'ANSWER'].map(dial), ['legRinging', 'legProgress', 'legAnswered']);
    assert.deepEqual(['', 'BUSY', 'CANCEL'].map(dial), [undefined, undefined, undefined]);
    const state = (state: string): unknown => heard({ type: 'ChannelStateChange', channel: channel(state) })?.event;
    assert.deepEqual(state('Up'), { type: 'legAnswered', leg: 'c1-1' });
    assert.deepEqual(state('Ringing'), { type: 'legRinging', leg: 'c1-1' });
    assert.equal(state('Ring'), undefined);
  });

  test('why a leg ended: by its far end, by silence, or as nobody answered the INVITE', () => {
    const ended = (cause: number, sip?: number, end = ''): unknown => {
      const fields = { cause, cause_txt: '', ...(sip === undefined ? {} : { tech_cause: sip }) };
      const event = heard({ type: 'ChannelDestroyed', channel: channel('Up', { PJSIP_RECEIVED_END: end }), ...fields });
      return event?.event.type === 'legEnded' && [event.event.sipStatus, event.event.silent, event.event.givenUp];
    };
    assert.deepEqual(ended(17, 486, 'Subject: no'), [486, false, false]);
    assert.deepEqual(ended(44), [503, true, false]);
    assert.deepEqual(ended(44, undefined, 'Reason: Q.850;cause=44'), [503, false, false], 'the phone said so');
    assert.deepEqual(ended(18, 408), [408, false, true]);
    assert.deepEqual(ended(18, 408, 'Subject: no'), [408, false, false], 'somebody answered 408');
  });

  test('that a caller cancelled what Asterisk has never answered', () => {
    const cancelled = (state: string, tech_cause?: number): unknown => {
      const event = heard({ type: 'ChannelDestroyed', channel: channel(state), cause: 127, cause_txt: '', tech_cause });
      return event?.event.type === 'legEnded' && event.event.cancelled;
    };
    assert.deepEqual([cancelled('Ring', 487), cancelled('Up', 487), cancelled('Up')], [true, false, false]);
  });

  test('a REFER with the dialog that it replaces, and no echo of our own word of it', () => {
    const params = [
      { parameter_name: 'to', parameter_value: 'ours' },
      { parameter_name: 'from', parameter_value: 'theirs' },
    ];
    const wanted = { destination: '1003', protocol_id: 'other@phone', additional_protocol_params: params };
    const referred = {
      type: 'ChannelTransfer',
      refer_to: { requested_destination: wanted },
      referred_by: { source_channel: channel() },
    };
    const replaces = { sipCallId: 'other@phone', localTag: 'ours', remoteTag: 'theirs' };
    assert.deepEqual(heard(referred)?.event, { type: 'referred', leg: 'c1-1', dialled: '1003', replaces });
    assert.equal(heard({ ...referred, state: 'channel_progress' }), undefined);
  });

  test('which sound of its flow is over', () => {
    const event = { type: 'itemPlayed', id: 'p3', failed: true };
    const playback = { id: 'c1-p3', state: 'failed' };
    assert.deepEqual(heard({ type: 'PlaybackFinished', playback }), { id: 'c1-p3', event: { type: 'flow', event } });
  });
});
