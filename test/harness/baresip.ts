// Debian's baresip: a tone for a microphone, its RTP off the wire for an ear, commands and events as JSON over ctrl_tcp.
// It can record what it hears (sndfile), but 1.0.0 ceases to with the first re-INVITE.
import { connect, type Socket } from 'node:net';
import { randomInt } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DebianPhone, type PhoneOptions } from './debian-phone.js';
import { Netstrings } from './netstrings.js';
import { PhoneProcess } from './phone-process.js';
import { RtpTap, type PortRange } from './rtp-tap.js';
import type { RtpMeter } from './rtp-meter.js';
import { waitFor } from './wait-for.js';

const controlPort = 4444;
/** Each phone has ports of its own: what another one hears is no matter of its tap. Of other processes' phones they differ by chance. */
let nextRtpPort = 2 * randomInt(5_000, 9_000);
/** ausine plays at this rate only (modules/ausine). */
const toneRate = 48_000;

interface BaresipEvent {
  readonly event: true;
  readonly type: string;
  readonly id?: string;
  readonly param?: string;
}

interface BaresipResponse {
  readonly response: true;
  readonly ok: boolean;
  readonly data: string;
  readonly token: string;
}

export interface BaresipOptions extends PhoneOptions {
  /** SRTP as baresip's accounts name it: offered in RTP/AVP (RFC 8643), or as RTP/SAVP. Default none. */
  readonly mediaenc?: 'srtp' | 'srtp-mand';
}

export class Baresip extends DebianPhone {
  readonly #isSecure: boolean;
  readonly #socket: Socket;
  readonly #tap: RtpTap;
  readonly #events: BaresipEvent[] = [];
  readonly #responses = new Map<string, BaresipResponse>();
  #commands = 0;
  #callId = '';

