// Flows with the call's state table, event by event, without a server: menus, time-outs, connects, questions, and recovery.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { advance, type CallAction, type CallEvent } from '../../core/calls/call-machine.js';
import type { CallRecord } from '../../core/calls/call-record.js';
import { noLimits } from '../../core/calls/limits.js';
import { newCallRecord } from '../../core/calls/new-call.js';
import { resumeActions } from '../../core/calls/call-resume.js';
import type { ConnectWish } from '../../core/calls/connect-steps.js';
import { flowActions, noServices, type FlowServices } from '../../core/flows/action-registry.js';
import { checkFlow } from '../../core/flows/check-flows.js';
import type { FlowAction, FlowScene } from '../../core/flows/flow-facts.js';
import { foundRoute } from '../../core/flows/flow-routes.js';
import { newFlowRun } from '../../core/flows/flow-run.js';
import { Flows } from '../../core/flows/flows.js';
import { keysOf, type RunEvent } from '../../core/flows/interpreter.js';
import { incomingCall } from '../../core/testing/facts.js';

const actions = flowActions(noServices);

/** A call that runs a flow, driven by events at times. */
class FlowCall {
  call: CallRecord;
  /** Of the last event. */
  last: readonly CallAction[] = [];
  nowMs = 1_000_000;

  constructor(flow: readonly unknown[]) {
    const { entries, problems, issues } = checkFlow(flow, { actions });
    assert.deepEqual([problems, issues], [[], []]);
    this.call = newCallRecord(incomingCall({ id: 'c1' }), 'call-1', 'caller', this.nowMs, noLimits);
    this.tell({ type: 'routed', answer: { flow: [], run: newFlowRun('test', entries), routeName: 'r' } });
  }

  tell(event: CallEvent): this {
    const { call, actions: done } = advance(this.call, event, this.nowMs, { actions });
    this.call = call;
    this.last = done;
    return this;
  }

  hear(event: RunEvent): this {
    return this.tell({ type: 'flow', event });
  }

  digits(digits: string): this {
    for (const digit of digits) this.hear({ type: 'digit', digit });
    return this;
  }

  /** The present playback ends. */
  played(): this {
    return this.hear({ type: 'itemPlayed', id: this.run.playback?.id ?? '', failed: false });
  }

  /** Time passes, up to a timer or the end of a tone, which fires. */
  later(seconds: number): this {
    this.nowMs += seconds * 1000;
    const { timer, playback } = this.run;
    if (playback?.untilMs != null && playback.untilMs <= this.nowMs)
      return this.hear({ type: 'timer', which: 'item', atMs: playback.untilMs });
    if (timer && timer.atMs <= this.nowMs) return this.hear({ type: 'timer', which: 'step', atMs: timer.atMs });
    return this;
  }

  answer(value: unknown): this {
    return this.hear({ type: 'answer', asking: this.run.asking ?? -1, value });
  }

  get run(): NonNullable<CallRecord['run']> {
    assert.ok(this.call.run);
    return this.call.run;
  }

  get at(): string {
    return this.run.entries[this.run.at]?.label ?? String(this.run.at);
  }

  get did(): string[] {
    return this.last.map(one => ('media' in one ? `play ${one.media}` : one.do));
  }
}

const done = { action: 'hangup', label: 'done' } as const;
const menu = {
  action: 'digits_receive',
  label: 'menu',
  prompt: 'menu',
  invalidPrompt: 'wrong',
  choices: { '1': 'one', '12': 'twelve', '2': 'two' },
  retries: 1,
  onTimeout: 'done',
  onInvalid: 'done',
};
const menuFlow = [
  menu,
  { action: 'sleep', label: 'one', seconds: 100 },
  { action: 'sleep', label: 'twelve', seconds: 100 },
  { action: 'sleep', label: 'two', seconds: 100 },
  done,
];

describe('a menu', () => {
  test('answers, plays its prompt, and a digit stops it and chooses', () => {
    const call = new FlowCall(menuFlow);
    assert.deepEqual(call.did, ['answer', 'play sound:menu']);
    assert.equal(call.call.state, 'confirmed');
    call.digits('2');
    assert.deepEqual(call.did, ['stopPlay']);
    assert.equal(call.at, 'two');
    assert.equal(call.run.variables['digits'], '2');
  });

  test('waits where a longer choice begins with what was pressed', () => {
    assert.equal(new FlowCall(menuFlow).digits('12').at, 'twelve');
    assert.equal(new FlowCall(menuFlow).digits('1').at, 'menu');
    assert.equal(new FlowCall(menuFlow).digits('1').later(3).at, 'one', 'no further digit in time');
    assert.equal(new FlowCall(menuFlow).digits('1#').at, 'one', 'the terminator');
  });

  test('says what is wrong, lets the caller try again, and goes on after the last try', () => {
    const call = new FlowCall(menuFlow).played().digits('9');
    assert.deepEqual(call.did, ['play sound:wrong']);
    call.played();
    assert.deepEqual(call.did, ['play sound:menu']);
    call.played().digits('9');
    assert.deepEqual(call.did, ['hangup', 'leave']);
    assert.equal(call.call.ending?.reason, 'the flow hangs up');
  });

  test('counts its time-out from the end of the prompt', () => {
    const call = new FlowCall(menuFlow).later(60);
    assert.equal(call.at, 'menu');
    call.played().later(5);
    assert.deepEqual(call.did, ['play sound:menu'], 'a second try');
    call.played().later(5);
    assert.equal(call.call.ending?.outcome, 'answered');
  });
});

