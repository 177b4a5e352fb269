// Many phones in a process of their own: they answer, are re-INVITEd, send and measure RTP, and cost as little as may be.
import { createSocket, type Socket } from 'node:dgram';
import { randomBytes, randomInt } from 'node:crypto';

export interface PhonesStart {
  readonly callerAddress: string;
  readonly calleeAddress: string;
  readonly edge: string;
  readonly packetMs: number;
  /** How long the 200 to a re-INVITE takes, as of phones that are far away. */
  readonly answerAfterMs: number;
}

export type ToPhones =
  /** `mute`: they do not answer a re-INVITE, and their silence is not reported. */
  | {
      readonly do: 'call';
      readonly count: number;
      readonly perSecond: number;
      readonly dial: string;
      readonly mute?: boolean;
    }
  | { readonly do: 'reset' }
  | { readonly do: 'report' }
  | { readonly do: 'hangup' }
  | { readonly do: 'end' };

/** Gaps are the largest time without RTP at each phone since the last reset, ms. */
export interface PhonesReport {
  readonly up: number;
  readonly reinvited: number;
  readonly ended: number;
  readonly gapsMs: readonly number[];
  readonly silentMs: readonly number[];
}

interface Leg {
  readonly callId: string;
  readonly socket: Socket;
  readonly port: number;
  readonly localTag: string;
  readonly address: string;
  readonly sip: Socket;
  readonly inbound: boolean;
  remoteTag: string;
  target: string;
  routes: string[];
  fromTo: readonly [from: string, to: string];
  cseq: number;
  sdpVersion: number;
  remote: { address: string; port: number } | undefined;
  up: boolean;
  mute: boolean;
  reinvites: number;
  ended: boolean;
  lastMs: number;
  gapMs: number;
  sequence: number;
}

const start = JSON.parse(process.argv[2] ?? '{}') as PhonesStart;
const legs = new Map<string, Leg>();
const samples = 8 * start.packetMs;
const payload = Buffer.alloc(12 + samples, 0xff);
payload[0] = 0x80;
payload[1] = 0;
const groups = 4;

function header(text: string, name: string): string {
  return new RegExp(`^${name}[ \\t]*:[ \\t]*(.*?)\\r?$`, 'im').exec(text)?.[1] ?? '';
}

function headers(text: string, name: string): string[] {
  return [...text.matchAll(new RegExp(`^${name}[ \\t]*:[ \\t]*(.*?)\\r?$`, 'gim'))].map(match => match[1] ?? '');
}

function sdpOf(leg: Leg): string {
  leg.sdpVersion++;
  return [
    'v=0',
    `o=- ${leg.port} ${leg.sdpVersion} IN IP4 ${leg.address}`,
    's=-',
    `c=IN IP4 ${leg.address}`,
    't=0 0',
    `m=audio ${leg.port} RTP/AVP 0`,
    'a=rtpmap:0 PCMU/8000',
    '',
  ].join('\r\n');
}

function agree(leg: Leg, text: string): void {
  const port = Number(/^m=audio (\d+)/m.exec(text)?.[1]);
  const address = /^c=IN IP4 (\S+)/m.exec(text)?.[1];
  if (port > 0 && address !== undefined) leg.remote = { address, port };
}

async function openLeg(callId: string, address: string, sip: Socket, inbound: boolean): Promise<Leg> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(0, address, resolve);
  });
  socket.removeAllListeners('error');
  socket.on('error', () => undefined);
  const leg: Leg = {
    ...{ callId, socket, port: socket.address().port, localTag: randomBytes(6).toString('hex'), address, sip, inbound },
    ...{ remoteTag: '', target: '', routes: [], fromTo: ['', ''], cseq: 1, sdpVersion: 0, remote: undefined },
    ...{ up: false, mute: false, reinvites: 0, ended: false, lastMs: 0, gapMs: 0, sequence: randomInt(60_000) },
  };
  socket.on('message', () => {
    const now = performance.now();
    if (leg.lastMs > 0) leg.gapMs = Math.max(leg.gapMs, now - leg.lastMs);
    leg.lastMs = now;
  });
  legs.set(callId, leg);
  return leg;
}

