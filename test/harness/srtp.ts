// SRTP (RFC 3711) with AES in counter mode and HMAC-SHA1, and its keys in SDP (RFC 4568): what a phone of a test needs of them.
import { createCipheriv, createHmac, randomBytes } from 'node:crypto';

/** Bytes of an authentication tag, by suite (RFC 4568 §6.2). */
const tagBytes = { AES_CM_128_HMAC_SHA1_80: 10, AES_CM_128_HMAC_SHA1_32: 4 } as const;
export type SrtpSuite = keyof typeof tagBytes;

const [keyBytes, saltBytes, authKeyBytes, headerBytes] = [16, 14, 20, 12];

/** One `a=crypto` line. */
export interface SrtpKey {
  readonly tag: number;
  readonly suite: SrtpSuite;
  /** Master key and master salt. */
  readonly master: Buffer;
}

export function newMaster(): Buffer {
  return randomBytes(keyBytes + saltBytes);
}

export function formatKey({ tag, suite, master }: SrtpKey): string {
  return `a=crypto:${tag} ${suite} inline:${master.toString('base64')}`;
}

/** Undefined for a line that is none, and for a suite that is not ours. */
export function parseKey(line: string): SrtpKey | undefined {
  const [, tag, suite = '', inline = ''] = /^a=crypto:(\d+) (\S+) inline:([A-Za-z0-9+/=]+)/.exec(line) ?? [];
  if (tag === undefined || !(suite in tagBytes)) return undefined;
  return { tag: Number(tag), suite: suite as SrtpSuite, master: Buffer.from(inline, 'base64') };
}

/** What one master key is stretched to (RFC 3711 §4.3). */
class SessionKeys {
  readonly #encryption: Buffer;
  readonly #salt: Buffer;
  readonly #authentication: Buffer;
  readonly tagBytes: number;

  constructor({ suite, master }: SrtpKey) {
    const derive = (label: number, bytes: number): Buffer => {
      const iv = Buffer.alloc(16);
      master.copy(iv, 0, keyBytes);
      iv[7]! ^= label;
      return counterMode(master.subarray(0, keyBytes), iv, Buffer.alloc(bytes));
    };
    this.#encryption = derive(0, keyBytes);
    this.#authentication = derive(1, authKeyBytes);
    this.#salt = derive(2, saltBytes);
    this.tagBytes = tagBytes[suite];
  }

  /** Encrypts or decrypts what follows the header (§4.1.1). */
  crypt(packet: Buffer, rollovers: number): Buffer {
    const iv = Buffer.alloc(16);
    this.#salt.copy(iv);
    const xor = (value: number, at: number): void => {
      iv.writeUInt32BE((iv.readUInt32BE(at) ^ value) >>> 0, at);
    };
    xor(packet.readUInt32BE(8), 4);
    xor(rollovers, 8);
    iv.writeUInt16BE(iv.readUInt16BE(12) ^ packet.readUInt16BE(2), 12);
    const payload = counterMode(this.#encryption, iv, packet.subarray(headerBytes));
    return Buffer.concat([packet.subarray(0, headerBytes), payload]);
  }

  /** §4.2: the rollover counter is authenticated with the packet. */
  tag(packet: Buffer, rollovers: number): Buffer {
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(rollovers);
    const hmac = createHmac('sha1', this.#authentication).update(packet).update(counter);
    return hmac.digest().subarray(0, this.tagBytes);
  }
}

function counterMode(key: Buffer, iv: Buffer, data: Buffer): Buffer {
  return createCipheriv('aes-128-ctr', key, iv).update(data);
}

/** One end of a stream. With a new key the rollover counters go on (§3.3.1). */
abstract class SrtpContext {
  #key: SrtpKey;
  protected keys: SessionKeys;

  constructor(key: SrtpKey) {
    this.#key = key;
    this.keys = new SessionKeys(key);
  }

  get key(): SrtpKey {
    return this.#key;
  }

  rekey(key: SrtpKey): void {
    if (key.suite === this.#key.suite && key.master.equals(this.#key.master)) return;
    this.#key = key;
    this.keys = new SessionKeys(key);
  }
}

/** What goes out. Its header is RTP's twelve bytes, its sequence numbers go up by one. */
export class SrtpSender extends SrtpContext {
  #rollovers = 0;
  #last: number | undefined;

  protect(packet: Buffer): Buffer {
    const sequence = packet.readUInt16BE(2);
    if (this.#last !== undefined && sequence < this.#last) this.#rollovers++;
    this.#last = sequence;
    const encrypted = this.keys.crypt(packet, this.#rollovers);
    return Buffer.concat([encrypted, this.keys.tag(encrypted, this.#rollovers)]);
  }
}

/** What comes in: a rollover counter for each SSRC, which is never sent and must be guessed (§3.3.1). */
export class SrtpReceiver extends SrtpContext {
  readonly #streams = new Map<number, { rollovers: number; last: number }>();
  /** Packets whose tag was wrong, plain RTP included. */
  refused = 0;

  get rollovers(): readonly number[] {
    return [...this.#streams.values()].map(stream => stream.rollovers);
  }

  /** Undefined for what nobody with the key has sent. */
  unprotect(data: Buffer): Buffer | undefined {
    const end = data.length - this.keys.tagBytes;
    if (end < headerBytes) return undefined;
    const [packet, tag] = [data.subarray(0, end), data.subarray(end)];
    const [sequence, ssrc] = [packet.readUInt16BE(2), packet.readUInt32BE(8)];
    const stream = this.#streams.get(ssrc) ?? { rollovers: 0, last: sequence };
    const step = ((sequence - stream.last + 0x8000) & 0xffff) - 0x8000;
    const rollovers = stream.rollovers + Math.floor((stream.last + step) / 0x10000);
    if (rollovers < 0 || !this.keys.tag(packet, rollovers).equals(tag)) {
      this.refused++;
      return undefined;
    }
    if (step >= 0) this.#streams.set(ssrc, { rollovers, last: sequence });
    return this.keys.crypt(packet, rollovers);
  }
}
