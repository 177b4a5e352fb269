// What nobody has is ended at the second look, and what somebody has is never touched.
import { plainRoom } from '../../core/conferences/conference-record.js';
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { silentLogger } from '../../core/log.js';
import type { AriBridge, AriChannel } from '../../core/ports/asterisk.js';
import { strayBridges, strayChannels, type Holdings } from '../../core/sweep/asterisk-place.js';
import { conferencePlace, dialogPlace } from '../../core/sweep/record-places.js';
import { Sweep, type Stray, type SweptPlace } from '../../core/sweep/sweep.js';

/** A place whose strays a test names, and a sweep over it with a clock of the test's. */
class Room implements SweptPlace {
  readonly name = 'room';
  readonly everyMs = 1_000;
  readonly ended: string[] = [];
  strays: readonly string[] = [];
  isOpen = true;
  looks = 0;
  nowMs = 0;
  readonly #sweep = new Sweep({
    places: () => (this.isOpen ? [this] : []),
    graceMs: () => 2_000,
    log: silentLogger,
    now: () => this.nowMs,
  });

  readonly look = async (): Promise<readonly Stray[]> => {
    this.looks++;
    if (this.strays.includes('!')) throw new Error('not there');
    return this.strays.map(id => ({ id, what: id, fields: {}, end: async () => this.ended.push(id) > 0 }));
  };

  /** Sweeps at these times, with these strays. */
  async at(times: readonly number[], ...strays: readonly string[]): Promise<void> {
    this.strays = strays;
    for (const nowMs of times) {
      this.nowMs = nowMs;
      await this.#sweep.run();
    }
  }
}

describe('a sweep', () => {
  test('ends what it has seen for the whole time of grace, and looks no more often than a place wants', async () => {
    const room = new Room();
    await room.at([0, 500, 999], 'a');
    assert.equal(room.looks, 1);
    await room.at([1_000], 'a', 'b');
    assert.deepEqual(room.ended, []);
    await room.at([2_000], 'a', 'b');
    assert.deepEqual(room.ended, ['a']);
    await room.at([3_000], 'b');
    assert.deepEqual(room.ended, ['a', 'b']);
  });

  test('begins anew with what was somebody’s in between, and when a place did not answer or was away', async () => {
    const room = new Room();
    await room.at([0], 'a');
    await room.at([1_000]);
    await room.at([2_000, 3_000], 'a');
    await room.at([4_000], '!');
    await room.at([5_000, 6_000], 'a');
    room.isOpen = false;
    await room.at([7_000], 'a');
    room.isOpen = true;
    await room.at([8_000, 9_000], 'a');
    assert.deepEqual(room.ended, []);
    await room.at([10_000], 'a');
    assert.deepEqual(room.ended, ['a']);
  });
});

test('a sweep ends several strays at a time: a busy server keeps the last of thousands not waiting for each before it', async () => {
  let [nowMs, running, most] = [0, 0, 0];
  const ended: string[] = [];
  const end = async (id: string): Promise<boolean> => {
    most = Math.max(most, ++running);
    await new Promise(resolve => setImmediate(resolve));
    running--;
    return ended.push(id) > 0;
  };
  const ids = Array.from({ length: 30 }, (_, i) => String(i));
  const look = async (): Promise<readonly Stray[]> => ids.map(id => ({ id, what: id, fields: {}, end: () => end(id) }));
  const places = (): readonly SweptPlace[] => [{ name: 'room', everyMs: 1_000, look }];
  const sweep = new Sweep({ places, graceMs: () => 1_000, log: silentLogger, now: () => nowMs });
  await sweep.run();
  nowMs = 1_000;
  await sweep.run();
  assert.deepEqual([ended, most], [ids, 4]);
});

describe('what an Asterisk holds', () => {
  const channel = (id: string, name: string, exten = ''): AriChannel => ({
    ...{ id, name, state: 'Up', dialplan: { context: '', exten, app_name: '' }, creationtime: '' },
    ...{ caller: { name: '', number: '' }, connected: { name: '', number: '' } },
  });
  const bridge = (id: string): AriBridge => ({ id, technology: '', bridge_type: 'mixing', name: '', channels: [] });
  const holdings: Holdings = {
    channels: new Set(['leg', 'echo-1', 'inner-0-leg']),
    dialled: new Set(['inner-0-far']),
    bridges: new Set(['c-conf']),
  };

  test('is a call’s by its id, both ends of a Local channel too, and on a conference node by what was dialled', () => {
    const channels = [
      channel('leg', 'PJSIP/edge-1'),
      channel('echo-1', 'Local/s@echo-1;1'),
      channel('echo-1;2', 'Local/s@echo-1;2'),
      channel('inner-0-leg', 'PJSIP/conference-2'),
      channel('17.1', 'PJSIP/call-3', 'inner-0-far'),
      channel('17.2', 'PJSIP/call-4', 'inner-1-far'),
      channel('old', 'PJSIP/edge-5'),
      channel('17.3', 'Announcer/ARI-6'),
    ];
    assert.deepEqual(
      strayChannels(channels, holdings).map(({ id }) => id),
      ['17.2', 'old'],
    );
    assert.deepEqual(strayBridges([bridge('c-conf'), bridge('d-conf')], holdings), [bridge('d-conf')]);
  });
});

describe('records of calls that are over', () => {
  const strays = async (place: SweptPlace): Promise<string[]> => (await place.look()).map(({ id }) => id);

  test('participants without a call leave, and a conference without participants ends', async () => {
    const participant = {
      ...{ legId: 'l', callNode: 'call-1', innerLegs: 0, muted: false, deaf: false, onHold: false },
      ...{ role: 'speaker' as const, speaking: false },
      ...{ entering: false, callerNumber: '', callerName: '', joinedMs: 0 },
    };
    const conference = {
      ...{ room: '8000', mixing: 'conference-farm' as const, node: 'conference-1', createdMs: 0 },
      ...{ policy: plainRoom, locked: false, ending: null },
    };
    const done: string[] = [];
    const conferences = {
      list: () => [
        {
          ...conference,
          id: 'room-1',
          participants: [
            { ...participant, callId: 'a' },
            { ...participant, callId: 'b' },
          ],
        },
        { ...conference, id: 'room-2', participants: [] },
      ],
      leave: async (callId: string) => void done.push(callId),
      endIfEmpty: async (id: string) => done.push(id) > 0,
    };
    const place = conferencePlace(conferences, callId => callId === 'a');
    assert.deepEqual(await strays(place), ['room-1 b', 'room-2']);
    for (const stray of await place.look()) await stray.end();
    assert.deepEqual(done, ['b', 'room-2']);
  });

  test('dialogs are not looked at while a Call-ID is unknown, and kept where a leg has them by then', async () => {
    let known: ReadonlySet<string> | undefined;
    const forgotten: string[] = [];
    const dialogs = { callIds: () => ['a', 'b'], forget: async (id: string) => void forgotten.push(id) };
    const place = dialogPlace(dialogs, () => known);
    assert.deepEqual(await strays(place), []);
    known = new Set(['a']);
    const [stray] = await place.look();
    known = new Set(['a', 'b']);
    assert.equal(await stray?.end(), false);
    known = new Set(['a']);
    assert.equal(await stray?.end(), true);
    assert.deepEqual(forgotten, ['b']);
  });
});