describe('a number', () => {
  const pin = (more: object = {}): readonly object[] => [
    { action: 'digits_receive', label: 'pin', variable: 'pin', maxDigits: 4, retries: 0, onInvalid: 'done', ...more },
    { action: 'sleep', label: 'in', seconds: 100 },
    done,
  ];

  test('is done with as many digits as it may have, by the terminator, or in time', () => {
    assert.equal(new FlowCall(pin()).digits('1234').run.variables['pin'], '1234');
    assert.equal(new FlowCall(pin()).digits('12#').run.variables['pin'], '12');
    assert.equal(new FlowCall(pin()).digits('12').later(3).run.variables['pin'], '12');
    assert.equal(new FlowCall(pin({ terminator: 'none' })).digits('12#').at, 'pin', 'then # is a digit');
  });

  test('that is not the right one is not kept', () => {
    const call = new FlowCall(pin({ accept: ['4711', '${dialled}'] })).digits('9999');
    assert.equal(call.call.ending?.by, 'holdfast');
    assert.equal(call.run.variables['pin'], '');
    assert.equal(new FlowCall(pin({ accept: ['4711'] })).digits('4711').at, 'in');
    assert.equal(new FlowCall(pin({ accept: ['${dialled}'], maxDigits: 5 })).digits('70001').at, 'in');
  });
});

describe('play', () => {
  test('plays sounds, a tone for its time and silence, one after the other', () => {
    const call = new FlowCall([
      { action: 'play', items: ['a', { tone: '440', seconds: 2 }, { silence: 1 }, 'b'] },
      { action: 'sleep', seconds: 9 },
    ]);
    assert.deepEqual(call.did, ['answer', 'play sound:a']);
    assert.deepEqual(call.played().did, ['play tone:440']);
    assert.deepEqual(call.later(2).did, ['stopPlay']);
    assert.deepEqual(call.later(1).did, ['play sound:b']);
    assert.equal(call.played().at, '1');
  });

  test('of a playback that is no more, nothing is heard', () => {
    const call = new FlowCall([{ action: 'play', items: ['a', 'b'] }]);
    const first = call.run.playback?.id ?? '';
    call.played().hear({ type: 'itemPlayed', id: first, failed: false });
    assert.equal(call.run.playback?.index, 1);
  });

  test('is not repeated for ever where it cannot be played', () => {
    const call = new FlowCall([{ action: 'play', items: 'a', times: 0, seconds: 60 }]);
    call.hear({ type: 'itemPlayed', id: call.run.playback?.id ?? '', failed: true });
    assert.equal(call.call.ending?.reason, 'flow done');
  });

  test('as early media answers nobody', () => {
    const call = new FlowCall([
      { action: 'play', items: 'sorry', early: true },
      { action: 'reject', status: 404 },
    ]);
    assert.deepEqual(call.did, ['play sound:sorry']);
    assert.deepEqual(call.played().last, [{ do: 'reject', sipStatus: 404 }, { do: 'leave' }]);
  });
});