function send(sip: Socket, lines: readonly string[], body = ''): void {
  const typed = body === '' ? [] : ['Content-Type: application/sdp'];
  const text = [...lines, ...typed, `Content-Length: ${body.length}`, '', body].join('\r\n');
  sip.send(text, 5060, start.edge);
}

function via(leg: { readonly address: string }): string {
  return `Via: SIP/2.0/UDP ${leg.address}:5060;branch=z9hG4bK${randomBytes(8).toString('hex')}`;
}

function respond(sip: Socket, request: string, status: string, leg: Leg, body = ''): void {
  const to = header(request, 'To');
  const tagged = /;tag=/.test(to) ? to : `${to};tag=${leg.localTag}`;
  send(
    sip,
    [
      `SIP/2.0 ${status}`,
      ...headers(request, 'Via').map(value => `Via: ${value}`),
      ...headers(request, 'Record-Route').map(value => `Record-Route: ${value}`),
      `From: ${header(request, 'From')}`,
      `To: ${tagged}`,
      `Call-ID: ${leg.callId}`,
      `CSeq: ${header(request, 'CSeq')}`,
      `Contact: <sip:phone@${leg.address}:5060>`,
    ],
    body,
  );
}

function request(leg: Leg, method: string, cseq: number, body = ''): void {
  const [from, to] = leg.fromTo;
  send(
    leg.sip,
    [
      `${method} ${leg.target} SIP/2.0`,
      via(leg),
      ...leg.routes.map(route => `Route: ${route}`),
      'Max-Forwards: 70',
      `From: ${from}`,
      `To: ${to}`,
      `Call-ID: ${leg.callId}`,
      `CSeq: ${cseq} ${method}`,
      `Contact: <sip:phone@${leg.address}:5060>`,
    ],
    body,
  );
}

async function onRequest(text: string, method: string, sip: Socket, address: string): Promise<void> {
  const callId = header(text, 'Call-ID');
  let leg = legs.get(callId);
  if (method === 'INVITE' && !leg) {
    leg = await openLeg(callId, address, sip, true);
    leg.routes = headers(text, 'Record-Route');
    leg.fromTo = [`${header(text, 'To')};tag=${leg.localTag}`, header(text, 'From')];
  }
  if (!leg) {
    if (method !== 'ACK')
      send(sip, [
        'SIP/2.0 481 Gone',
        ...['Via', 'From', 'To', 'Call-ID', 'CSeq'].flatMap(name =>
          headers(text, name).map(value => `${name}: ${value}`),
        ),
      ]);
    return;
  }
  if (method === 'ACK') {
    leg.up = true;
    return;
  }
  if (method === 'INVITE') {
    if (leg.up) {
      leg.reinvites++;
      if (leg.mute) return;
      if (start.answerAfterMs > 0) await new Promise(resolve => setTimeout(resolve, start.answerAfterMs));
    }
    leg.target = /<([^>]+)>/.exec(header(text, 'Contact'))?.[1] ?? leg.target;
    agree(leg, text);
    respond(sip, text, '200 OK', leg, sdpOf(leg));
    return;
  }
  respond(sip, text, '200 OK', leg);
  if (method === 'BYE') endLeg(leg);
}

function onResponse(text: string): void {
  const leg = legs.get(header(text, 'Call-ID'));
  const status = Number(/^SIP\/2\.0 (\d+)/.exec(text)?.[1]);
  const cseq = header(text, 'CSeq');
  if (!leg || status < 200 || !cseq.endsWith('INVITE')) return;
  if (status >= 300) {
    process.stderr.write(`a call was refused: ${status}\n`);
    endLeg(leg);
    return;
  }
  if (!leg.up) {
    leg.routes = headers(text, 'Record-Route').reverse();
    leg.target = /<([^>]+)>/.exec(header(text, 'Contact'))?.[1] ?? '';
    leg.fromTo = [header(text, 'From'), header(text, 'To')];
    agree(leg, text);
    leg.up = true;
  }
  request(leg, 'ACK', Number.parseInt(cseq, 10));
}

