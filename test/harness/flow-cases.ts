// Flows with menus and fetches, callers who press this or that, and a server that is right, wrong, slow or gone: where each call must end.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CallDetailRecord } from '../../core/calls/call-facts.js';
import { callRecords } from './call-records.js';
import type { Farm } from './farm.js';
import type { OutgoingCall } from './outgoing-call.js';
import type { SipEndpoint } from './sip-endpoint.js';
import { waitFor } from './wait-for.js';

/** Where a flow may lead: a tone there, and the reason that the call's record has in the end. */
const places = { one: 650, twelve: 700, two: 750, silent: 950, failed: 1000, known: 1100, follow: 1200 } as const;
type Place = keyof typeof places;

/** Who calls, presses what, and where that leads. */
export interface FlowCase {
  readonly what: string;
  readonly dialled: string;
  readonly by?: 'RFC 4733' | 'INFO';
  readonly digits?: string;
  readonly ends: Place;
}

const menuHz = 420;

export const flowCases: readonly FlowCase[] = [
  { what: 'menu, `2`', dialled: '5000', by: 'RFC 4733', digits: '2', ends: 'two' },
  { what: 'menu, `2`', dialled: '5000', by: 'INFO', digits: '2', ends: 'two' },
  { what: 'menu, `12`', dialled: '5000', by: 'RFC 4733', digits: '12', ends: 'twelve' },
  { what: 'menu, `12`', dialled: '5000', by: 'INFO', digits: '12', ends: 'twelve' },
  { what: 'menu, `1#`', dialled: '5000', by: 'RFC 4733', digits: '1#', ends: 'one' },
  { what: 'menu, nothing pressed', dialled: '5000', ends: 'silent' },
  { what: 'menu, a digit that is no choice', dialled: '5000', by: 'INFO', digits: '9', ends: 'silent' },
  { what: 'fetch, answered', dialled: '5100', ends: 'known' },
  { what: 'fetch, answered after 200 ms', dialled: '5101', ends: 'known' },
  { what: 'fetch, no JSON', dialled: '5102', ends: 'failed' },
  { what: 'fetch, 500', dialled: '5103', ends: 'failed' },
  { what: 'fetch, too slow', dialled: '5104', ends: 'failed' },
  { what: 'fetch, connection cut', dialled: '5105', ends: 'failed' },
  { what: 'fetch, nobody listens', dialled: '5200', ends: 'failed' },
  { what: 'fetch, answered with a flow', dialled: '5300', ends: 'follow' },
  { what: 'fetch, answered with a flow that is none', dialled: '5301', ends: 'failed' },
];

const place = (name: Place): string =>
  `    - { action: play, label: ${name}, items: { tone: '${places[name]}', seconds: 1.5 } }\n    - { action: hangup, reason: ${name} }\n`;

/** Of the config's `flows`. `ports`: of the server, and one where nobody listens. */
export function caseFlows([port, closedPort]: readonly [number, number]): string {
  const fetch = `action: fetch, timeoutSeconds: 2, onFailed: failed, url: 'http://127.0.0.1:${port}/\${dialled}'`;
  return `
  case-menu:
    - action: digits_receive
      prompt: { tone: '${menuHz}', seconds: 3 }
      choices: { '1': one, '12': twelve, '2': two }
      firstDigitSeconds: 2
      retries: 0
      onTimeout: silent
      onInvalid: silent
${(['one', 'twelve', 'two', 'silent'] as const).map(place).join('')}
  case-fetch:
    - { action: answer }
    - { ${fetch}, take: { level: customer.level } }
    - { action: condition, if: '\${level}', is: gold, then: known, else: failed }
${place('known')}${place('failed')}
  case-gone:
    - { action: fetch, url: 'http://127.0.0.1:${closedPort}/', onFailed: failed }
    - { action: hangup }
${place('failed')}
  case-follow:
    - { ${fetch}, follow: true }
${place('failed')}`;
}

/** Of the routing plugin's `routes`. */
export const caseRoutes = `
      - { dial: '5000', flow: case-menu }
      - { dial: 510x, flow: case-fetch }
      - { dial: '5200', flow: case-gone }
      - { dial: 530x, flow: case-follow }`;

