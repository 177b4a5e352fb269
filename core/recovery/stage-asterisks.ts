// The Asterisks of a rehearsal: they do at once what they are asked, and tell of it as real ones do.
import type { AriChannel, AriClient, AriEvent, AsteriskFarm, AsteriskNode } from '../ports/asterisk.js';

export class StageAsterisks implements AsteriskFarm {
  readonly #nodes = new Map<string, AsteriskNode>();
  readonly #tell: (node: string, event: AriEvent) => void;

  constructor(tell: (node: string, event: AriEvent) => void) {
    this.#tell = tell;
  }

  node(name: string): AsteriskNode {
    const known = this.#nodes.get(name);
    if (known) return known;
    const nothing = async (): Promise<void> => undefined;
    const node: AsteriskNode = {
      ...{ name, ari: this.#ari(name), connected: true, open: () => undefined, abandon: nothing, close: nothing },
      requestDelay: () => ({ requests: 0, medianMs: 0 }),
    };
    this.#nodes.set(name, node);
    return node;
  }

  /** An INVITE reaches the node. */
  call(node: string, number: number): void {
    const id = `caller-${number}`;
    const args = ['inbound', [`${id}@rehearsal.invalid`, 'trunk:rehearsal', 'callee', ''].join('&')];
    this.#tell(node, { type: 'StasisStart', timestamp: '', args, channel: channel(id, 'Ring') });
  }

  #ari(node: string): AriClient {
    const says = (event: AriEvent): void => void setImmediate(() => this.#tell(node, event));
    const channels: Partial<AriClient['channels']> = {
      create: async ({ channelId }) => {
        for (const state of ['Ringing', 'Up'])
          says({ type: 'ChannelStateChange', timestamp: '', channel: channel(channelId, state) });
      },
      originate: async ({ channelId }) =>
        says({ type: 'StasisStart', timestamp: '', args: ['leg'], channel: channel(channelId, 'Up') }),
      hangup: async ({ channelId }) =>
        says({ type: 'ChannelDestroyed', timestamp: '', cause: 16, cause_txt: '', channel: channel(channelId, 'Up') }),
    };
    const bridges: Partial<AriClient['bridges']> = {
      createWithId: async ({ bridgeId }) => ({
        ...{ id: bridgeId, technology: 'simple_bridge', bridge_type: 'mixing', name: '', channels: [] },
      }),
    };
    return { channels: doing(channels), bridges: doing(bridges) } as AriClient;
  }
}

/** Any other operation of the group succeeds, and nothing comes of it. */
function doing<Group extends object>(known: Partial<Group>): Group {
  const done = async (): Promise<void> => undefined;
  return new Proxy(known, { get: (group, name) => Reflect.get(group, name) ?? done }) as Group;
}

function channel(id: string, state: string): AriChannel {
  return {
    ...{ id, state, name: `PJSIP/edge-${id}`, creationtime: '' },
    ...{ caller: { name: '', number: 'caller' }, connected: { name: '', number: '' } },
    dialplan: { context: '', exten: '', app_name: 'Stasis' },
  };
}