  private constructor(options: BaresipOptions, process: PhoneProcess, tap: RtpTap, socket: Socket) {
    super(options, process);
    this.#isSecure = options.mediaenc !== undefined;
    this.#tap = tap;
    this.#socket = socket;
    const messages = new Netstrings(text => this.#take(JSON.parse(text) as BaresipEvent | BaresipResponse));
    socket.on('data', data => messages.push(data));
    socket.on('error', () => undefined);
  }

  /** Starts one, and resolves when it is registered. */
  static async start(options: BaresipOptions): Promise<Baresip> {
    const folder = await PhoneProcess.folder('baresip');
    const rtpPorts = { from: nextRtpPort, to: nextRtpPort + 19 };
    nextRtpPort += 20;
    await writeFile(join(folder, 'config'), config(options, folder, rtpPorts));
    await writeFile(join(folder, 'accounts'), account(options));
    await writeFile(join(folder, 'contacts'), '');
    const tap = await RtpTap.start(options.farm.subnet.cidr, rtpPorts);
    const process = PhoneProcess.start('baresip', ['-f', folder, '-p', folder], folder);
    try {
      const open = async (): Promise<Socket> => controlSocket(options.address);
      const socket = await waitFor('baresip to listen', open, { everyMs: 50, describe: () => process.output });
      const phone = new Baresip(options, process, tap, socket);
      await phone.until('baresip to be registered', async () => (await phone.#command('reginfo')).includes('OK'));
      return phone;
    } catch (error) {
      await Promise.all([process.stop(), tap.stop()]);
      throw error;
    }
  }

  /** SIP Call-ID of its call. */
  get callId(): string {
    return this.#callId;
  }

  /** How often the other side has offered media to it: an INVITE, and each re-INVITE after it. */
  get offers(): number {
    return this.#events.filter(({ type, param }) => type === 'CALL_REMOTE_SDP' && param === 'offer').length;
  }

  /** What arrives at it, of RTP. */
  get audio(): RtpMeter {
    return this.#tap.meter;
  }

  async hears(hz: number, deadlineMs = 15_000): Promise<void> {
    if (!this.#isSecure) await this.audio.hears(hz, this.user, deadlineMs);
    await this.plays();
  }

  /** Waits until it has played more than it has so far: of SRTP, what its key fits. */
  async plays(): Promise<void> {
    const decoded = await this.#decodedSeconds();
    const more = async (): Promise<boolean> => (await this.#decodedSeconds()) > decoded;
    await this.until(`${this.user} to play what comes in`, more);
  }

  async dial(uri: string): Promise<void> {
    this.enter('calling');
    await this.#command('dial', uri);
  }

  async accept(): Promise<void> {
    await this.#command('accept');
    await this.is('established');
  }

  async hangup(): Promise<void> {
    await this.#command('hangup');
    await this.is('ended');
  }

  async hold(): Promise<void> {
    await this.#agreed('hold');
  }

  async resume(): Promise<void> {
    await this.#agreed('resume');
  }

  async sendDigit(digit: string): Promise<void> {
    await this.#command('sndcode', digit);
  }

  override async close(): Promise<void> {
    this.#socket.destroy();
    await Promise.all([super.close(), this.#tap.stop()]);
  }

  story(): string {
    return [...this.#events.map(event => JSON.stringify(event)), this.process.output].join('\n');
  }

  /** How much it has decoded in this call. */
  async #decodedSeconds(): Promise<number> {
    const audio = await this.#command('audio_debug');
    return Number(/ rx:[^]*? time = ([\d.]+) sec/.exec(audio)?.[1] ?? 0);
  }

  /** A re-INVITE, and its answer. */
  async #agreed(command: string): Promise<void> {
    const from = this.#events.length;
    await this.#command(command);
    const isAnswer = ({ type, param }: BaresipEvent): boolean => type === 'CALL_REMOTE_SDP' && param === 'answer';
    await this.until(`an answer to ${command}`, () => this.#events.slice(from).some(isAnswer));
  }

  async #command(command: string, params?: string): Promise<string> {
    const token = `${++this.#commands}`;
    const text = JSON.stringify({ command, params, token });
    this.#socket.write(`${Buffer.byteLength(text)}:${text},`);
    const response = await this.until(`baresip to do ${command}`, () => this.#responses.get(token));
    if (!response.ok) throw new Error(`baresip refuses ${command} ${params ?? ''}: ${response.data}\n${this.story()}`);
    return response.data;
  }

  #take(message: BaresipEvent | BaresipResponse): void {
    if ('response' in message) {
      this.#responses.set(message.token, message);
      return;
    }
    this.#events.push(message);
    if (message.id !== undefined) this.#callId = message.id;
    if (message.type === 'CALL_INCOMING') this.enter('incoming');
    else if (message.type === 'CALL_ESTABLISHED') this.enter('established');
    else if (message.type === 'CALL_CLOSED') this.enter('ended');
    else if (message.type === 'CALL_DTMF_START') this.hearDigit(message.param ?? '');
  }
}

async function controlSocket(address: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(controlPort, address, () => resolve(socket));
    socket.once('error', reject);
  });
}

function config({ address, hz, tls }: PhoneOptions, folder: string, { from, to }: PortRange): string {
  return `sip_listen ${address}:5060
${tls === undefined ? '' : `sip_cafile ${tls.trusts}\n`}net_interface ${address}
audio_source ausine,${hz}
ausrc_srate ${toneRate}
ausrc_channels 2
audio_path ${folder}
rtp_ports ${from}-${to}
ctrl_tcp_listen ${address}:${controlPort}
statmode_default off
module_path /usr/lib/baresip/modules
module g711.so
module srtp.so
module ausine.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
`;
}

function account({ user, domain, secret, farm, tls, mediaenc }: BaresipOptions): string {
  const transport = tls === undefined ? '' : ';transport=tls';
  const proxy = `sip:${farm.host(100)}:${tls === undefined ? 5060 : 5061}${transport}`;
  const secured = mediaenc === undefined ? '' : `;mediaenc=${mediaenc}`;
  return `<sip:${user}@${domain}${transport}>;auth_pass=${secret};outbound="${proxy}";regint=300;audio_codecs=PCMA,PCMU${secured}
`;
}