describe('connect', () => {
  const found = (...uris: string[]): unknown => [
    { action: 'connect', targets: uris.map(uri => ({ uri })), strategy: 'in-order' },
  ];
  const flow = [
    { action: 'answer' },
    { action: 'connect', label: 'dial', to: [{ uri: 'sip:a@b' }], onBusy: 'busy', onDeclined: 'declined' },
    { action: 'sleep', label: 'others', seconds: 9 },
    { action: 'sleep', label: 'busy', seconds: 9 },
    { action: 'goto', to: 'dial', atMost: 1 },
    done,
    { action: 'sleep', label: 'declined', seconds: 9 },
  ];
  const ended = (leg: string, sipStatus: number): CallEvent => ({ type: 'legEnded', leg, sipStatus });

  test('lets an answered caller hear the ringing tone until somebody answers', () => {
    const call = new FlowCall(flow);
    assert.deepEqual(call.did, ['answer', 'play tone:ring', 'ask']);
    call.answer(found('sip:a@b'));
    assert.deepEqual(call.last, [{ do: 'dial', legs: ['c1-1'] }]);
    call.tell({ type: 'legAnswered', leg: 'c1-1' });
    assert.deepEqual(call.did, ['stopPlay', 'join']);
    call.digits('1');
    assert.deepEqual(call.did, [], 'digits are for the other one now');
    call.tell(ended('c1-1', 200));
    assert.equal(call.call.ending?.by, 'callee');
  });

  for (const [status, at, outcome] of [
    [486, 'busy', 'busy'],
    [600, 'busy', 'busy'],
    [603, 'declined', 'declined'],
    [480, 'others', 'no-answer'],
    [503, 'others', 'failed'],
  ] as const) {
    test(`that ends with ${status} goes on at ${at}`, () => {
      const call = new FlowCall(flow).answer(found('sip:a@b')).tell(ended('c1-1', status));
      assert.equal(call.at, at);
      assert.deepEqual(
        [call.run.variables['connect_outcome'], call.run.variables['connect_status']],
        [outcome, `${status}`],
      );
    });
  }

  test('that is begun again dials again, and the failures of before are over', () => {
    const call = new FlowCall(flow).answer(found('sip:a@b', 'sip:c@d'));
    call.tell(ended('c1-1', 486)).tell(ended('c1-2', 486));
    assert.equal(call.at, 'busy');
    call.later(9);
    assert.equal(call.at, 'dial');
    call.answer(found('sip:a@b'));
    assert.deepEqual(call.last, [{ do: 'dial', legs: ['c1-3'] }]);
    call.tell(ended('c1-3', 503));
    assert.deepEqual([call.at, call.run.variables['connect_status']], ['others', '503']);
  });

  test('whose target answers as it is given up goes on, and leaves no caller waiting', () => {
    const call = new FlowCall(flow).answer(found('sip:a@b')).tell({ type: 'ringTimeout', leg: 'c1-1' });
    call.tell({ type: 'legAnswered', leg: 'c1-1' }).tell(ended('c1-1', 200));
    assert.deepEqual([call.at, call.run.variables['connect_status']], ['others', '480']);
  });

  test('that was given up is not heard of again when its target answers late, while the next one is asked for', () => {
    const next = { action: 'connect', label: 'busy', to: [{ uri: 'sip:c@d' }] };
    const call = new FlowCall([flow[0], { ...flow[1], onDeclined: 'busy' }, next]);
    call.answer([{ action: 'connect', targets: [{ uri: 'sip:a@b' }, { uri: 'sip:e@f' }], strategy: 'at-once' }]);
    call.tell(ended('c1-1', 603)).tell({ type: 'legAnswered', leg: 'c1-2' });
    assert.deepEqual([call.at, call.last.map(one => one.do)], ['busy', ['hangup']]);
    call.tell(ended('c1-2', 200));
    assert.deepEqual([call.at, call.run.asking !== null], ['busy', true]);
  });

  test('with nobody to call is as one that nobody answers; goto counts how often', () => {
    const call = new FlowCall(flow).answer([]);
    assert.deepEqual([call.at, call.run.variables['connect_status']], ['others', '480']);
  });

  test('refused for the whole call cancels the others, whose end then is nothing to the flow', () => {
    const call = new FlowCall(flow).answer([
      { action: 'connect', targets: [{ uri: 'sip:a@b' }, { uri: 'sip:c@d' }], strategy: 'at-once' },
    ]);
    call.tell(ended('c1-1', 603));
    assert.deepEqual(call.did, ['hangup', 'stopPlay']);
    assert.equal(call.at, 'declined');
    call.tell(ended('c1-2', 487));
    assert.equal(call.at, 'declined');
  });

  const desk = { action: 'connect', label: 'dial', to: [{ uri: 'sip:a@b' }], onHangup: 'after' };

  test('whose party hangs up goes on with the caller, as often as the flow says, and connects anew', () => {
    const again = [desk, done, { action: 'play', label: 'after', items: 'survey' }];
    const call = new FlowCall([...again, { action: 'goto', to: 'dial' }]);
    call.answer(found('sip:a@b')).tell({ type: 'legAnswered', leg: 'c1-1' });
    call.tell({ type: 'joined', conferenceId: 'c1-conf' }).tell(ended('c1-1', 200));
    assert.deepEqual(call.did, ['unhold', 'leave', 'play sound:survey']);
    assert.deepEqual([call.at, call.call.ending, call.call.conferenceId], ['after', null, null]);
    assert.equal(call.run.variables['connect_outcome'], 'answered');
    call.played().answer(found('sip:c@d'));
    assert.deepEqual(call.last, [{ do: 'dial', legs: ['c1-2'] }]);
    call.tell({ type: 'legAnswered', leg: 'c1-2' });
    assert.deepEqual(call.did, ['stopPlay', 'join']);
    call.tell({ type: 'legEnded', leg: 'caller', sipStatus: 200 });
    assert.equal(call.call.ending?.by, 'caller');
  });

  test('whose party hangs up while the caller has no node goes on when the caller is back', () => {
    const call = new FlowCall([desk, done, { action: 'play', label: 'after', items: 'a' }]);
    call.answer(found('sip:a@b')).tell({ type: 'legAnswered', leg: 'c1-1' });
    call.tell({ type: 'legsMoved', legs: ['caller', 'c1-1'], node: 'call-2', epoch: 'e1' });
    call.tell({ ...ended('c1-1', 200), lost: 'gone' } as CallEvent);
    assert.deepEqual([call.did, call.call.ending], [['unhold', 'leave'], null]);
    call.tell({ type: 'legRecovered', leg: 'caller' });
    assert.deepEqual([call.did, call.at], [['play sound:a'], 'after']);
  });

  test('of a caller who was never answered ends the call with what the last one said', () => {
    const call = new FlowCall([{ action: 'connect', to: [{ uri: 'sip:a@b' }] }]);
    call.answer(found('sip:a@b')).tell(ended('c1-1', 486));
    assert.deepEqual(call.did, ['reject', 'leave']);
    assert.equal(call.call.ending?.sipStatus, 486);
  });
});

