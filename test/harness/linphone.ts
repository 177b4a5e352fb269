// Debian's linphonec, typed at through its standard input: plays a tone from a file, records what it hears into another.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DebianPhone, type PhoneOptions, type PhoneState } from './debian-phone.js';
import { PhoneProcess } from './phone-process.js';
import { isTone, ToneSource, type Heard } from './tone.js';
import { waitFor } from './wait-for.js';
import { WavTail } from './wav-tail.js';
import { formatWav, wavRate } from './wav.js';

/** How its digits leave: within the audio (RFC 4733), or as SIP INFO (application/dtmf-relay). */
export type DigitTransport = 'rfc4733' | 'info';

export interface LinphoneOptions extends PhoneOptions {
  /** Default rfc4733. */
  readonly digits?: DigitTransport;
}

/** The tone is longer than any test, as a file that has been played is not begun again. */
const toneSeconds = 120;

/** What it would offer beside G.711, in which it is measured. */
const otherCodecs = ['opus/48000/2', 'speex/16000/1', 'speex/8000/1', 'G729/8000/1'];

/** What it prints when its call changes (console/linphonec.c of liblinphone). */
const changes: readonly (readonly [RegExp, PhoneState])[] = [
  [/^Receiving new incoming call from /, 'incoming'],
  [/^Call \d+ with .* (connected|is now paused)\.$/, 'established'],
  [/^Call \d+ with .* (ended \(.*\)|error)\.$/, 'ended'],
];

export class Linphone extends DebianPhone {
  readonly #recording: WavTail;
  #lines: string[] = [];
  #rest = '';

  private constructor(options: LinphoneOptions, process: PhoneProcess, recording: WavTail) {
    super(options, process);
    this.#recording = recording;
    process.onOutput(text => this.#take(text));
  }

  /** Starts one, and resolves when it is registered. */
  static async start(options: LinphoneOptions): Promise<Linphone> {
    const folder = await PhoneProcess.folder('linphone');
    // It opens a database there, and takes no port if it cannot.
    await mkdir(join(folder, '.local/share/linphone'), { recursive: true });
    await mkdir(join(folder, 'linphone'));
    await writeFile(join(folder, 'linphonerc'), config(options, folder));
    const samples = new ToneSource().samples(options.hz, wavRate, toneSeconds * wavRate);
    await writeFile(join(folder, 'tone.wav'), formatWav(samples));
    const process = PhoneProcess.start('linphonec', ['-c', join(folder, 'linphonerc')], folder);
    const recording = join(folder, 'heard.wav');
    const phone = new Linphone(options, process, new WavTail(recording));
    try {
      phone.process.write('soundcard use files');
      phone.process.write(`play ${join(folder, 'tone.wav')}`);
      phone.process.write(`record ${recording}`);
      await phone.#registered();
      return phone;
    } catch (error) {
      await process.stop();
      throw error;
    }
  }

  async dial(uri: string): Promise<void> {
    this.enter('calling');
    this.process.write(`call ${uri}`);
  }

  async accept(): Promise<void> {
    this.process.write('answer');
    await this.is('established');
  }

  async hangup(): Promise<void> {
    this.process.write('terminate');
    await this.is('ended');
  }

  async hold(): Promise<void> {
    await this.#does('pause', /is now paused\.$/);
  }

  async resume(): Promise<void> {
    await this.#does('resume', /^Media streams established with /);
  }

  async sendDigit(digit: string): Promise<void> {
    this.process.write(digit);
  }

  async hears(hz: number, deadlineMs = 15_000): Promise<void> {
    const since = await this.#recording.length();
    let last: Heard | undefined;
    const check = async (): Promise<boolean> => isTone((last = await this.#recording.heard(since)), hz);
    const describe = (): string => `heard ${JSON.stringify(last)}\n${this.story()}`;
    await waitFor(`${hz} Hz at ${this.user}`, check, { deadlineMs, everyMs: 50, describe });
  }

  /** Asks the other side to call somebody else (REFER); what becomes of it, it does not tell. */
  transfer(uri: string): void {
    this.process.write(`transfer ${uri}`);
  }

  story(): string {
    return this.process.output;
  }

  async #registered(): Promise<void> {
    await this.until('linphonec to be registered', () => {
      this.process.write('status register');
      return this.#lines.some(line => line.startsWith('registered, identity='));
    });
  }

  async #does(command: string, done: RegExp): Promise<void> {
    const from = this.#lines.length;
    this.process.write(command);
    await this.until(`linphonec to ${command}`, () => this.#lines.slice(from).some(line => done.test(line)));
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#takeLine(line.replace(/^(linphonec> )+/, ''));
  }

  #takeLine(line: string): void {
    this.#lines.push(line);
    const change = changes.find(([pattern]) => pattern.test(line));
    if (change) this.enter(change[1]);
    const digit = /^Receiving tone (.) from /.exec(line)?.[1];
    if (digit !== undefined) this.hearDigit(digit);
  }
}

function config({ address, user, domain, secret, farm, digits }: LinphoneOptions, folder: string): string {
  const proxy = `sip:${farm.host(100)}:5060`;
  return `[sip]
sip_port=5060
sip_tcp_port=0
sip_tls_port=0
bind_address=${address}
default_proxy=0
use_info=${digits === 'info' ? 1 : 0}
use_rfc2833=${digits === 'info' ? 0 : 1}

[proxy_0]
reg_proxy=<${proxy}>
reg_route=<${proxy};lr>
reg_identity=sip:${user}@${domain}
reg_expires=300
reg_sendregister=1
publish=0

[auth_info_0]
username=${user}
passwd=${secret}
realm=${domain}

[rtp]
audio_rtp_port=-1

${otherCodecs.map(disabled).join('')}[video]
enabled=0
capture=0
display=0

[misc]
user_certificates_path=${folder}
`;
}

function disabled(codec: string, index: number): string {
  const [mime = '', rate = '', channels = ''] = codec.split('/');
  return `[audio_codec_${index}]\nmime=${mime}\nrate=${rate}\nchannels=${channels}\nenabled=0\n\n`;
}
