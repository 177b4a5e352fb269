// Tells from the messages of one Call-ID whether some that belong to them are not there yet. Pure.
import type { TracedSip } from '../../../core/plugin-api.js';

interface Transaction {
  readonly invite: boolean;
  readonly cseq: number;
  readonly fromTag: string;
  /** The request would make a dialog: it names no To tag. */
  initial: boolean;
  request: boolean;
  final: boolean;
  ack: boolean;
}

const cseqHeader = /^CSeq[ \t]*:[ \t]*(\d+)[ \t]+(\w+)/im;
const fromTagParameter = /^(?:From|f)[ \t]*:.*;[ \t]*tag[ \t]*=[ \t]*([^;\s]+)/im;
const toTagParameter = /^(?:To|t)[ \t]*:.*;[ \t]*tag[ \t]*=/im;
const statusLine = /^SIP\/2\.0 (\d{3})/;

/**
 * True while a request, its final response or the ACK is missing from any transaction. A response that the edge itself
 * gave is in no received copy: an initial INVITE that another one followed, as after a 407, does without.
 */
export function hasOpenTransaction(messages: readonly TracedSip[]): boolean {
  const transactions = [...transactionsOf(messages)];
  const initial = transactions.filter(({ invite, initial }) => invite && initial);
  return transactions.some(({ invite, cseq, fromTag, request, final, ack }) => {
    if (!invite) return !request || !final;
    const isFollowed = initial.some(later => later.fromTag === fromTag && later.cseq > cseq);
    return !request || !ack || !(final || isFollowed);
  });
}

function transactionsOf(messages: readonly TracedSip[]): Iterable<Transaction> {
  const known = new Map<string, Transaction>();
  for (const { raw } of messages) {
    const [, cseq, method = ''] = cseqHeader.exec(raw) ?? [];
    // What is no SIP tells nothing of the rest.
    if (cseq === undefined) continue;
    const fromTag = fromTagParameter.exec(raw)?.[1] ?? '';
    const invite = method === 'INVITE' || method === 'ACK';
    // An ACK has the CSeq number of its INVITE (RFC 3261 §13.2.2.4, §17.1.1.3).
    const key = `${cseq} ${invite ? 'INVITE' : method} ${fromTag}`;
    const empty = { invite, cseq: Number(cseq), fromTag, initial: false, request: false, final: false, ack: false };
    const transaction = known.get(key) ?? empty;
    known.set(key, transaction);
    const status = statusLine.exec(raw)?.[1];
    if (status !== undefined) transaction.final ||= Number(status) >= 200;
    else if (method === 'ACK') transaction.ack = true;
    else {
      transaction.request = true;
      transaction.initial = !toTagParameter.test(raw);
    }
  }
  return known.values();
}
