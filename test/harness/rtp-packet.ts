// RTP packets (RFC 3550 §5.1) and the telephone-event payload (RFC 4733 §2.3).

export interface RtpPacket {
  readonly payloadType: number;
  readonly marker: boolean;
  readonly sequence: number;
  readonly timestamp: number;
  readonly ssrc: number;
  readonly payload: Buffer;
}

export function encodeRtp(packet: RtpPacket): Buffer {
  const header = Buffer.alloc(12);
  header[0] = 0x80;
  header[1] = (packet.marker ? 0x80 : 0) | packet.payloadType;
  header.writeUInt16BE(packet.sequence & 0xffff, 2);
  header.writeUInt32BE(packet.timestamp >>> 0, 4);
  header.writeUInt32BE(packet.ssrc, 8);
  return Buffer.concat([header, packet.payload]);
}

/** Undefined for what is not RTP, RTCP (RFC 5761 §4: packet types 192-223) included. */
export function decodeRtp(data: Buffer): RtpPacket | undefined {
  if (data.length < 12 || data[0]! >> 6 !== 2 || (data[1]! >= 192 && data[1]! <= 223)) return undefined;
  let start = 12 + 4 * (data[0]! & 0x0f);
  if (data[0]! & 0x10) start += start + 4 > data.length ? 4 : 4 + 4 * data.readUInt16BE(start + 2);
  if (start > data.length) return undefined;
  const padding = data[0]! & 0x20 ? data.at(-1)! : 0;
  return {
    marker: (data[1]! & 0x80) !== 0,
    payloadType: data[1]! & 0x7f,
    sequence: data.readUInt16BE(2),
    timestamp: data.readUInt32BE(4),
    ssrc: data.readUInt32BE(8),
    payload: data.subarray(start, Math.max(start, data.length - padding)),
  };
}

const digits = '0123456789*#ABCD';

export interface TelephoneEvent {
  readonly digit: string;
  readonly end: boolean;
  /** In units of the stream's clock. */
  readonly duration: number;
}

export function encodeTelephoneEvent({ digit, end, duration }: TelephoneEvent): Buffer {
  const payload = Buffer.alloc(4);
  payload[0] = digits.indexOf(digit.toUpperCase());
  payload[1] = (end ? 0x80 : 0) | 10; // volume: -10 dBm0
  payload.writeUInt16BE(Math.min(duration, 0xffff), 2);
  return payload;
}

/** Undefined for what is not one of the sixteen digits. */
export function decodeTelephoneEvent(payload: Buffer): TelephoneEvent | undefined {
  const digit = payload.length < 4 ? '' : digits.charAt(payload[0]!);
  if (digit === '') return undefined;
  return { digit, end: (payload[1]! & 0x80) !== 0, duration: payload.readUInt16BE(2) };
}