describe('transfer', () => {
  const flow = [
    { action: 'answer' },
    { action: 'transfer', to: '10${digit}', onFailed: 'back' },
    done,
    { action: 'sleep', label: 'back', seconds: 9 },
  ];
  const target = { action: 'connect', targets: [{ uri: 'sip:a@b' }], strategy: 'in-order' };

  test('does what the route of the number says: connects, and goes on where nobody answers', () => {
    const call = new FlowCall(flow).answer({ steps: [target, { action: 'echo' }] });
    assert.deepEqual(call.did, ['dial', 'play tone:ring']);
    call.tell({ type: 'legAnswered', leg: 'c1-1' });
    assert.deepEqual(call.did, ['stopPlay', 'join']);
    call.tell({ type: 'legEnded', leg: 'c1-1', sipStatus: 200 });
    assert.equal(call.call.ending?.by, 'callee');
    const failed = new FlowCall(flow).answer({ steps: [target] });
    failed.tell({ type: 'legEnded', leg: 'c1-1', sipStatus: 486 });
    assert.deepEqual([failed.at, failed.run.variables['connect_outcome']], ['back', 'busy']);
  });

  test('goes on in the flow that the number has, which knows what was dialled', () => {
    const call = new FlowCall(flow).answer({ entries: [{ action: 'sleep', label: 'there', seconds: 9 }] });
    assert.deepEqual([call.at, call.run.variables['dialled']], ['there', '10']);
  });

  test('without a route, or nobody there now, goes on', () => {
    for (const value of [{ reject: 404, reason: 'no route' }, { steps: [] }, { steps: [{ ...target, targets: [] }] }])
      assert.equal(new FlowCall(flow).answer(value).at, 'back');
  });
});

describe('what a route says to a flow', () => {
  const flows = new Map([['night', [{ action: 'answer' }]]]);
  const step = { action: 'connect', targets: [{ uri: 'sip:a@b' }], strategy: 'in-order' } as const;
  const refusal = { reject: 403, reason: 'barred' };

  test('is a flow, steps that the call may have, or a refusal', () => {
    const around = { flows, admit: () => refusal };
    const flow = [step, { action: 'echo' } as const];
    assert.deepEqual(foundRoute(undefined, '9', around), { reject: 404, reason: 'no route to 9' });
    assert.deepEqual(foundRoute({ flowName: 'night', routeName: 'r' }, '9', around), { entries: flows.get('night') });
    assert.deepEqual(foundRoute({ flow, routeName: 'r' }, '9', around), { steps: [{ action: 'echo' }] });
    assert.deepEqual(foundRoute({ flow: [step], routeName: 'r' }, '9', around), refusal);
    assert.deepEqual(foundRoute({ flow, routeName: 'r' }, '9', { flows, admit: one => one }), { steps: flow });
  });
});

