// The state of one dialog (RFC 3261 §12) and the requests made inside it.
import { hostPortOf, parameter, SipMessage, uriOf, type Header, type HostPort } from './sip-message.js';

export class SipDialog {
  readonly callId: string;
  readonly localTag: string;
  readonly remoteTag: string;
  /** Whole From/To values, tags and all, from our point of view. */
  readonly local: string;
  readonly remote: string;
  readonly routeSet: readonly string[];
  remoteTarget: string;
  localCseq: number;
  remoteCseq: number;

  private constructor(
    state: Pick<SipDialog, 'callId' | 'local' | 'remote' | 'routeSet' | 'remoteTarget'>,
    cseq: Cseqs,
  ) {
    this.callId = state.callId;
    this.local = state.local;
    this.remote = state.remote;
    this.localTag = parameter(state.local, 'tag');
    this.remoteTag = parameter(state.remote, 'tag');
    this.routeSet = state.routeSet;
    this.remoteTarget = state.remoteTarget;
    this.localCseq = cseq.local;
    this.remoteCseq = cseq.remote;
  }

  /** §12.1.2: of the caller, from a response with a To tag. */
  static ofCaller(request: SipMessage, response: SipMessage): SipDialog {
    return new SipDialog(
      {
        callId: request.callId,
        local: request.get('From'),
        remote: response.get('To'),
        routeSet: [...response.all('Record-Route')].reverse(),
        remoteTarget: uriOf(response.get('Contact')) || request.requestUri,
      },
      { local: request.cseq, remote: -1 },
    );
  }

  /** §12.1.1: of the callee, with the tag that its responses bear. */
  static ofCallee(request: SipMessage, localTag: string): SipDialog {
    return new SipDialog(
      {
        callId: request.callId,
        local: `${request.get('To')};tag=${localTag}`,
        remote: request.get('From'),
        routeSet: request.all('Record-Route'),
        remoteTarget: uriOf(request.get('Contact')),
      },
      { local: 0, remote: request.cseq },
    );
  }

  /** True for a request from the other side of this very dialog. */
  has(request: SipMessage): boolean {
    return request.callId === this.callId && request.toTag === this.localTag && request.fromTag === this.remoteTag;
  }

  /** The next hop: the first route (all of ours are loose routers), else the remote target. */
  get destination(): HostPort {
    return hostPortOf(uriOf(this.routeSet[0] ?? `<${this.remoteTarget}>`));
  }

  /** A request in the dialog, still without Via. ACK (and a test that says so) gives its CSeq; others take the next. */
  request(method: string, headers: readonly Header[] = [], body = '', cseq?: number): SipMessage {
    const number = cseq ?? ++this.localCseq;
    const message = new SipMessage(
      `${method} ${this.remoteTarget} SIP/2.0`,
      [
        ['Max-Forwards', '70'],
        ...this.routeSet.map((route): Header => ['Route', route]),
        ['From', this.local],
        ['To', this.remote],
        ['Call-ID', this.callId],
        ['CSeq', `${number} ${method}`],
      ],
      body,
    );
    const names = new Set(headers.map(([name]) => name));
    const valuesOf = (name: string): string[] => headers.filter(([key]) => key === name).map(([, value]) => value);
    return [...names].reduce((made, name) => made.with(name, ...valuesOf(name)), message);
  }

  /** Target refresh (§12.2): the Contact of a re-INVITE or UPDATE, or of its 2xx. */
  refresh(message: SipMessage): void {
    const contact = uriOf(message.get('Contact'));
    if (contact !== '') this.remoteTarget = contact;
  }
}

interface Cseqs {
  readonly local: number;
  readonly remote: number;
}
