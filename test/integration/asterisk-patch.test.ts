// The fields that patches/0001 adds to CHANNEL(pjsip,...): read over ARI, compared with what SIPp saw on the wire.
import assert from 'node:assert/strict';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { asteriskPrefix } from '../../asterisk/asterisk-prefix.js';
import { freeSubnet, type Subnet } from '../harness/free-subnet.js';
import { waitFor } from '../harness/wait-for.js';

const fields = [
  ...['role', 'local_cseq', 'remote_cseq', 'route_set'],
  ...['local_sdp_origin', 'local_sdp_direction', 'remote_sdp_origin', 'remote_sdp_direction'],
] as const;
type Dialog = Readonly<Record<string, string>>;

/** A message as SIPp traced it; `sent` by SIPp. */
interface Traced {
  readonly sent: boolean;
  readonly text: string;
}

let subnet: Subnet;
let folder: string;
/** Asterisk and the SIPps, all ended with the test. */
const children: ChildProcess[] = [];

const run = promisify(execFile);
const sipp = (): string => subnet.host(200);
const server = (): string => subnet.host(31);

before(async () => {
  subnet = await freeSubnet();
  folder = await mkdtemp(join(tmpdir(), 'holdfast-patch-'));
  await writeConfigs();
  const config = join(folder, 'asterisk.conf');
  const program = join(asteriskPrefix(), 'sbin/asterisk');
  children.push(spawn(program, ['-C', config, '-f'], { stdio: 'ignore' }));
  const booted = async (): Promise<boolean> =>
    (await run(program, ['-C', config, '-rx', 'core waitfullybooted'], { timeout: 10_000 })).stdout.includes('booted');
  const describeLog = (): Promise<string> => readFile(join(folder, 'log/messages'), 'utf8');
  await waitFor('Asterisk', booted, { deadlineMs: 20_000, everyMs: 100, describe: describeLog });
});

after(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }
  await rm(folder, { recursive: true, force: true });
});

describe('CHANNEL(pjsip,...) of our Asterisk', () => {
  it('tells the dialog of a call that came in, after the caller has changed its session', async () => {
    const caller = await startSipp('uac', ['-s', '100', `${server()}:5060`], callerScenario);
    const messages = await caller.messagesUntil(isAcknowledgedTwice);
    const channel = await theChannel();
    // What Asterisk does with an ACK is not to be seen from outside, so ask until it has.
    await waitFor('the ACK to arrive', async () => (await readDialog(channel))['remote_cseq'] === '8');
    const dialog = await readDialog(channel);
    const reinvite = sentBySipp(messages, 'INVITE').at(-1);
    const answer = messages.filter(({ sent, text }) => !sent && text.startsWith('SIP/2.0 200')).at(-1);
    assert.equal(dialog['role'], 'uas');
    assert.equal(dialog['local_cseq'], '', 'Asterisk has sent no request yet');
    assert.equal(dialog['remote_cseq'], cseqNumber(reinvite));
    assert.equal(dialog['remote_sdp_origin'], originLine(reinvite));
    assert.equal(dialog['local_sdp_origin'], originLine(answer));
    assert.deepEqual(directions(dialog), ['recvonly', 'sendonly'], 'our answer, and the offer');
    assert.equal(dialog['route_set'], `<sip:edge,1@${sipp()};lr;hf=1.2~ab>,"a \\"b\\", c" <sip:${sipp()}:5060;lr>;x=y`);
    await ari('DELETE', `channels/${channel}`);
    const bye = (await caller.ended()).find(({ text }) => text.startsWith('BYE'));
    assert.equal(dialog['route_set'], headers(bye, 'Route').join(','), 'the next request carries that very route set');
  });

  it('tells the dialog of a call that went out, with the route set turned round', async () => {
    const callee = await startSipp('uas', [], calleeScenario);
    const originated = await ari('POST', 'channels', { endpoint: 'PJSIP/callee', extension: '200', context: 'in' });
    assert.ok(originated.ok, await originated.text());
    const messages = await callee.messagesUntil(all => all.some(({ text }) => text.startsWith('ACK')));
    const channel = await theChannel();
    await waitFor('the SDP answer', async () => (await readDialog(channel))['remote_sdp_origin'] !== '');
    const dialog = await readDialog(channel);
    const invite = messages.find(({ text }) => text.startsWith('INVITE'));
    assert.equal(dialog['role'], 'uac');
    assert.equal(dialog['local_cseq'], cseqNumber(invite));
    assert.equal(dialog['remote_cseq'], '', 'the callee has sent no request');
    assert.equal(dialog['local_sdp_origin'], originLine(invite));
    assert.equal(dialog['remote_sdp_origin'], `callee 2890844527 3 IN IP4 ${sipp()}`);
    // The answer says it for all streams.
    assert.deepEqual(directions(dialog), ['sendonly', 'recvonly'], 'what the answer left of our offer, and the answer');
    assert.equal(dialog['route_set'], `<sip:${sipp()}:5060;lr>,<sip:second@${sipp()}:5060;lr>`);
    await ari('DELETE', `channels/${channel}`);
    const bye = (await callee.ended()).find(({ text }) => text.startsWith('BYE'));
    assert.equal(dialog['route_set'], headers(bye, 'Route').join(','));
    assert.equal(Number(cseqNumber(bye)), Number(dialog['local_cseq']) + 1);
  });

  it('refuses a field that it does not know', async () => {
    const caller = await startSipp('uac', ['-s', '100', `${server()}:5060`], callerScenario);
    await caller.messagesUntil(isAcknowledgedTwice);
    const channel = await theChannel();
    const reply = await ari('GET', `channels/${channel}/variable?variable=CHANNEL(pjsip,no_such_field)`);
    assert.ok(!reply.ok, `status ${reply.status}`);
    await ari('DELETE', `channels/${channel}`);
    await caller.ended();
  });
});

