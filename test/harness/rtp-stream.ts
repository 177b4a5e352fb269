// One side of a call's audio: sends a tone and digits every 20 ms, decodes what arrives, and measures it.
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { randomInt } from 'node:crypto';
import { openCodec, type AudioCodec, type CodecName } from './audio-codec.js';
import { RtpMeter, type RtpReport } from './rtp-meter.js';
import { decodeRtp, encodeRtp, encodeTelephoneEvent } from './rtp-packet.js';
import { SrtpReceiver, SrtpSender, type SrtpKey } from './srtp.js';
import { ToneSource, type Heard } from './tone.js';
import { waitFor } from './wait-for.js';

const packetMs = 20;

/** What SDP agreed on. */
export interface RtpAgreement {
  readonly remote: { readonly address: string; readonly port: number };
  /** What to send. */
  readonly codec: CodecName;
  readonly payloadType: number;
  /** What may arrive: payload type to codec, from the session description that we sent. */
  readonly receives: ReadonlyMap<number, CodecName>;
  readonly telephoneEvent: number | undefined;
  readonly receivesTelephoneEvent: readonly number[];
}

export class RtpStream {
  #socket: Socket;
  readonly #tone = new ToneSource();
  readonly #decoders = new Map<CodecName, AudioCodec>();
  readonly #meter = new RtpMeter();
  #agreement: RtpAgreement | undefined;
  #encoder: AudioCodec | undefined;
  #hz = 0;
  #digits: DigitInProgress[] = [];
  #timer: NodeJS.Timeout | undefined;
  #nextMs = 0;
  #sequence: number;
  #sender: SrtpSender | undefined;
  #receiver: SrtpReceiver | undefined;
  #timestamp = randomInt(2 ** 31);
  #ssrc = randomInt(1, 2 ** 32);
  #sent = 0;
  #isClosed = false;

  private constructor(socket: Socket, sequence: number) {
    this.#sequence = sequence;
    this.#socket = this.#take(socket);
  }

  /** Binds an even port (RFC 3550 §11) of the address. */
  static async open(address: string, firstSequence = randomInt(2 ** 16)): Promise<RtpStream> {
    return new RtpStream(await bindEven(address), firstSequence);
  }

  get address(): string {
    return this.#socket.address().address;
  }

  get port(): number {
    return this.#socket.address().port;
  }