describe('a caller on hold', () => {
  const flow = (...more: readonly object[]): readonly object[] => [{ action: 'hold', music: ['a', 'b'] }, ...more];

  test('hears the music over the steps that follow, and after what interrupts it from where it was', () => {
    const call = new FlowCall(
      flow({ action: 'sleep', seconds: 5 }, { action: 'play', items: 'busy' }, { action: 'sleep', seconds: 9 }),
    );
    assert.deepEqual(call.did, ['answer', 'play sound:a']);
    call.nowMs += 2_000;
    call.played();
    assert.deepEqual(call.did, ['play sound:b']);
    call.later(5);
    assert.deepEqual(call.did, ['stopPlay', 'play sound:busy']);
    call.played();
    assert.deepEqual(call.last, [{ do: 'play', id: call.run.playback?.id, media: 'sound:b', offsetMs: 5_000 }]);
    call.played();
    assert.deepEqual(call.did, ['play sound:a'], 'over and over');
  });

  test('hears it while others are called, and not any more once connected', () => {
    const call = new FlowCall(
      flow({ action: 'connect', to: [{ uri: 'sip:a@b' }], onHangup: 'after' }, done, {
        ...{ action: 'sleep', label: 'after', seconds: 9 },
      }),
    );
    assert.deepEqual(call.did, ['answer', 'ask', 'play sound:a']);
    call.answer([{ action: 'connect', targets: [{ uri: 'sip:a@b' }], strategy: 'in-order' }]);
    assert.deepEqual(call.did, ['dial']);
    call.tell({ type: 'legAnswered', leg: 'c1-1' });
    assert.deepEqual(call.did, ['stopPlay', 'join']);
    call.digits('1');
    assert.deepEqual(call.did, []);
    call.tell({ type: 'legEnded', leg: 'c1-1', sipStatus: 200 });
    assert.deepEqual(call.did, ['unhold', 'leave']);
  });

  test('hears nothing any more after unhold, nor of music that cannot be played', () => {
    const call = new FlowCall(
      flow({ action: 'sleep', seconds: 5 }, { action: 'unhold' }, { action: 'sleep', seconds: 5 }),
    );
    call.later(5);
    assert.deepEqual([call.did, call.run.playback], [['stopPlay'], null]);
    const failing = new FlowCall(flow({ action: 'sleep', seconds: 5 }));
    const failed = (): FlowCall =>
      failing.hear({ type: 'itemPlayed', id: failing.run.playback?.id ?? '', failed: true });
    assert.deepEqual([failed().did, failed().did, failing.at], [['play sound:b'], [], '1']);
  });

  test('hears it again at its place after the death of their node', () => {
    const call = new FlowCall(flow({ action: 'sleep', seconds: 50 }));
    call.nowMs += 3_000;
    call.tell({ type: 'legsMoved', legs: ['caller'], node: 'call-2', epoch: 'e1' });
    call.tell({ type: 'legRecovered', leg: 'caller' });
    assert.deepEqual(call.last, [{ do: 'play', id: call.run.playback?.id, media: 'sound:a', offsetMs: 3_000 }]);
  });

  test('hears what a frozen node did not play before its death was known', () => {
    const call = new FlowCall(flow({ action: 'sleep', seconds: 50 }));
    call.nowMs += 3_000;
    const sinceMs = call.nowMs - 1_000;
    call.tell({ type: 'legsMoved', legs: ['caller'], node: 'call-2', epoch: 'e1', sinceMs });
    call.tell({ type: 'legRecovered', leg: 'caller' });
    assert.deepEqual(call.last, [{ do: 'play', id: call.run.playback?.id, media: 'sound:a', offsetMs: 2_000 }]);
  });
});

describe('a caller who is muted', () => {
  test('is so again after the death of their node, until unmute', () => {
    const call = new FlowCall([
      { action: 'mute' },
      { action: 'connect', to: [{ uri: 'sip:a@b' }], onHangup: 'after' },
      done,
      { action: 'unmute', label: 'after' },
      { action: 'sleep', seconds: 9 },
    ]);
    call.answer([{ action: 'connect', targets: [{ uri: 'sip:a@b' }], strategy: 'in-order' }]);
    call.tell({ type: 'legAnswered', leg: 'c1-1' });
    call.tell({ type: 'legsMoved', legs: ['caller'], node: 'call-2', epoch: 'e1' });
    call.tell({ type: 'legRecovered', leg: 'caller' });
    assert.deepEqual(call.last, [{ do: 'mute', muted: true }]);
    call.tell({ type: 'legEnded', leg: 'c1-1', sipStatus: 200 });
    assert.deepEqual(call.last, [{ do: 'unhold' }, { do: 'leave' }, { do: 'mute', muted: false }]);
  });

  test('comes into a room as one that the room has muted, and stays muted where it is not let in', () => {
    const call = new FlowCall([
      { action: 'mute' },
      { action: 'conference_join', room: 'r', onRefused: 'other' },
      { action: 'sleep', label: 'other', seconds: 9 },
    ]);
    assert.deepEqual(call.last, [{ do: 'mute', muted: true }, { do: 'mute', muted: false }, { do: 'enter' }]);
    assert.equal(call.call.muted, true);
    call.tell({ type: 'notEntered', sipStatus: 403, reason: 'locked' });
    assert.deepEqual([call.last, call.at], [[{ do: 'mute', muted: true }], 'other']);
  });
});

