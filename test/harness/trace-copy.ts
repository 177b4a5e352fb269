// One copy of a SIP message as the trace keeps it: an INVITE, with what matters to the test put in.
import type { TraceMessage } from '../../core/trace/trace-message.js';

export function traceCopy(fields: Partial<TraceMessage>): TraceMessage {
  return {
    atMs: 0,
    instance: 'kamailio-1',
    direction: 'in',
    source: 's',
    destination: 'd',
    callId: 'c1',
    startLine: 'INVITE sip:a@h SIP/2.0',
    method: 'INVITE',
    status: null,
    reason: '',
    cseq: 1,
    fromTag: 'f',
    toTag: null,
    viaBranch: 'phone',
    nextViaBranch: null,
    sizeBytes: 500,
    contentType: null,
    rawAt: null,
    ...fields,
  };
}