// --- Asterisk ---

async function ari(method: string, path: string, body?: Readonly<Record<string, string>>): Promise<Response> {
  const headers = { authorization: `Basic ${btoa('test:test')}`, 'content-type': 'application/json' };
  const signal = AbortSignal.timeout(10_000);
  const init = { method, headers, signal, ...(body ? { body: JSON.stringify(body) } : {}) };
  return fetch(`http://${server()}:8088/ari/${path}`, init);
}

async function theChannel(): Promise<string> {
  // That of the test before may be about to go.
  return waitFor('one channel', async () => {
    const channels = (await (await ari('GET', 'channels')).json()) as { id: string }[];
    return channels.length === 1 && channels[0]!.id;
  });
}

async function readDialog(channel: string): Promise<Dialog> {
  const values = await Promise.all(
    fields.map(async field => {
      const reply = await ari('GET', `channels/${channel}/variable?variable=CHANNEL(pjsip,${field})`);
      assert.ok(reply.ok, `${field}: status ${reply.status}`);
      return [field, ((await reply.json()) as { value: string }).value] as const;
    }),
  );
  return Object.fromEntries(values);
}

async function writeConfigs(): Promise<void> {
  const prefix = asteriskPrefix();
  for (const name of ['lib', 'run', 'log', 'spool']) await mkdir(join(folder, name));
  const file = (name: string, text: string): Promise<void> => writeFile(join(folder, name), text);
  await file(
    'asterisk.conf',
    `[directories]
astetcdir => ${folder}
astmoddir => ${prefix}/lib/asterisk/modules
astdatadir => ${prefix}/share/asterisk
${['astvarlibdir', 'astdbdir', 'astkeydir', 'astagidir'].map(name => `${name} => ${folder}/lib`).join('\n')}
astspooldir => ${folder}/spool
astrundir => ${folder}/run
astlogdir => ${folder}/log
[options]
entityid = 02:00:00:00:00:31
`,
  );
  await file('modules.conf', `[modules]\nautoload = no\n${modules.map(name => `load = ${name}.so`).join('\n')}\n`);
  await file('logger.conf', '[logfiles]\nmessages = notice,warning,error\n');
  await file('http.conf', `[general]\nenabled = yes\nbindaddr = ${server()}\nbindport = 8088\n`);
  await file('ari.conf', '[general]\nenabled = yes\n[test]\ntype = user\nread_only = no\npassword = test\n');
  await file('extensions.conf', '[in]\nexten => 100,1,Answer()\n same => n,Wait(30)\nexten => 200,1,Wait(30)\n');
  await file('pjsip.conf', pjsipConf());
}

