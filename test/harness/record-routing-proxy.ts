// A stateless proxy between a farm and one phone, which stays in the dialogs that pass it (RFC 3261 §16.6 step 4, §16.11).
import { hostPortOf, SipMessage, uriOf, type HostPort } from './sip-message.js';
import { openUdp, type SipWire } from './sip-wire.js';

export class RecordRoutingProxy {
  readonly address: string;
  readonly #phone: HostPort;
  #wire: SipWire | undefined;

  private constructor(address: string, phone: HostPort) {
    this.address = address;
    this.#phone = phone;
  }

  static async open(address: string, phone: HostPort): Promise<RecordRoutingProxy> {
    const proxy = new RecordRoutingProxy(address, phone);
    proxy.#wire = await openUdp(
      { address, port: 5060 },
      (data, from) => proxy.#pass(data, from),
      () => undefined,
    );
    return proxy;
  }

  async close(): Promise<void> {
    await this.#wire?.close();
  }

  #pass(data: Buffer, from: HostPort): void {
    const message = SipMessage.parse(data);
    if (!message) return;
    if (message.isRequest) this.#passRequest(message, from);
    else this.#passResponse(message);
  }

  #passRequest(request: SipMessage, from: HostPort): void {
    const isOfPhone = from.address === this.#phone.address;
    const [first = '', ...others] = request.all('Route');
    const routes = isOwn(first, this.#own) ? others : request.all('Route');
    const via = `SIP/2.0/UDP ${this.#own.address}:${this.#own.port};branch=${request.branch}.proxied`;
    const isNew = request.method === 'INVITE' && request.toTag === '';
    const record = isNew ? [`<sip:${this.#own.address}:${this.#own.port};lr>`] : [];
    const passed = request
      .with('Via', via, ...request.all('Via'))
      .with('Route', ...routes)
      .with('Record-Route', ...record, ...request.all('Record-Route'));
    this.#send(passed, isOfPhone ? hostPortOf(uriOf(routes[0] ?? '')) : this.#phone);
  }

  #passResponse(response: SipMessage): void {
    const [, ...vias] = response.all('Via');
    const [, sentBy = ''] = /^\S+\s+([^;\s]+)/.exec(vias[0] ?? '') ?? [];
    this.#send(response.with('Via', ...vias), hostPortOf(`sip:${sentBy}`));
  }

  get #own(): SipWire {
    if (!this.#wire) throw new Error('the proxy is not open');
    return this.#wire;
  }

  #send(message: SipMessage, to: HostPort): void {
    void this.#wire?.send(message.toString(), to).catch(() => undefined);
  }
}

function isOwn(route: string, { address, port }: HostPort): boolean {
  if (route === '') return false;
  const to = hostPortOf(uriOf(route));
  return to.address === address && to.port === port;
}
