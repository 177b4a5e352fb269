// Records every SIP message an endpoint sent or received, and prints them as a ladder when a test fails.
import type { HostPort, SipMessage } from './sip-message.js';

export interface LadderRow {
  /** performance.now() */
  readonly atMs: number;
  readonly direction: 'sent' | 'received';
  readonly peer: HostPort;
  readonly message: SipMessage;
  /** The same bytes were sent before. */
  readonly retransmission: boolean;
  /** Why the wire did not take it. */
  lost?: string;
}

export class SipLadder {
  readonly #rows: LadderRow[] = [];
  readonly #sent = new Set<string>();
  readonly #startMs: number;

  constructor(startMs = performance.now()) {
    this.#startMs = startMs;
  }

  add(direction: LadderRow['direction'], peer: HostPort, message: SipMessage, atMs = performance.now()): LadderRow {
    const text = message.toString();
    const retransmission = direction === 'sent' && this.#sent.has(text);
    if (direction === 'sent') this.#sent.add(text);
    const row = { atMs, direction, peer, message, retransmission };
    this.#rows.push(row);
    return row;
  }

  rows(callId?: string): readonly LadderRow[] {
    return callId === undefined ? this.#rows : this.#rows.filter(row => row.message.callId === callId);
  }

  /** One line per message: time, direction, peer, start line, CSeq and tags. */
  print(callId?: string): string {
    const lines = this.rows(callId).map(({ atMs, direction, peer, message, retransmission, lost }) => {
      const time = (atMs - this.#startMs).toFixed(1).padStart(9);
      const what = message.isRequest ? message.startLine.replace(/ SIP\/2\.0$/, '') : message.startLine.slice(8);
      const tags = `from ${message.fromTag || '-'} to ${message.toTag || '-'}`;
      const arrow = direction === 'sent' ? '->' : '<-';
      const again = retransmission ? ' (again)' : '';
      const failed = lost === undefined ? '' : ` (not sent: ${lost})`;
      return `${time} ${arrow} ${peer.address}:${peer.port}  ${what}  [${message.get('CSeq')}; ${tags}]${again}${failed}`;
    });
    return lines.length === 0 ? '(no SIP message)' : lines.join('\n');
  }
}