const modules = [
  ...[
    'res_sorcery_config',
    'res_sorcery_memory',
    'res_sorcery_astdb',
    'res_pjproject',
    'res_pjsip',
    'res_pjsip_pubsub',
  ],
  ...['res_pjsip_session', 'chan_pjsip', 'res_pjsip_sdp_rtp', 'res_pjsip_endpoint_identifier_ip', 'res_rtp_asterisk'],
  ...[
    'res_http_websocket',
    'res_websocket_client',
    'res_stasis',
    'res_stasis_answer',
    'res_stasis_playback',
    'res_stasis_recording',
    'res_stasis_snoop',
    'res_ari',
    'res_ari_model',
    'res_ari_asterisk',
  ],
  ...['res_ari_channels', 'res_timing_timerfd', 'codec_ulaw', 'pbx_config', 'app_stasis', 'func_channel'],
];

const pjsipConf = (): string => `[udp]
type = transport
protocol = udp
bind = ${server()}:5060

[callee]
type = endpoint
transport = udp
context = in
aors = callee
disallow = all
allow = ulaw
direct_media = no
media_address = ${server()}

[callee]
type = aor
contact = sip:callee@${sipp()}:5060

[callee]
type = identify
endpoint = callee
match = ${sipp()}
`;

// --- SIPp ---

interface Running {
  /** The messages so far, once they meet the condition. */
  messagesUntil(condition: (messages: Traced[]) => boolean): Promise<Traced[]>;
  /** Waits for SIPp's good end, and gives all messages. */
  ended(): Promise<Traced[]>;
}

async function startSipp(name: string, args: readonly string[], scenario: () => string): Promise<Running> {
  const own = await mkdtemp(join(folder, `${name}-`));
  await writeFile(join(own, 'scenario.xml'), scenario());
  const common = [
    '-sf',
    'scenario.xml',
    '-i',
    sipp(),
    '-p',
    '5060',
    '-m',
    '1',
    '-nostdin',
    '-timeout',
    '20',
    '-skip_rlimit',
  ];
  const traces = ['-trace_msg', '-message_file', 'messages.log', '-trace_err', '-error_file', 'errors.log'];
  const child = spawn('sipp', [...args, ...common, ...traces], {
    cwd: own,
    stdio: 'ignore',
    env: { ...process.env, TERM: 'dumb' },
  });
  children.push(child);
  const exit = new Promise<number | null>(resolve => child.once('exit', resolve));
  const read = (file: string): Promise<string> => readFile(join(own, file), 'utf8').catch(() => '');
  if (name === 'uas')
    await waitFor('sipp to listen', async () => (await readFile('/proc/net/udp', 'utf8')).includes(hexOf(sipp())));
  return {
    messagesUntil: async condition => {
      const met = async (): Promise<Traced[] | false> => {
        const messages = parseTrace(await read('messages.log'));
        return condition(messages) && messages;
      };
      return waitFor('messages on the wire', met, { describe: async () => read('messages.log') });
    },
    ended: async () => {
      assert.equal(await exit, 0, `${await read('errors.log')}${await read('messages.log')}`);
      return parseTrace(await read('messages.log'));
    },
  };
}

/** /proc/net/udp writes the octets of an address in the machine's order, little-endian. */
function hexOf(address: string): string {
  const octets = address.split('.').map(octet => Number(octet).toString(16).toUpperCase().padStart(2, '0'));
  return ` ${octets.reverse().join('')}:13C4 `;
}

function parseTrace(log: string): Traced[] {
  return log
    .split(/^-{20,} .*\n/m)
    .slice(1)
    .map(block => {
      const [head = '', ...rest] = block.split('\n');
      return { sent: head.includes('sent'), text: rest.join('\n').trimStart() };
    });
}

const sentBySipp = (messages: readonly Traced[], method: string): Traced[] =>
  messages.filter(({ sent, text }) => sent && text.startsWith(`${method} `));

/** Each answer to an INVITE; an answer that came again was acknowledged again. */
const isAcknowledgedTwice = (messages: readonly Traced[]): boolean =>
  new Set(sentBySipp(messages, 'ACK').map(cseqNumber)).size === 2;

