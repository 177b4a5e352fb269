// The commands, run in-process against a control server of the test's own.
import { after, before, beforeEach, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CliIo } from '../../core/cli/cli-io.js';
import { runCli } from '../../core/cli/cli.js';
import { commands } from '../../core/cli/commands.js';
import type { Composition } from '../../core/cli/composition.js';
import { ControlServer } from '../../core/control/control-server.js';
import type { Operations } from '../../core/control/operations.js';
import type { FarmStatus, RoomStatus } from '../../core/control/views.js';
import type { FoundCall, ShownCall } from '../../core/inspect/call-view.js';
import { HoldfastError } from '../../core/errors.js';

const status: FarmStatus = {
  ready: true,
  subnet: '127.66.0.0/24',
  daemon: { pid: 4711, configPath: '/etc/holdfast.yaml', startedAt: '2025-01-01T00:00:00.000Z' },
  edge: { public: '127.66.0.100:5060', private: '127.66.0.101:5060' },
  nodes: [
    { name: 'kamailio-1', farm: 'kamailio', state: 'up', pid: 12, address: '127.66.0.21', external: '127.66.0.11' },
    {
      name: 'call-1',
      farm: 'call',
      state: 'dead',
      pid: null,
      address: '127.66.0.31',
      reason: 'process gone',
      calls: 0,
    },
  ],
  calls: { active: 3 },
  overload: [],
  faults: [],
  recoveries: { deaths: 0, sessions: { found: 0, recovered: 0, ended: 0, failed: 0 } },
};

const found: FoundCall = {
  ...{ id: 'c-1', state: 'ended', startedAt: '2025-01-01T00:00:00.000Z', callerNumber: '100', dialled: '70001' },
  ...{ outcome: 'busy', sipStatus: 486, sipCallIds: ['abc@phone'] },
};

const shown: ShownCall = {
  ...found,
  ...{ source: 'trunk lab', route: '7xxxx', answeredAt: null, endedAt: '2025-01-01T00:00:01.500Z', endedBy: 'callee' },
  ...{ reason: 'every target failed', limit: null, nodes: ['call-1'], recoveries: 0, conference: null, legs: [] },
  transfers: [],
  messages: [],
  ends: {},
};

const room: RoomStatus = {
  ...{ id: 'room-8001', room: '8001', node: 'conference-1', locked: false, waiting: false, recording: null },
  createdAt: '2026-01-01T10:00:00.000Z',
  participants: [
    {
      ...{ id: 'c-1', call: 'c-1', callerNumber: '1001', callerName: 'alice', role: 'speaker' },
      ...{ muted: true, deaf: false, speaking: false, joinedAt: '2026-01-01T10:00:01.000Z' },
    },
  ],
};
const row = { setid: 1, destination: 'sip:127.66.0.31:5060', flags: 'AP', priority: 0 };
const heldParty = { side: 'callee', peer: '1002', sipCallId: 'def', onHold: true } as const;
const asked: unknown[] = [];