describe('conference_join', () => {
  const flow = (more: object): readonly object[] => [
    { action: 'play', items: 'welcome' },
    { action: 'conference_join', room: 'meeting-${dialled}', role: 'moderator', ...more },
    { action: 'sleep', label: 'full', seconds: 9 },
  ];

  test('enters the room, and joins it once it has a place', () => {
    const call = new FlowCall(flow({ onRefused: 'full' })).played();
    assert.deepEqual(call.did, ['enter']);
    assert.deepEqual(call.call.flow, [{ action: 'conference_join', room: 'meeting-70001', role: 'moderator' }]);
    assert.deepEqual(call.tell({ type: 'entered' }).did, ['join']);
  });

  test('that is refused goes on elsewhere, or ends the call', () => {
    const refused: CallEvent = { type: 'notEntered', sipStatus: 486, reason: 'full' };
    const call = new FlowCall(flow({ onRefused: 'full' })).played().tell(refused);
    assert.deepEqual([call.at, call.run.variables['connect_status']], ['full', '486']);
    const [first, second] = flow({});
    assert.equal(new FlowCall([first, second]).played().tell(refused).call.ending?.outcome, 'answered');
  });

  test('that was begun when the daemon died is entered again', () => {
    const call = new FlowCall(flow({ onRefused: 'full' })).played();
    const channels = new Map([['caller', { id: 'caller', state: 'Up' } as never]]);
    assert.deepEqual(resumeActions(call.call, channels), [{ do: 'enter' }]);
  });
});

describe('conditions, variables and loops', () => {
  test('branch, condition and variable_set', () => {
    const call = new FlowCall([
      { action: 'variable_set', set: { who: '${caller}/${dialled}', hour: '17:30' } },
      { action: 'branch', on: '${source}', cases: { lab: 'trunk' }, otherwise: 'done' },
      done,
      { action: 'condition', label: 'trunk', if: '${hour}', from: '08:00', to: '18:00', else: 'done' },
      { action: 'condition', if: '9', from: '10', then: 'done' },
      { action: 'sleep', label: 'end', seconds: 9 },
    ]);
    assert.deepEqual([call.at, call.run.variables['who']], ['end', '+15550100/70001']);
  });

  test('a circle that goes round without a pause ends the call; one that waits goes on', () => {
    const circle = (wait: object): FlowCall =>
      new FlowCall([{ action: 'connect', label: 'a', to: [{ uri: 'sip:a@b' }] }, wait, { action: 'goto', to: 'a' }]);
    const hasty = circle({ action: 'variable_set', set: { a: 'b' } });
    for (let i = 0; i < 200 && hasty.call.ending === null; i++) {
      hasty.nowMs += 10;
      hasty.answer([]);
    }
    assert.match(hasty.call.ending?.reason ?? '', /^its flow runs in a circle at step \d: more than 500 steps in 10 s/);
    const patient = circle({ action: 'sleep', seconds: 1 });
    for (let i = 0; i < 1000; i++) patient.answer([]).later(1);
    assert.equal(patient.call.ending, null);
  });
});

describe('fetch', () => {
  const flow = [
    { action: 'fetch', url: 'http://127.0.0.1/${caller}', take: { name: 'name' }, onFailed: 'failed' },
    { action: 'sleep', label: 'known', seconds: 9 },
    { action: 'sleep', label: 'failed', seconds: 9 },
  ];

  test('takes variables, and goes another way where it fails', () => {
    const call = new FlowCall(flow).answer({ status: 200, values: { name: 'Ann' }, flow: null });
    assert.deepEqual([call.at, call.run.variables['name']], ['known', 'Ann']);
    assert.equal(new FlowCall(flow).answer({ status: 500, values: {}, flow: null }).at, 'failed');
    const late = new FlowCall(flow);
    late.hear({ type: 'askFailed', asking: late.run.asking ?? -1, reason: 'late' });
    assert.deepEqual([late.at, late.run.variables['fetch_status']], ['failed', '0']);
  });

  test('an answer that comes when the step is done is nothing', () => {
    const call = new FlowCall(flow);
    const asking = call.run.asking ?? -1;
    call.answer({ status: 200, values: {}, flow: null }).hear({ type: 'askFailed', asking, reason: 'late' });
    assert.equal(call.at, 'known');
  });

  test('may give the flow that the call goes on with', () => {
    const call = new FlowCall([{ action: 'fetch', url: 'http://127.0.0.1/', follow: true }]);
    const next = checkFlow([{ action: 'play', items: 'welcome' }], { actions }).entries;
    call.answer({ status: 200, values: {}, flow: next });
    assert.deepEqual(call.did, ['answer', 'play sound:welcome']);
  });
});