function endLeg(leg: Leg): void {
  leg.ended = true;
  leg.remote = undefined;
}

async function openSip(address: string): Promise<Socket> {
  const sip = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
  await new Promise<void>((resolve, reject) => {
    sip.once('error', reject);
    sip.bind(5060, address, resolve);
  });
  sip.on('message', data => {
    const text = data.toString('latin1');
    const method = /^([A-Z]+) /.exec(text)?.[1];
    if (method === undefined) onResponse(text);
    else void onRequest(text, method, sip, address);
  });
  return sip;
}

const caller = await openSip(start.callerAddress);
await openSip(start.calleeAddress);

async function call({ count, perSecond, dial, mute = false }: Extract<ToPhones, { do: 'call' }>): Promise<void> {
  for (let i = 0; i < count; i++) {
    const callId = `${randomBytes(8).toString('hex')}@bench`;
    const leg = await openLeg(callId, start.callerAddress, caller, false);
    leg.mute = mute;
    leg.target = `sip:${dial}@${start.edge}:5060`;
    leg.fromTo = [`<sip:100@${start.callerAddress}>;tag=${leg.localTag}`, `<sip:${dial}@${start.edge}>`];
    request(leg, 'INVITE', 1, sdpOf(leg));
    await new Promise(resolve => setTimeout(resolve, 1000 / perSecond));
  }
}

let group = 0;
let nextMs = performance.now();
function tick(): void {
  let at = 0;
  for (const leg of legs.values()) {
    if (at++ % groups !== group || !leg.up || !leg.remote) continue;
    leg.sequence = (leg.sequence + 1) & 0xffff;
    const packet = Buffer.from(payload);
    packet.writeUInt16BE(leg.sequence, 2);
    packet.writeUInt32BE((leg.sequence * samples) >>> 0, 4);
    packet.writeUInt32BE(leg.port, 8);
    leg.socket.send(packet, leg.remote.port, leg.remote.address);
  }
  group = (group + 1) % groups;
  nextMs += start.packetMs / groups;
  setTimeout(tick, Math.max(0, nextMs - performance.now()));
}
tick();

function report(): PhonesReport {
  const now = performance.now();
  const all = [...legs.values()].filter(leg => !leg.ended);
  const heard = all.filter(leg => !leg.mute);
  return {
    up: all.filter(leg => leg.up).length,
    reinvited: all.filter(leg => leg.reinvites > 0).length,
    ended: legs.size - all.length,
    gapsMs: heard.map(leg => leg.gapMs),
    silentMs: heard.map(leg => now - leg.lastMs),
  };
}

async function obey(message: ToPhones): Promise<void> {
  switch (message.do) {
    case 'call':
      await call(message);
      break;
    case 'reset':
      for (const leg of legs.values()) Object.assign(leg, { gapMs: 0, reinvites: 0 });
      break;
    case 'report':
      break;
    case 'hangup':
      for (const leg of legs.values()) {
        if (!leg.ended && leg.up && !leg.inbound) {
          request(leg, 'BYE', ++leg.cseq);
          endLeg(leg);
          await new Promise(resolve => setTimeout(resolve, 5));
        }
      }
      break;
    case 'end':
      process.exit(0);
  }
  process.send?.(report());
  if (message.do === 'hangup') {
    for (const [callId, leg] of legs) {
      if (!leg.ended) continue;
      leg.socket.close();
      legs.delete(callId);
    }
  }
}
process.on('message', message => void obey(message as ToPhones));
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