  /** The same stream, sent and received at another address from now on. */
  async moveTo(address: string): Promise<void> {
    const [before, socket] = [this.#socket, await bindEven(address)];
    this.#socket = this.#take(socket);
    before.close();
  }

  /** Packets sent so far. */
  get sent(): number {
    return this.#sent;
  }

  get codec(): CodecName | undefined {
    return this.#agreement?.codec;
  }

  /** Takes what SDP agreed on; a stream that sends goes on with it. */
  agree(agreement: RtpAgreement): void {
    if (this.#agreement?.codec !== agreement.codec) {
      this.#encoder?.close();
      this.#encoder = openCodec(agreement.codec);
    }
    this.#agreement = agreement;
  }

  /** SRTP where there are two keys, RTP where not. */
  secure(ours: SrtpKey | undefined, theirs: SrtpKey | undefined): void {
    if (!ours || !theirs) {
      this.#sender = this.#receiver = undefined;
      return;
    }
    this.#sender ??= new SrtpSender(ours);
    this.#sender.rekey(ours);
    this.#receiver ??= new SrtpReceiver(theirs);
    this.#receiver.rekey(theirs);
  }

  /** Packets that came in and were not of the key agreed on. */
  get unauthentic(): number {
    return this.#receiver?.refused ?? 0;
  }

  /** Undefined where what comes in is RTP. */
  get remoteKey(): SrtpKey | undefined {
    return this.#receiver?.key;
  }

  /** Of what comes in, by SSRC. */
  get rollovers(): readonly number[] {
    return this.#receiver?.rollovers ?? [];
  }

  /** Sequence number of the next packet. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Counts on so many packets further back, under another SSRC: as a phone that begins a stream of its own after a hold. */
  renumber(back: number): void {
    this.#sequence = (this.#sequence - back) & 0xffff;
    this.#ssrc = randomInt(1, 2 ** 32);
  }

  /** Sends from now on: silence, until there is a tone. */
  start(): void {
    if (this.#timer) return;
    this.#nextMs = performance.now();
    this.#tick();
  }

  /** Sends nothing any more, as a phone that is on hold. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** 0 is silence (sent as audio). */
  sendTone(hz: number): void {
    this.#hz = hz;
    this.start();
  }

  /** Queues RFC 4733 digits of 100 ms with 60 ms between them; resolves when all are sent. */
  async sendDigits(digits: string): Promise<void> {
    if (this.#agreement?.telephoneEvent === undefined) throw new Error('telephone-event was not agreed on');
    this.start();
    for (const digit of digits) this.#digits.push({ digit, packets: 0, timestamp: 0 });
    // A machine that stands still sends nothing.
    await waitFor(`digits ${digits} to be sent`, () => this.#digits.length === 0, {
      deadlineMs: 10_000 + digits.length * 400,
    });
  }

  report(): RtpReport {
    return this.#meter.report();
  }

  resetReport(): void {
    this.#meter.reset();
  }

  /** Counts, from now on, the packets that `sender` sends and that do not come: what is late is not lost, nor what one that stood still did not send. */
  lostFrom(sender: RtpStream): () => number {
    const [sent, packets] = [sender.sent, this.report().packets];
    return () => sender.sent - sent - (this.report().packets - packets);
  }

  /** Keeps all audio from now on; see RtpMeter. */
  capture(): () => Int16Array {
    return this.#meter.capture();
  }

  /** The tone in the last 200 ms; undefined for silence, or when nothing came in that time. */
  heard(): Heard | undefined {
    return this.#meter.heard();
  }

  /** Waits until this tone is heard, clean and within 10 Hz. */
  async hears(hz: number, deadlineMs = 15_000): Promise<Heard> {
    return this.#meter.hears(hz, `${this.address}:${this.port}`, deadlineMs);
  }

  /** Waits until some tones are heard together, and some are not. */
  async hearsMix(present: readonly number[], absent: readonly number[], deadlineMs = 15_000): Promise<void> {
    await this.#meter.hearsMix(present, absent, `${this.address}:${this.port}`, deadlineMs);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.stop();
    this.#encoder?.close();
    for (const decoder of this.#decoders.values()) decoder.close();
    this.#decoders.clear();
    this.#encoder = undefined;
    this.#socket.close();
  }

  #take(socket: Socket): Socket {
    socket.on('message', (data, from) => this.#onMessage(data, from));
    // ECONNREFUSED of a remote that is gone belongs to what is tested, not to the test.
    socket.on('error', () => undefined);
    return socket;
  }

  #tick(): void {
    // Late ticks are caught up, unless by more than a phone's own buffer would hold.
    const now = performance.now();
    if (now - this.#nextMs > 200) this.#nextMs = now;
    for (; this.#nextMs <= now; this.#nextMs += packetMs) this.#sendPacket();
    this.#timer = setTimeout(() => this.#tick(), Math.max(1, this.#nextMs - performance.now()));
  }

  #sendPacket(): void {
    const [agreement, encoder] = [this.#agreement, this.#encoder];
    if (!agreement || !encoder) return;
    const { sampleRate, clockRate } = encoder.facts;
    const ticks = (clockRate * packetMs) / 1000;
    const samples = this.#tone.samples(this.#hz, sampleRate, (sampleRate * packetMs) / 1000);
    const digit = this.#digits[0];
    if (digit && digit.packets < 5 + 3) this.#sendDigit(digit, agreement.telephoneEvent ?? 101, ticks);
    else this.#send(agreement.payloadType, encoder.encode(samples), this.#timestamp, this.#sent === 0);
    if (digit && ++digit.packets === 5 + 3 + 3) this.#digits.shift();
    this.#timestamp = (this.#timestamp + ticks) % 2 ** 32;
  }

  /** Five packets of a growing event, then its end three times (RFC 4733 §2.5.1.4): all bear the time of its start. */
  #sendDigit(digit: DigitInProgress, payloadType: number, ticks: number): void {
    if (digit.packets === 0) digit.timestamp = this.#timestamp;
    const event = { digit: digit.digit, end: digit.packets >= 5, duration: Math.min(digit.packets + 1, 5) * ticks };
    this.#send(payloadType, encodeTelephoneEvent(event), digit.timestamp, digit.packets === 0);
  }

  #send(payloadType: number, payload: Buffer, timestamp: number, marker: boolean): void {
    const { remote } = this.#agreement!;
    // Port 0 or 0.0.0.0: the other side takes no audio.
    if (remote.port === 0 || remote.address === '0.0.0.0') return;
    const packet = { payloadType, marker, sequence: this.#sequence, timestamp, ssrc: this.#ssrc, payload };
    const plain = encodeRtp(packet);
    this.#socket.send(this.#sender?.protect(plain) ?? plain, remote.port, remote.address);
    this.#sequence = (this.#sequence + 1) & 0xffff;
    this.#sent++;
  }

  #onMessage(data: Buffer, from: RemoteInfo): void {
    const plain = this.#receiver && decodeRtp(data) ? this.#receiver.unprotect(data) : data;
    const packet = plain && decodeRtp(plain);
    if (!packet) return;
    const isEvent = this.#agreement?.receivesTelephoneEvent.includes(packet.payloadType) ?? false;
    this.#meter.packet(packet, `${from.address}:${from.port}`, isEvent);
    const codec = this.#agreement?.receives.get(packet.payloadType);
    if (isEvent || !codec) return;
    let decoder = this.#decoders.get(codec);
    if (!decoder) this.#decoders.set(codec, (decoder = openCodec(codec)));
    this.#meter.audio(decoder.decode(packet.payload), decoder.facts.sampleRate);
  }
}

async function bindEven(address: string): Promise<Socket> {
  for (let attempt = 0; ; attempt++) {
    const socket = createSocket('udp4');
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once('error', reject);
        socket.bind(2 * randomInt(15_000, 30_000), address, resolve);
      });
      socket.removeAllListeners('error');
      return socket;
    } catch (error) {
      socket.close();
      if (attempt === 20) throw error;
    }
  }
}

interface DigitInProgress {
  readonly digit: string;
  /** Packets sent for it, and of the pause after it. */
  packets: number;
  timestamp: number;
}