describe('when the node of the caller dies', () => {
  const die = (call: FlowCall): void => {
    call.tell({ type: 'legsMoved', legs: ['caller'], node: 'call-2', epoch: 'e' });
  };
  const back = (call: FlowCall): void => {
    call.tell({ type: 'legRecovered', leg: 'caller' });
  };

  test('an announcement goes on at its offset', () => {
    const call = new FlowCall([{ action: 'play', items: ['a', 'b'] }]);
    call.played().later(3);
    die(call);
    call.nowMs += 500;
    back(call);
    assert.deepEqual(call.last, [{ do: 'play', id: call.run.playback?.id, media: 'sound:b', offsetMs: 3_000 }]);
    call.later(2);
    die(call);
    back(call);
    assert.deepEqual(
      call.last,
      [{ do: 'play', id: call.run.playback?.id, media: 'sound:b', offsetMs: 5_000 }],
      'and again',
    );
  });

  test('a tone has the rest of its time, a time-out the rest that it had, a menu the digits so far', () => {
    const tone = new FlowCall([{ action: 'play', items: { tone: 'busy', seconds: 10 } }]).later(4);
    die(tone);
    tone.nowMs += 5_000;
    back(tone);
    assert.deepEqual(tone.last, [{ do: 'play', id: tone.run.playback?.id, media: 'tone:busy', offsetMs: 0 }]);
    assert.equal(tone.run.playback?.untilMs, tone.nowMs + 6_000);

    const menu = new FlowCall(menuFlow).digits('1').later(1);
    die(menu);
    menu.nowMs += 60_000;
    back(menu);
    assert.equal(menu.run.timer?.atMs, menu.nowMs + 2_000);
    assert.equal(menu.digits('2').at, 'twelve');
  });

  test('an answer that comes meanwhile waits for the caller', () => {
    const call = new FlowCall([
      { action: 'answer' },
      { action: 'fetch', url: 'http://127.0.0.1/' },
      { action: 'play', items: 'a' },
    ]);
    die(call);
    call.answer({ status: 200, values: {}, flow: null });
    assert.deepEqual(call.last, []);
    back(call);
    assert.deepEqual(call.did, ['play sound:a']);
  });

  test('those who were being called are called again, whichever is told first', () => {
    for (const first of ['caller', 'callee'] as const) {
      const call = new FlowCall([{ action: 'answer' }, { action: 'connect', to: [{ uri: 'sip:a@b' }] }]);
      call.answer([{ action: 'connect', targets: [{ uri: 'sip:a@b' }], strategy: 'in-order' }]);
      if (first === 'caller') die(call);
      call.tell({ type: 'legEnded', leg: 'c1-1', sipStatus: 503, nodeDied: true });
      if (first === 'callee') die(call);
      back(call);
      assert.ok(call.did.includes('ask'), `${first} first: ${call.did.join()}`);
      assert.equal(call.call.ending, null);
    }
  });
});

describe('when the daemon comes back', () => {
  test('the caller stays alone, what was asked is asked again, and the time-out has its rest', () => {
    const call = new FlowCall(menuFlow).played().later(2);
    const channels = new Map([['caller', { id: 'caller', state: 'Up' } as never]]);
    assert.deepEqual(resumeActions(call.call, channels), []);
    const left = (call.run.timer?.atMs ?? 0) - call.nowMs;
    const blindSinceMs = call.nowMs;
    call.nowMs += 20_000;
    call.hear({ type: 'takenUp', blindSinceMs });
    assert.equal((call.run.timer?.atMs ?? 0) - call.nowMs, left);

    const asking = new FlowCall([{ action: 'fetch', url: 'http://127.0.0.1/' }]);
    asking.hear({ type: 'takenUp', blindSinceMs: asking.nowMs });
    assert.deepEqual(asking.did, ['ask']);
  });

  test('a playback that is not there any more goes on where the caller was last seen to hear it', () => {
    const call = new FlowCall([{ action: 'play', items: 'a' }]);
    call.nowMs += 2_000;
    const sinceMs = call.nowMs;
    call.nowMs += 3_000;
    call.hear({ type: 'takenUp', blindSinceMs: sinceMs });
    const id = call.run.playback?.id ?? '';
    assert.deepEqual(call.last, [{ do: 'lookPlay', id, sinceMs }]);
    call.hear({ type: 'itemLost', id, sinceMs });
    assert.deepEqual(call.last, [{ do: 'play', id: call.run.playback?.id, media: 'sound:a', offsetMs: 2_000 }]);
  });
});

describe('a call whose party had hung up as the daemon died', () => {
  test('has left its conference when the daemon comes back, and is not put into it again', () => {
    const flow = [
      { action: 'connect', to: [{ uri: 'sip:a@b' }], onHangup: 'after' },
      done,
      { action: 'sleep', label: 'after', seconds: 9 },
    ];
    const call = new FlowCall(flow);
    call.answer([{ action: 'connect', targets: [{ uri: 'sip:a@b' }], strategy: 'in-order' }]);
    call.tell({ type: 'legAnswered', leg: 'c1-1' });
    const channels = new Map([['caller', { id: 'caller', state: 'Up' } as never]]);
    assert.deepEqual(resumeActions(call.call, new Map([...channels, ['c1-1', { id: 'c1-1', state: 'Up' } as never]])), [
      { do: 'join', legs: ['caller', 'c1-1'] },
    ]);
    call.tell({ type: 'legEnded', leg: 'c1-1', sipStatus: 200 });
    assert.deepEqual(resumeActions(call.call, channels), [{ do: 'unhold' }, { do: 'leave' }]);
  });
});