const operations: Operations = {
  status: async () => status,
  health: async () => ({ ready: true, nodes: { up: 1, all: 2 }, calls: 3 }),
  nodes: async () => status.nodes,
  calls: async () => [
    {
      id: 'c-1',
      state: 'active',
      conference: 'f-1',
      legs: [
        { callId: 'abc@phone', direction: 'inbound', node: 'call-1', state: 'up', peer: '1001', onHold: true },
        { callId: 'def', direction: 'outbound', node: 'call-1', state: 'up', peer: 'sip:\u001b[2J7@x', onHold: false },
      ],
    },
  ],
  conferences: async () => [
    { id: 'f-1', node: 'call-1', participants: [{ callId: 'c-1', muted: false, speaking: false, role: 'caller' }] },
  ],
  rooms: async () => [room],
  roomAction: async params => {
    asked.push(params);
    return room;
  },
  participantAction: async params => {
    asked.push(params);
    return room;
  },
  bans: async () => [{ source: '192.0.2.7', reason: 'wrong passwords', until: '2026-01-01T00:00:00.000Z' }],
  banAdd: async ({ address, reason }) => ({ source: address, reason, until: '2026-01-01T00:00:00.000Z' }),
  banLift: async ({ source }) => ({ source }),
  trunks: async () => [
    {
      ...{ trunk: 'lab', calls: { from: 3, to: 4 }, callsAtOnce: 10 },
      registration: {
        ...{ state: 'registered', user: 'us@carrier.test', registrar: '192.0.2.1:5060', until: '2026-01-01T00:00:00Z' },
        ...{ error: '503 Busy', sipStatus: 503, failures: 1 },
      },
      gateways: [
        {
          ...{ address: 'sip.test:5060', hostAddress: '192.0.2.1', dnsTrouble: 'no DNS', priority: 1, weight: 2 },
          ...{ state: 'up', since: '2026-01-01', sipStatus: 200 },
        },
        {
          ...{ address: '192.0.2.2:5060', hostAddress: null, dnsTrouble: null, priority: 1, weight: 1 },
          ...{ state: 'down', since: '2026-01-01', sipStatus: null },
        },
      ],
    },
  ],
  trace: async () => [],
  find: async ({ text }) => {
    asked.push({ text });
    return text === 'nothing' ? [] : [found];
  },
  callShow: async ({ id, whole }) => {
    asked.push({ id, whole });
    return { ...shown, id };
  },
  callHangup: async ({ id }) => ({ id, over: true }),
  callTransfer: async wanted => {
    asked.push(wanted);
    return wanted;
  },
  callTransferToCall: async wanted => {
    asked.push(wanted);
    return wanted;
  },
  callAdd: async wanted => {
    asked.push(wanted);
    return { id: wanted.id, parties: [{ id: 'c-1-1', ...heldParty }] };
  },
  roomAdd: async wanted => {
    asked.push(wanted);
    return room;
  },
  conferenceMerge: async wanted => {
    asked.push(wanted);
    return { conference: 'room-8001' };
  },
  callHold: async wanted => {
    asked.push(wanted);
    return { id: wanted.id, parties: [{ id: 'c-1-1', ...heldParty }] };
  },
  callUnhold: async wanted => {
    asked.push(wanted);
    return { id: wanted.id, parties: [{ id: 'c-1-1', ...heldParty, onHold: false }] };
  },
  registrations: async () => [],
  recoveries: async () => [],
  recoveryPlan: async ({ node }) => ({
    node,
    sessions: [{ callId: 'abc@phone', action: 'recover', target: 'call-2', reason: 'confirmed' }],
  }),
  dispatcherList: async () => [
    { instance: 'kamailio-1', reachable: true, rows: [row, row], drift: [] },
    { instance: 'kamailio-2', reachable: false, rows: [], drift: [] },
  ],
  dispatcherDiff: async () => [
    { instance: 'kamailio-1', reachable: true, rows: [row], drift: ['set 1: row 3 is missing'] },
  ],
  dispatcherReload: async () => [{ instance: 'kamailio-1', equal: true }],
  drain: async (params, { progress }) => {
    asked.push(params);
    progress('2 calls left');
    return { node: params.node, state: 'draining', calls: 1 };
  },
  undrain: async ({ node }) => ({ node, state: 'up', calls: 0 }),
  reload: () =>
    Promise.reject(
      new HoldfastError('CONFIG_INVALID', 'x.yaml:3:5: unknown key "trunk"', { remedy: 'did you mean trunks?' }),
    ),
  diff: async ({ config = '/etc/holdfast.yaml' }) => {
    const same = { config, changes: [], nodes: [], needs: [], untaken: [] };
    if (config.endsWith('same.yaml')) return same;
    if (config.endsWith('untaken.yaml')) return { ...same, untaken: ['metrics cannot be served at http://x'] };
    const list = { part: 'trunks.lab.sources', needs: ['list-reload' as const] };
    const tables = { node: 'kamailio-1', needs: list.needs, files: [{ path: 'tables/sources', need: list.needs[0]! }] };
    if (config.endsWith('list.yaml')) return { ...same, changes: [list], nodes: [tables], needs: list.needs };
    const homer = { part: 'farm.homer', needs: ['rolling-restart' as const] };
    const cfg = { node: 'kamailio-1', needs: homer.needs, files: [{ path: 'kamailio.cfg', need: homer.needs[0]! }] };
    return { ...same, changes: [homer], nodes: [cfg], needs: homer.needs };
  },
  restart: async ({ node }) => ({ node, state: 'up', calls: 0 }),
  down: async () => ({ ended: [] }),
};

