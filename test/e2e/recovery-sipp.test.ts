// SIPp as the phones, by messages alone: every call of a dead node is re-INVITEd at both ends, and hung up in its new dialog. What the operator is told of it.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import type { RecoveryStatus } from '../../core/control/views.js';
import { statePaths } from '../../core/host/state-folder.js';
import { callRecords } from '../harness/call-records.js';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import { PhonePair } from '../harness/phone-pair.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { Sipp } from '../harness/sipp.js';
import { waitFor } from '../harness/wait-for.js';

const calls = 40;

/** A line of the daemon's log on a session of a dead node; times in ms since the death. */
interface SessionLine {
  readonly level: string;
  readonly msg: string;
  readonly call: string;
  readonly leg: string;
  /** None of a leg without a phone. */
  readonly sipCallId?: string;
  readonly epoch: string;
  readonly from: string;
  readonly node: string;
  readonly declared: number;
  readonly invited: number;
  readonly done: number;
  readonly attempts: number;
  readonly refusals?: readonly string[];
  readonly reason?: string;
}

describe('SIPp', () => {
  let farm: Farm;

  before(async () => {
    farm = await Farm.up();
  });
  after(() => farm.down());

  const recoveries = (): Promise<RecoveryStatus[]> => farm.json('recoveries');
  const sessionLines = async (epoch: string | undefined): Promise<SessionLine[]> => {
    const lines = (await readFile(statePaths(farm.state).daemonLog, 'utf8')).trimEnd().split('\n');
    const all = lines.map(line => JSON.parse(line) as SessionLine);
    return all.filter(one => one.epoch === epoch && one.msg.startsWith('session of '));
  };
  /** A line for each of these sessions and for no other, with its timeline. */
  const toldOf = (
    lines: readonly SessionLine[],
    sipCallIds: readonly string[],
    { detectedMs }: RecoveryStatus,
  ): void => {
    assert.deepEqual(lines.map(line => line.sipCallId).sort(), [...sipCallIds].sort());
    assert.equal(new Set(lines.map(line => line.leg)).size, lines.length);
    for (const line of lines) {
      const { from, node, declared, invited, done } = line;
      assert.deepEqual([from, node, declared], ['call-1', 'call-2', detectedMs]);
      assert.ok(0 <= declared && declared <= invited && invited <= done, JSON.stringify(line));
    }
  };

  test(`has ${calls} calls on a node that dies, and all of them end well`, { timeout: 120_000 }, async () => {
    // All of them begin on call-1.
    await farm.json('drain', 'call-2');
    const callee = await Sipp.uas({ address: farm.host(208), scenario: 'uas-reinvited', deadlineMs: 100_000 });
    const caller = await Sipp.uac({
      ...{ address: farm.host(200), target: { address: farm.host(100), port: 5060 }, service: '70001' },
      ...{ calls, rate: 20, holdMs: 1_000, scenario: 'uac-reinvited', deadlineMs: 100_000 },
    });
    const up = async (): Promise<boolean> => {
      const all = await farm.calls();
      return all.length === calls && all.every(call => call.state === 'confirmed');
    };
    await waitFor('all calls to be up', up, { deadlineMs: 30_000, everyMs: 200 });
    await farm.json('undrain', 'call-2');
    process.kill(await farm.pid('call-1'), 'SIGKILL');
    const outcome = await caller.finished();
    const other = await callee.stop();
    assert.deepEqual([outcome.successful, outcome.failed], [calls, 0], outcome.errors);
    assert.deepEqual([other.successful, other.failed], [calls, 0], other.errors);
    await nothingLeft(farm);
  });

  test('the operator is told of each session, and of all of them', async () => {
    const [recovery, ...others] = await recoveries();
    assert.ok(recovery);
    assert.deepEqual(others, []);
    const { node, farm: kind, epoch, sessions, detectedMs, lastUpMs } = recovery;
    assert.deepEqual([node, kind], ['call-1', 'call']);
    assert.deepEqual(sessions, { found: 2 * calls, recovered: 2 * calls, ended: 0, failed: 0 });
    const lines = await sessionLines(epoch);
    const sipCallIds = (await callRecords(farm)).flatMap(record => record.sipCallIds);
    assert.equal(sipCallIds.length, 2 * calls);
    toldOf(lines, sipCallIds, recovery);
    for (const { level, msg, leg, done } of lines) {
      assert.equal(`${level} ${msg}`, `info session of ${leg} is recovered on call-2 ${done} ms after call-1 died`);
    }
    assert.equal(Math.max(...lines.map(({ done }) => done)), lastUpMs);
    const status = await farm.json<{ recoveries: unknown }>('status');
    assert.deepEqual(status.recoveries, { deaths: 1, sessions });
    const { stdout } = await farm.cli(['recoveries']);
    const rows = stdout.trimEnd().split('\n');
    assert.deepEqual(
      rows.slice(1).map(row => row.split(/ {2,}/)),
      [[node, epoch, detectedMs, 2 * calls, 2 * calls, 0, 0, lastUpMs].map(String)],
    );
  });

  test('does not answer, and keeps no other phone waiting', { timeout: 120_000 }, async () => {
    await farm.whole();
    await farm.json('drain', 'call-2');
    const alice = await SipEndpoint.open({ address: farm.host(200), codecs: ['PCMA'] });
    const bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMA'] });
    // A scenario that knows of no re-INVITE; more of them than are under way to one node at once.
    const silent = 20;
    const caller = await Sipp.uac({
      ...{ address: farm.host(201), target: { address: farm.host(100), port: 5060 }, service: '9001' },
      ...{ calls: silent, rate: 20, holdMs: 90_000, lenient: true, deadlineMs: 100_000 },
    });
    const [earlier] = await recoveries();
    const placed = (await callRecords(farm)).length;
    try {
      const areUp = async (): Promise<boolean> =>
        (await farm.calls()).filter(({ state }) => state === 'confirmed').length === silent;
      await waitFor('the silent calls to be up', areUp, { deadlineMs: 30_000, everyMs: 200 });
      const pair = await PhonePair.call(farm, alice, bob);
      const { reinvites } = pair;
      await farm.json('undrain', 'call-2');
      process.kill(await farm.pid('call-1'), 'SIGKILL');
      await pair.reinvited(reinvites);
      assert.equal((await farm.calls()).length, silent + 1, 'nobody has been given up yet');
      await pair.soundsAgain();
      await pair.hangup('caller');
      await farm.idle(30_000);
    } finally {
      await closeAll(alice, bob);
      await caller.stop();
    }
    await nothingLeft(farm, 45_000);
    const [recovery, ...others] = (await recoveries()).filter(one => one.epoch !== earlier?.epoch);
    assert.ok(recovery);
    assert.deepEqual(others, []);
    // An echo is a leg of its own, without a phone.
    assert.deepEqual(recovery.sessions, { found: 2 * silent + 2, recovered: silent + 2, ended: 0, failed: silent });
    const lines = await sessionLines(recovery.epoch);
    const sipCallIds = (await callRecords(farm)).slice(placed).flatMap(record => record.sipCallIds);
    assert.equal(lines.length, recovery.sessions.found);
    toldOf(
      lines.filter(line => line.sipCallId !== undefined),
      sipCallIds,
      recovery,
    );
    const failed = lines.filter(({ level }) => level === 'warn');
    assert.equal(failed.length, silent);
    for (const { msg, leg, reason } of failed) {
      assert.equal(msg, `session of ${leg} is not recovered: ${reason}`);
      assert.match(reason ?? '', /./);
    }
    const status = await farm.json<{ recoveries: unknown }>('status');
    const [found, recovered] = [2 * calls + 2 * silent + 2, 2 * calls + silent + 2];
    assert.deepEqual(status.recoveries, { deaths: 2, sessions: { found, recovered, ended: 0, failed: silent } });
  });

  test(
    'is not needed: the demo of a recovery kills a node under calls of its own, and shows what happened when',
    { timeout: 120_000 },
    async () => {
      await farm.whole();
      const earlier = (await recoveries()).map(({ epoch }) => epoch);
      const { code, stdout, stderr } = await farm.cli(['demo', 'recovery', '--calls', '3', '--seconds', '1'], 60_000);
      assert.equal(code, 0, `${stdout}${stderr}`);
      const [recovery, ...others] = (await recoveries()).filter(({ epoch }) => !earlier.includes(epoch));
      assert.ok(recovery);
      assert.deepEqual(others, []);
      const { node, sessions } = recovery;
      assert.equal(sessions.recovered, sessions.found);
      const timeline = [...stdout.matchAll(/^ +(\d+) ms {2}(.+)$/gm)].map(([, ms, text]) => ({ ms: Number(ms), text }));
      assert.match(
        timeline[0]?.text ?? '',
        new RegExp(`^${node} \\(process \\d+\\) is killed; it has ${sessions.found} sessions of 3 calls$`),
      );
      assert.deepEqual(
        timeline.slice(1).map(({ text }) => text),
        [
          'the first phone is re-INVITEd',
          `all ${sessions.found} phones are re-INVITEd`,
          'every phone hears the other one again',
        ],
      );
      assert.deepEqual(
        timeline.map(({ ms }) => ms),
        timeline.map(({ ms }) => ms).sort((a, b) => a - b),
      );
      assert.match(
        stdout,
        new RegExp(
          `^${sessions.found} of ${sessions.found} sessions of ${node} were recovered, 6 of 6 phones are still in their call\\.$`,
          'm',
        ),
      );
      assert.match(
        stdout,
        /^Largest gap in the audio: \d+ ms before; around the death (\d+, ){5}\d+ ms at the phones\.$/m,
      );
      await nothingLeft(farm);
    },
  );
});
