// Two call nodes from our configs and a far end, for the tests of patches/0002.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { inviteParts } from '../../core/calls/inbound-invite.js';
import { stasisApp, type AriClient, type AriEvent } from '../../core/ports/asterisk.js';
import type { SipMessage } from '../harness/sip-message.js';
import { waitFor } from '../harness/wait-for.js';
import { AsteriskLab, EventRecorder } from './asterisk-node-lab.js';
import { WirePhone } from './asterisk-recovery-patch-phone.js';

export const nodes = ['call-1', 'call-2'] as const;
export type Node = (typeof nodes)[number];
type Destroyed = Extract<AriEvent, { type: 'ChannelDestroyed' }>;
type Variables = Readonly<Record<string, string>>;

export interface Recovered {
  readonly id: string;
  readonly invite: SipMessage;
  readonly ack: SipMessage;
}

export class RecoveryLab {
  readonly asterisk: AsteriskLab;
  readonly phone: WirePhone;
  readonly #events = new Map<Node, EventRecorder>();

  private constructor(asterisk: AsteriskLab, phone: WirePhone) {
    this.asterisk = asterisk;
    this.phone = phone;
  }

  static async open(...started: readonly Node[]): Promise<RecoveryLab> {
    const asterisk = await AsteriskLab.open({ trunks: [{ name: 'lab', username: 'us', secret: 'ours' }] });
    const lab = new RecoveryLab(asterisk, await WirePhone.open(asterisk.plan.privateVip));
    try {
      for (const node of started) await lab.start(node);
      return lab;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.phone.close();
    await this.asterisk.close();
  }

  ari(node: Node): AriClient {
    return this.asterisk.farm.node(node).ari;
  }

  async start(node: Node, without?: string): Promise<void> {
    if (this.#events.has(node)) return;
    await this.asterisk.start(node, '', without);
    const recorder = new EventRecorder();
    this.#events.set(node, recorder);
    this.asterisk.farm.node(node).open(recorder);
    await recorder.connections(1);
  }

  /** kill -9 */
  async kill(node: Node): Promise<void> {
    await this.asterisk.farm.node(node).close();
    await this.asterisk.kill(node);
    this.#events.delete(node);
  }

  /** The phone calls and is answered; gives the 200. */
  async phoneCalls(node: Node): Promise<SipMessage> {
    this.phone.peer = { address: this.asterisk.node(node).address, port: 5060 };
    const invited = this.phone.invite();
    const { channel } = await this.events(node).of(
      'StasisStart',
      ({ args }) => inviteParts(args)[0] === encodeURIComponent(this.phone.callId),
    );
    await this.ari(node).channels.answer({ channelId: channel.id });
    const answer = await invited;
    assert.equal(answer.status, 200);
    return answer;
  }

  /** The phone is called and answers; gives the INVITE. */
  async phoneIsCalled(node: Node): Promise<SipMessage> {
    const [id, endpoint] = [randomUUID(), `PJSIP/edge/sip:phone@${this.phone.address}:5060`];
    const callerId = 'Our (side) <70001>';
    await this.ari(node).channels.originate({ endpoint, callerId, app: stasisApp, channelId: id, formats: 'ulaw' });
    const { invite } = await this.phone.accept();
    await this.events(node).of('StasisStart', ({ channel }) => channel.id === id);
    return invite;
  }

  /** Has the node carry on a dialog, without waiting for anything; gives the channel's id. */
  async originate(node: Node, variables: Variables, endpoint = 'edge'): Promise<string> {
    const id = randomUUID();
    const dialled = `PJSIP/${endpoint}/sip:session@recovery.invalid`;
    await this.ari(node).channels.originate({
      endpoint: dialled,
      app: stasisApp,
      channelId: id,
      formats: 'ulaw',
      variables,
    });
    return id;
  }

  /** Has the node carry on a dialog, and the phone accept it; the phone's 200 has no Record-Route. */
  async recover(node: Node, variables: Variables, { endpoint = 'edge', answer = 'sendrecv' } = {}): Promise<Recovered> {
    this.phone.recordRoutes = [];
    const id = await this.originate(node, variables, endpoint);
    const messages = await this.phone.accept(answer);
    await this.events(node).of('StasisStart', ({ channel }) => channel.id === id);
    return { id, ...messages };
  }

  async destroyed(node: Node, id: string): Promise<Destroyed> {
    return this.events(node).of('ChannelDestroyed', ({ channel }) => channel.id === id);
  }

  /** An ordinary call in and one out: the node lives, and nothing of a recovery is left in it. */
  async callsAsBefore(node: Node): Promise<void> {
    for (const role of ['phoneCalls', 'phoneIsCalled'] as const) {
      this.phone.begin();
      await this[role](node);
      assert.equal((await this.phone.request('BYE')).status, 200);
    }
    await waitFor('no channel to be left', async () => (await this.ari(node).channels.list()).length === 0);
  }

  /** What the node has told since it was started. */
  events(node: Node): EventRecorder {
    const recorder = this.#events.get(node);
    assert.ok(recorder, `${node} runs`);
    return recorder;
  }
}
