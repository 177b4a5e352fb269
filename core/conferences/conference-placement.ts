// Where a conference is mixed, and its record at the beginning.
import type { ConferenceFacts, Placement } from '../calls/call-facts.js';
import { HoldfastError } from '../errors.js';
import type { NodeStates } from '../farm/node-states.js';
import type { RoomPolicy } from './conference-facts.js';
import { plainRoom, type ConferenceRecord } from './conference-record.js';

export interface ConferencePlacementOptions {
  readonly nodes: NodeStates;
  /** Asks the `place` hook; the answer's default is the call node. */
  readonly place: (conference: ConferenceFacts) => Promise<Placement>;
  /** Asks how a room is kept that is about to be made. */
  readonly policyOf: (room: string) => Promise<RoomPolicy>;
}

export class ConferencePlacement {
  readonly #options: ConferencePlacementOptions;
  readonly #list: () => readonly ConferenceRecord[];

  /** `list`: the conferences there are. */
  constructor(options: ConferencePlacementOptions, list: () => readonly ConferenceRecord[]) {
    this.#options = options;
    this.#list = list;
  }

  /**
   * A conference that nobody is in yet. `farmIsThere`: waited for where it is to be mixed on the conference farm. Throws NO_CONFERENCE_NODE, or what a
   * plugin's hook failed with.
   */
  async place(facts: ConferenceFacts, farmIsThere: () => Promise<void>): Promise<ConferenceRecord> {
    const { id, callNodes, room } = facts;
    const { mixing } = await this.#options.place(facts);
    if (mixing === 'conference-farm') await farmIsThere();
    const policy = room === undefined ? plainRoom : await this.#options.policyOf(room);
    const node = mixing === 'call-node' ? callNodes[0] : this.conferenceNode();
    if (node === undefined) {
      throw new HoldfastError('NO_CONFERENCE_NODE', 'no conference node is up', {
        remedy: 'see `holdfast nodes`; two-party calls can be mixed on call nodes with twoParty: call-node',
      });
    }
    return {
      ...{ id, room: room ?? null, mixing, node, createdMs: Date.now() },
      ...{ policy, locked: false, ending: null, participants: [] },
    };
  }

  /** The conference node that is up with the fewest participants; one who is about to come counts, or rooms that begin at once would all be on one node. */
  conferenceNode(): string | undefined {
    const load = new Map<string, number>();
    for (const { node, participants } of this.#list())
      load.set(node, (load.get(node) ?? 0) + Math.max(1, participants.length));
    const up = this.#options.nodes.up('conference').map(node => node.name);
    return up.sort((a, b) => (load.get(a) ?? 0) - (load.get(b) ?? 0))[0];
  }
}
