// Where a conference is mixed, and its record at the beginning.
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConferenceFacts, Placement } from '../calls/call-facts.js';
import { HoldfastError } from '../errors.js';
import type { NodeStates } from '../farm/node-states.js';
import type { AsteriskFarm } from '../ports/asterisk.js';
import type { RoomPolicy } from './conference-facts.js';
import { plainRoom, type ConferenceRecord } from './conference-record.js';

export interface ConferencePlacementOptions {
  readonly nodes: NodeStates;
  readonly asterisks: AsteriskFarm;
  /** Asks the `place` hook; the answer's default is the call node. */
  readonly place: (conference: ConferenceFacts) => Promise<Placement>;
  /** Asks how a room is kept that is about to be made. */
  readonly policyOf: (room: string) => Promise<RoomPolicy>;
}

/** How long after the daemon's start a living node may take to be connected. */
const startMs = 5_000;

export class ConferencePlacement {
  readonly #options: ConferencePlacementOptions;
  readonly #list: () => readonly ConferenceRecord[];
  #startedMs = 0;

  /** `list`: the conferences there are. */
  constructor(options: ConferencePlacementOptions, list: () => readonly ConferenceRecord[]) {
    this.#options = options;
    this.#list = list;
  }

  /**
   * A conference that nobody is in yet; just after a start one on the conference farm waits for that farm. Throws NO_CONFERENCE_NODE, or what
   * a plugin's hook failed with.
   */
  async place(facts: ConferenceFacts): Promise<ConferenceRecord> {
    const { id, callNodes, room } = facts;
    const { mixing } = await this.#options.place(facts);
    if (mixing === 'conference-farm') await this.untilConnected([]);
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

  /** The daemon has just started. */
  started(): void {
    this.#startedMs = Date.now();
  }

  /**
   * Just after a start the nodes connect one after the other, and a call that is taken up goes on at the first one: what begins to move
   * people of these conferences waits for all that it may need, as long as a start may take.
   */
  async untilConnected(ids: readonly string[]): Promise<void> {
    const { asterisks } = this.#options;
    const isThere = (): boolean => {
      const conferences = this.#list().filter(({ id }) => ids.includes(id));
      const nodes = conferences.flatMap(one => [one.node, ...one.participants.map(({ callNode }) => callNode)]);
      const isConnected = nodes.every(name => asterisks.node(name).connected);
      return isConnected && this.conferenceNode() !== undefined;
    };
    while (Date.now() < this.#startedMs + startMs && !isThere()) await sleep(20);
  }
}