const composition: Composition = {
  startDaemon: () => Promise.reject(new Error('not part of this test')),
  checkConfig: async (_path, subnet) => ({
    subnet: subnet ?? '127.40.0.0/24',
    edge: '127.40.0.100:5060',
    nodes: ['call-1'],
    plugins: ['routing'],
    warnings: ['a secret is written in the config'],
  }),
  renderFarm: async () => ['call-1/etc/pjsip.conf'],
  demoRecovery: () => Promise.reject(new Error('not in this fake')),
  demoCall: async ({ calls }, print) => {
    print('placing calls');
    return {
      calls: Array.from({ length: calls }, (_, i) => ({
        callId: `demo-${i}`,
        ok: i !== 1,
        messages: [
          { atMs: 0, from: 'caller', to: 'call-1', via: 'kamailio-2', summary: 'INVITE' },
          { atMs: 12.34, from: 'call-1', to: 'caller', via: 'kamailio-1', summary: '200 OK' },
        ],
        tone: { sentHz: 440, heardHz: i === 1 ? null : 440.2 },
      })),
    };
  },
};

describe('the command line', () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-cli-'));
  const server = new ControlServer({
    operations,
    socketPath: join(folder, 'control.sock'),
    log: { debug: () => undefined },
  });
  let out = '';
  let err = '';

  before(() => server.listen());
  after(async () => {
    await server.close();
    rmSync(folder, { recursive: true });
  });
  beforeEach(() => ([out, err] = ['', '']));

  async function run(line: string, more: Partial<CliIo> = {}): Promise<number> {
    [out, err] = ['', ''];
    const io: CliIo = {
      out: text => void (out += text),
      err: text => void (err += text),
      interactive: false,
      colours: false,
      env: {},
      ask: async () => undefined,
      onInterrupt: () => () => undefined,
      ...more,
    };
    const argv = line.split(' ').filter(Boolean);
    return runCli(argv, io, { commands, version: '9.9.9', loadComposition: async () => composition });
  }
  const onFarm = (line: string): Promise<number> => run(`${line} --state ${folder}`);

  it('shows status and nodes as text and as JSON', async () => {
    assert.equal(await onFarm('status'), 0);
    assert.match(out, /The farm on 127\.66\.0\.0\/24 is ready\. Active calls: 3\./);
    assert.match(out, /^call-1 +dead +- +127\.66\.0\.31 +- +0 +process gone$/m);
    assert.equal(await onFarm('status --json'), 0);
    assert.deepEqual(JSON.parse(out), status);
    assert.equal(await onFarm('--json nodes'), 0);
    assert.deepEqual(JSON.parse(out), status.nodes);
  });

  it('shows calls with both legs, and lets no peer steer the terminal', async () => {
    assert.equal(await onFarm('calls'), 0);
    assert.match(out, /^c-1 +active +inbound +call-1 +up +1001 +abc@phone$/m);
    assert.match(out, /^ +outbound +call-1 +up +sip:\?\[2J7@x +def$/m);
    assert.equal(out.includes('\u001b'), false);
  });

  it('shows conferences, registrations, recoveries and a recovery plan', async () => {
    assert.equal(await onFarm('conferences'), 0);
    assert.match(out, /^f-1 +- +call-1 +1$/m);
    assert.equal(await onFarm('registrations'), 0);
    assert.equal(out, 'No registrations.\n');
    assert.equal(await onFarm('recoveries'), 0);
    assert.equal(await onFarm('recovery plan call-1'), 0);
    assert.match(out, /^recover +call-2 +abc@phone +confirmed$/m);
    assert.equal(await onFarm('recovery paln call-1'), 2);
  });

  it('shows rooms, and does to them and their participants what it is told', async () => {
    assert.equal(await onFarm('conference list'), 0);
    assert.match(out, /^Room 8001 on conference-1: 1 participant$/m);
    assert.match(out, /^c-1 +1001 +alice +speaker +muted +10:00:01$/m);
    assert.equal(await onFarm('conference lock 8001'), 0);
    assert.equal(out, 'Room 8001 is locked.\n');
    assert.equal(await onFarm('conference record 8001 start'), 0);
    assert.deepEqual(asked.at(-1), { action: 'record', room: '8001' });
    assert.equal(await onFarm('conference record 8001'), 2);
    assert.equal(await onFarm('conference kick 8001 c-1'), 0);
    assert.deepEqual(asked.at(-1), { action: 'kick', room: '8001', participant: 'c-1' });
    assert.equal(await onFarm('conference mute 8001'), 2);
    assert.match(err, /whom\?/);
    assert.equal(await onFarm('conference lock 8001 c-1'), 2);
    assert.equal(await onFarm('conference lock'), 2);
    assert.equal(await onFarm('conference muet 8001 c-1'), 2);
  });

  it('tells by the exit code whether the dispatcher lists are as they should be', async () => {
    assert.equal(await onFarm('dispatcher list'), 1);
    assert.match(out, /^kamailio-1 +1 +sip:127\.66\.0\.31:5060 +AP +2$/m);
    assert.match(out, /^kamailio-2 +- +does not answer/m);
    assert.equal(await onFarm('dispatcher diff'), 1);
    assert.match(out, /kamailio-1: differs\n {2}set 1: row 3 is missing/);
    assert.equal(await onFarm('dispatcher reload'), 0);
    assert.equal(await onFarm('dispatcher relaod'), 2);
    assert.match(err, /did you mean "reload"\?/);
    assert.equal(await onFarm('dispatcher constructor'), 2);
    assert.equal(await onFarm('dispatcher'), 2);
    assert.match(err, /holdfast dispatcher <action>/);
  });

  it('finds calls by what was typed, with leading zeros and signs, and fails where there is none', async () => {
    assert.equal(await onFarm('find 70001'), 0);
    assert.match(out, /^c-1 +ended +2025-01-01 00:00:00\.000 +100 +70001 +busy 486 +abc@phone$/m);
    for (const text of ['0800', '+49301234', '1e5', '0x10']) {
      assert.equal(await onFarm(`find ${text}`), 0);
      assert.deepEqual(asked.at(-1), { text });
    }
    assert.equal(await onFarm('find nothing'), 1);
    assert.equal(out, 'No call found.\n');
    assert.equal(await onFarm('find x --most 0'), 2);
    assert.equal(await onFarm('find'), 2);
  });

  it('shows one call, and hangs one up', async () => {
    assert.equal(await onFarm('call show 0123'), 0);
    assert.deepEqual(asked.at(-1), { id: '0123', whole: false });
    assert.match(out, /^Call 0123: ended \(busy, 486\)\n {2}from {4}100 \(trunk lab\)$/m);
    assert.match(out, /^ {2}lasted {2}1\.500 s, not answered$/m);
    assert.match(out, /no longer kept/);
    assert.equal(await onFarm(`call show c-1 --pcap ${folder}/x.pcap`), 1);
    assert.match(err, /no whole message of this call is kept any more[^]*trace\.rawMegabytes/);
    assert.equal(await onFarm('call hangup c-1'), 0);
    assert.equal(out, 'Call c-1 is over.\n');
    assert.equal(await onFarm('call transfer c-1 1002'), 0);
    assert.equal(out, 'Call c-1 is with 1002 now.\n');
    assert.equal(await onFarm('call transfer c-1 1002 --replace caller'), 0);
    assert.deepEqual(asked.at(-1), { id: 'c-1', to: '1002', replaced: 'caller' });
    assert.equal(await onFarm('call transfer c-1 1002 --replace nobody'), 2);
    assert.equal(await onFarm('call transfer c-1'), 2);
    asked.length = 0;
    assert.equal(await onFarm('call hold c-1 --party callee'), 0);
    assert.match(out, /Call c-1: callee 1002 is on hold/);
    assert.equal(await onFarm('call unhold c-1'), 0);
    assert.deepEqual(asked, [{ id: 'c-1', party: 'callee' }, { id: 'c-1' }]);
    assert.equal(await onFarm('call transfer c-1 --to-call c-2 --replace-other caller'), 0);
    assert.deepEqual(asked.at(-1), { id: 'c-1', other: 'c-2', replaced: 'callee', replacedOther: 'caller' });
    assert.equal(await onFarm('call add c-1 1002 --by callee'), 0);
    assert.deepEqual(asked.at(-1), { id: 'c-1', number: '1002', by: 'callee' });
    assert.equal(await onFarm('call add c-1'), 2);
    assert.equal(await onFarm('call park c-1'), 2);
    assert.equal(await onFarm('call show'), 2);
  });

  it('drains a node, showing progress unless JSON is wanted', async () => {
    assert.equal(await onFarm('drain call-1 --wait'), 0);
    assert.equal(out, '2 calls left\ncall-1 is draining; 1 call is on it.\n');
    assert.deepEqual(asked.at(-1), { node: 'call-1', wait: true });
    assert.equal(await onFarm('drain call-1 --json'), 0);
    assert.deepEqual(JSON.parse(out), { node: 'call-1', state: 'draining', calls: 1 });
    assert.deepEqual(asked.at(-1), { node: 'call-1', wait: false });
    assert.equal(await onFarm('undrain call-1'), 0);
    assert.equal(await onFarm('drain'), 2);
    assert.equal(await onFarm('drain call-1 call-2'), 2);
  });

  it('tells by its exit code whether a reload would change nothing, something, or not all of it', async () => {
    assert.equal(await onFarm('diff same.yaml'), 0);
    assert.match(out, /^What runs is what \/.*same\.yaml says\.\n$/);
    assert.equal(await onFarm('diff untaken.yaml'), 3);
    assert.match(
      out,
      /^Not as the config says:\n {2}metrics cannot be served at http:\/\/x\n.*holdfast reload tries it/,
    );
    assert.equal(await onFarm('diff list.yaml'), 3);
    assert.match(out, /trunks\.lab\.sources +list reload\n/);
    assert.match(out, /kamailio-1 +list reload +tables\/sources\n/);
    assert.match(out, /holdfast reload does this; calls go on\.\n$/);
    assert.equal(await onFarm('diff'), 4);
    assert.match(out, /Then, one after the other: holdfast restart kamailio-1; no call is lost\.\n$/);
    assert.equal(await onFarm('diff --json'), 4);
    assert.deepEqual((JSON.parse(out) as { needs: string[] }).needs, ['rolling-restart']);
    assert.equal(await onFarm('restart kamailio-1'), 0);
    assert.equal(out, 'kamailio-1 was restarted and is up.\n');
  });

  it("shows the daemon's error with code, place and remedy, and as JSON for scripts", async () => {
    assert.equal(await onFarm('reload'), 1);
    assert.equal(out, '');
    assert.equal(err, 'error CONFIG_INVALID: x.yaml:3:5: unknown key "trunk"\nwhat to do: did you mean trunks?\n');
    assert.equal(await onFarm('reload --json'), 1);
    const { error } = JSON.parse(err) as { error: { code: string } };
    assert.equal(error.code, 'CONFIG_INVALID');
  });

  it('ends with 2 and a hint for what it does not know', async () => {
    assert.equal(await run('stauts'), 2);
    assert.match(err, /unknown command "stauts": did you mean "status"\?/);
    assert.equal(await run('dispatcher list extra'), 2);
    assert.equal(await run('status --jsn'), 2);
    assert.match(err, /unknown option --jsn: did you mean --json\?/);
    assert.equal(await run('status --state'), 2);
    assert.equal(await run('status --state a --state b'), 2);
    assert.match(err, /more than once/);
    assert.equal(await run('demo call --calls many'), 2);
    assert.equal(await run('demo dance'), 2);
    assert.equal(await run('render'), 2);
    assert.equal(await run(''), 2);
    assert.match(err, /Commands:/);
    assert.equal(await run('xyzzy --help'), 2);
  });

  it('refuses a subnet that is none', async () => {
    assert.equal(await run('status --subnet 127.41.0.0/16'), 1);
    assert.match(err, /CONFIG_INVALID.*127\.41\.0\.0\/16/);
  });

  it('has help for all and for each command, without the internal ones', async () => {
    assert.equal(await run('--help'), 0);
    assert.match(out, /dispatcher <action>/);
    assert.doesNotMatch(out, /supervise/);
    assert.equal(await run('up --help'), 0);
    assert.match(out, /--detach/);
    for (const { usage } of commands) assert.equal(await run(`${usage.split(' ')[0]!} --help`), 0);
    assert.equal(await run('--version'), 0);
    assert.equal(out, 'holdfast 9.9.9\n');
  });

  it('says that no daemon is up', async () => {
    assert.equal(await run(`status --state ${folder}/none`), 1);
    assert.match(err, /DAEMON_UNREACHABLE: no daemon is up here[^]*what to do: start it with: holdfast up/);
  });

  it('checks and renders a config', async () => {
    assert.equal(await run('check some.yaml --subnet 127.66.0.0/24 --json'), 0);
    const checked = JSON.parse(out) as { ok: boolean; subnet: string; config: string };
    assert.equal(checked.ok, true);
    assert.equal(checked.subnet, '127.66.0.0/24');
    assert.match(checked.config, /^\/.*some\.yaml$/);
    assert.match(err, /warning: a secret/);
    assert.equal(await run('render --out rendered'), 0);
    assert.match(out, /call-1\/etc\/pjsip\.conf\n1 files below rendered/);
    assert.equal(await run('check a.yaml --config b.yaml'), 2);
  });

  it('shows demo calls as ladders with the Kamailio of each message', async () => {
    assert.equal(await onFarm('demo call --calls 1'), 0);
    assert.match(out, /placing calls\nCall demo-0: ok, tone of 440 Hz sent, 440 Hz heard/);
    assert.match(out, /^ {3}0\.000 {2}│─+ INVITE ─+►│ {2}kamailio-2$/m);
    assert.match(out, /^ {3}0\.012 {2}│◄─+ 200 OK ─+│ {2}kamailio-1$/m);
    assert.match(out, /1 of 1 calls ok\. Messages carried: kamailio-1 1, kamailio-2 1\./);
    assert.equal(await onFarm('demo call --calls 2'), 1);
    assert.match(out, /nothing heard/);
  });

  it('colours what a terminal shows, never JSON', async () => {
    assert.equal(await run(`status --state ${folder}`, { colours: true }), 0);
    assert.match(out, /\u001b\[31mdead\u001b\[0m/);
    assert.equal(await run(`status --json --state ${folder}`, { colours: true }), 0);
    assert.equal(out.includes('\u001b'), false);
  });
});