describe('an action of a stranger', () => {
  const flow = (turn: () => unknown): { readonly call: CallRecord; readonly last: readonly CallAction[] } => {
    const action = { name: 'strange', summary: '', step: z.strictObject({}), begin: turn } as unknown as FlowAction;
    const entries = [{ action: 'strange' }];
    const call = newCallRecord(incomingCall({ id: 'c1' }), 'call-1', 'caller', 0, noLimits);
    const routed = { flow: [], run: newFlowRun('test', entries), routeName: 'r' };
    const next = advance(call, { type: 'routed', answer: routed }, 0, {
      actions: flowActions(noServices, [action]),
    });
    return { call: next.call, last: next.actions };
  };

  test('that throws, or says what nobody understands, ends its call and nothing else', () => {
    const wrong: readonly (() => unknown)[] = [
      () => {
        throw new Error('oops');
      },
      () => undefined,
      () => ({ commands: [{ do: 'dance' }] }),
      () => ({ commands: [{ do: 'run', steps: [{ action: 'connect' }] }] }),
      () => ({ play: { items: [7] } }),
    ];
    for (const turn of wrong) {
      const { call, last } = flow(turn);
      assert.deepEqual(
        [call.ending?.sipStatus, last.map(one => one.do)],
        [500, ['reject', 'leave']],
        call.ending?.reason,
      );
    }
    assert.match(flow(wrong[0]!).call.ending?.reason ?? '', /flow test failed at strange \(step 1\) or after it: oops/);
  });

  test('whose word on its time-out throws has not answered', async () => {
    const action: FlowAction = {
      ...{ name: 'strange', summary: '', step: z.strictObject({}), begin: () => ({ ask: true }) },
      ask: () => Promise.resolve(1),
      askTimeoutMs: () => {
        throw new Error('oops');
      },
    };
    const flows = new Flows({
      actions: () => new Map([['strange', action]]),
      named: () => new Map(),
      soundUri: String,
    });
    const call = newCallRecord(incomingCall({ id: 'c1' }), 'call-1', 'caller', 0, noLimits);
    const run = { ...newFlowRun('test', [{ action: 'strange' }]), asking: 1 };
    assert.deepEqual(await flows.ask({ ...call, run }, 1), { type: 'askFailed', asking: 1, reason: 'oops' });
  });
});

describe('what comes from a server', () => {
  const asked = async (given: object, text: string): Promise<unknown> => {
    const services: FlowServices = { ...noServices, exchange: () => Promise.resolve({ status: 200, text }) };
    const action = flowActions(services).get('fetch');
    const [entry] = checkFlow([{ action: 'fetch', url: 'http://127.0.0.1/', ...given }], { actions }).entries;
    const call = incomingCall();
    const scene: FlowScene = {
      ...{ call, answered: true, isOnHold: false, nowMs: 0, variables: {}, visits: 1 },
      text: String,
    };
    return action?.ask?.(keysOf(entry!), scene, new AbortController().signal, 'c1-1');
  };

  test('a flow has the defaults of one in the config: a menu that it leaves out times for has the usual ones', async () => {
    const menu = { action: 'digits_receive', variable: 'pin' };
    const answer = await asked({ follow: true }, JSON.stringify({ flow: [menu] }));
    const call = new FlowCall([{ action: 'fetch', url: 'http://127.0.0.1/', follow: true }]).answer(answer);
    assert.equal(call.run.timer?.atMs, call.nowMs + 5_000);
    await assert.rejects(asked({ follow: true }, '{"flow":[{"action":"dance"}]}'), /no action "dance"/);
  });

  test('a variable in the name or number of a caller cannot leave its place in the From', async () => {
    let wish: ConnectWish | undefined;
    const findTargets = (found: ConnectWish): readonly [] => {
      wish = found;
      return [];
    };
    const action = flowActions({ ...noServices, findTargets }).get('connect');
    const value = `Al"<sip:eve@evil>\r\nEvil: ${'x'.repeat(300)}`;
    const text: FlowScene['text'] = (template, encode = String) => template.replace('${name}', () => encode(value));
    const scene: FlowScene = {
      ...{ call: incomingCall(), answered: true, isOnHold: false, nowMs: 0, variables: {}, visits: 1, text },
    };
    const given = { to: [{ uri: 'sip:a@b' }], callerName: '${name}', callerNumber: '${name}' };
    await action?.ask?.(given, scene, new AbortController().signal, 'c1-1');
    assert.match(wish?.callerName ?? '', /^Alsip:eve@evilEvil: x+$/);
    assert.equal(wish?.callerNumber?.length, 128);
  });

  test('is no status: a caller who was never answered hears one that there is', () => {
    const call = new FlowCall([{ action: 'variable_set', set: { connect_status: 'fine' } }]);
    assert.deepEqual(call.last[0], { do: 'reject', sipStatus: 480 });
  });
});