/** A server for them, and a port where nobody listens. */
export async function openCaseServer(): Promise<{
  readonly server: Server;
  readonly ports: readonly [number, number];
}> {
  const gold = '{"customer": {"level": "gold"}}';
  const followed = [
    { action: 'play', items: { tone: `${places.follow}`, seconds: 1.5 } },
    { action: 'hangup', reason: 'follow' },
  ];
  const server = createServer((request, response) => {
    const answers: Readonly<Record<string, () => void>> = {
      '/5100': () => response.end(gold),
      '/5101': () => void setTimeout(() => response.end(gold), 200),
      '/5102': () => response.end('<html>'),
      '/5103': () => response.writeHead(500).end(),
      '/5104': () => void setTimeout(() => response.end(gold), 10_000),
      '/5105': () => response.socket?.destroy(),
      '/5300': () => response.end(JSON.stringify({ flow: followed })),
      '/5301': () => response.end('{"flow": [{"action": "plya", "items": "x"}]}'),
    };
    (answers[request.url ?? ''] ?? (() => response.writeHead(404).end()))();
  });
  const listening = async (one: Server): Promise<number> => {
    await new Promise<void>(resolve => one.listen(0, '127.0.0.1', resolve));
    return (one.address() as AddressInfo).port;
  };
  const closed = createServer();
  const ports = [await listening(server), await listening(closed)] as const;
  await new Promise(resolve => closed.close(resolve));
  return { server, ports };
}

/** What became of a call. */
export interface CaseOutcome {
  readonly flowCase: FlowCase;
  /** The reason of its record; undefined where it has none. */
  readonly ended: string | undefined;
  /** The caller heard the tone of the place. */
  readonly heard: boolean;
  /** What went wrong at the phone, in words. */
  readonly wrong: string | undefined;
}

/** So many calls, each of the next case, so many at a time. Resolves when each has its record. */
export async function runCases(
  farm: Farm,
  phone: SipEndpoint,
  { calls, atOnce }: { readonly calls: number; readonly atOnce: number },
): Promise<readonly CaseOutcome[]> {
  const made: { flowCase: FlowCase; sipCallId: string; heard: boolean; wrong: string | undefined }[] = [];
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < calls) {
      const flowCase = flowCases[next++ % flowCases.length];
      if (flowCase) made.push({ flowCase, ...(await oneCall(farm, phone, flowCase)) });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, caller));
  let records: ReadonlyMap<string, CallDetailRecord> = new Map();
  const complete = async (): Promise<boolean> => {
    records = new Map((await callRecords(farm)).flatMap(one => one.sipCallIds.map(id => [id, one] as const)));
    return made.every(({ sipCallId }) => records.has(sipCallId));
  };
  await waitFor('a record of each call', complete, { deadlineMs: 20_000 }).catch(() => undefined);
  return made.map(({ sipCallId, ...one }) => ({ ...one, ended: records.get(sipCallId)?.reason }));
}

async function oneCall(
  farm: Farm,
  phone: SipEndpoint,
  { dialled, digits, by, ends }: FlowCase,
): Promise<{ sipCallId: string; heard: boolean; wrong: string | undefined }> {
  const call = await phone.invite(farm.uri(dialled));
  const sipCallId = call.invite.callId;
  let heard = false;
  try {
    await call.answered(30_000);
    if (digits !== undefined) {
      await call.audio.hears(menuHz, 20_000);
      await (by === 'INFO' ? info(call, digits) : call.audio.sendDigits(digits));
    }
    const tone = call.audio.hears(places[ends], 40_000).then(
      () => (heard = true),
      () => undefined,
    );
    await call.ended(60_000);
    await Promise.race([tone, Promise.resolve()]);
    return { sipCallId, heard, wrong: undefined };
  } catch (error) {
    await call.hangup().catch(() => undefined);
    return { sipCallId, heard, wrong: error instanceof Error ? error.message.split('\n')[0] : String(error) };
  } finally {
    call.close();
  }
}

async function info(call: OutgoingCall, digits: string): Promise<void> {
  const type = ['Content-Type', 'application/dtmf-relay'] as const;
  for (const digit of digits) await call.request('INFO', [type], `Signal=${digit}\r\nDuration=160\r\n`);
}