function headers(message: Traced | undefined, name: string): string[] {
  assert.ok(message, `no message to read ${name} from`);
  return [...message.text.matchAll(new RegExp(`^${name}:\\s*(.*?)\\s*$`, 'gim'))].map(match => match[1]!);
}

const cseqNumber = (message: Traced | undefined): string => headers(message, 'CSeq')[0]!.split(' ')[0]!;

function originLine(message: Traced | undefined): string {
  assert.ok(message);
  return /^o=(.*?)\s*$/m.exec(message.text)![1]!;
}

const directions = (dialog: Dialog): (string | undefined)[] => [
  dialog['local_sdp_direction'],
  dialog['remote_sdp_direction'],
];

const message = (...lines: readonly string[]): string => `<![CDATA[\n${lines.join('\n')}\n]]>`;

const sdp = (origin: string, { session = '', stream = '' } = {}): string =>
  `\nv=0\no=${origin}\ns=-\nc=IN IP4 ${sipp()}\nt=0 0${session}\nm=audio 6000 RTP/AVP 0\na=rtpmap:0 PCMU/8000${stream}`;

function callerScenario(): string {
  const request = (method: string, cseq: number, to: string, ...more: readonly string[]): string =>
    message(
      `${method} sip:100@${server()} SIP/2.0`,
      `Via: SIP/2.0/UDP ${sipp()}:5060;branch=[branch]`,
      'From: <sip:alice@test>;tag=from-alice',
      `To: <sip:100@test>${to}`,
      'Call-ID: [call_id]',
      `CSeq: ${cseq} ${method}`,
      `Contact: <sip:alice@${sipp()}:5060>`,
      'Max-Forwards: 70',
      ...more,
    );
  const invite = (cseq: number, to: string, body: string, ...more: readonly string[]): string =>
    request('INVITE', cseq, to, ...more, 'Content-Type: application/sdp', 'Content-Length: [len]', body);
  const routes = [
    `Record-Route: <sip:edge,1@${sipp()};lr;hf=1.2~ab>`,
    `Record-Route: "a \\"b\\", c" <sip:${sipp()}:5060;lr>;x=y`,
  ];
  const answered = '<recv response="100" optional="true"/><recv response="180" optional="true"/><recv response="200"/>';
  const [first, hold] = [0, 1].map(n => `alice 4611731400430051336 173240000000${n} IN IP4 ${sipp()}`) as [
    string,
    string,
  ];
  return `<?xml version="1.0" encoding="ISO-8859-1"?>
<scenario name="caller">
<send retrans="500">${invite(7, '', sdp(first), ...routes)}</send>
${answered}
<send>${request('ACK', 7, '[peer_tag_param]', 'Content-Length: 0')}</send>
<send retrans="500">${invite(8, '[peer_tag_param]', sdp(hold, { stream: '\na=sendonly' }))}</send>
${answered}
<send>${request('ACK', 8, '[peer_tag_param]', 'Content-Length: 0')}</send>
${byeAnswered}
</scenario>`;
}

function calleeScenario(): string {
  const dialog = ['[last_Via:]', '[last_From:]', '[last_To:];tag=from-callee', '[last_Call-ID:]', '[last_CSeq:]'];
  const routes = [`Record-Route: <sip:second@${sipp()}:5060;lr>`, `Record-Route: <sip:${sipp()}:5060;lr>`];
  const contact = `Contact: <sip:callee@${sipp()}:5060>`;
  const answer = sdp(`callee 2890844527 3 IN IP4 ${sipp()}`, { session: '\na=recvonly' });
  const body = ['Content-Type: application/sdp', 'Content-Length: [len]', answer];
  return `<?xml version="1.0" encoding="ISO-8859-1"?>
<scenario name="callee">
<recv request="INVITE"/>
<send retrans="500">${message('SIP/2.0 200 OK', ...dialog, ...routes, contact, ...body)}</send>
<recv request="ACK"/>
${byeAnswered}
</scenario>`;
}

const byeAnswered = `<recv request="BYE"/>
<send>${message('SIP/2.0 200 OK', '[last_Via:]', '[last_From:]', '[last_To:]', '[last_Call-ID:]', '[last_CSeq:]', 'Content-Length: 0')}</send>`;
