// Plays a death and its recovery in memory. V8 compiles code as it runs, and what a recovery runs would run for the first time when phones
// hear nothing: see ADR 100. No server, no store and no plugin takes part.
import { setImmediate as turn } from 'node:timers/promises';
import { CallEngine } from '../calls/call-engine.js';
import { StasisArrivals } from '../calls/stasis-arrivals.js';
import { Conferences } from '../conferences/conferences.js';
import { plainRoom } from '../conferences/conference-record.js';
import { NodeStates } from '../farm/node-states.js';
import { Flows } from '../flows/flows.js';
import type { Dialog } from '../ledger/dialog.js';
import { silentLogger } from '../log.js';
import { openMemoryStore } from '../store/memory-store.js';
import { Recoveries } from './recoveries.js';
import type { DialogSource } from './recovery-ports.js';
import { StageAsterisks } from './stage-asterisks.js';

/** As many as are under way to a node at once, and some that wait for their turn. */
const callsAtOnce = 12;
const rounds = 3;
/** Turns of the event loop that a scene may take; each does something. */
const mostTurns = 2_000;

const nodes = ['call-1', 'call-2'] as const;
const connect = { action: 'connect', strategy: 'in-order', targets: [{ uri: 'sip:callee@192.0.2.1' }] } as const;

/** How many sessions were recovered, of how many. It takes some 50 ms of the thread, in pieces of a few ms. */
export interface Rehearsed {
  readonly sessions: number;
  readonly recovered: number;
}

export async function rehearse(): Promise<Rehearsed> {
  const stage = new Stage();
  try {
    let recovered = 0;
    for (let round = 0; round < rounds; round++) recovered += await stage.play(nodes[round % 2] ?? nodes[0]);
    return { sessions: 2 * callsAtOnce * rounds, recovered };
  } finally {
    stage.close();
  }
}

/** The daemon's own calls, conferences and recoveries, with Asterisks that only say what real ones would. */
class Stage {
  readonly #store = openMemoryStore();
  readonly #states = new NodeStates(silentLogger);
  readonly #asterisks = new StageAsterisks((node, event) => this.#engine.listener(node).event(event));
  readonly #arrivals = new StasisArrivals();
  readonly #conferences: Conferences;
  readonly #engine: CallEngine;
  readonly #recoveries: Recoveries;

  constructor() {
    const parts = { store: this.#store, nodes: this.#states, asterisks: this.#asterisks, log: silentLogger };
    nodes.forEach((name, i) => this.#states.add({ name, farm: 'call', index: i + 1, address: `192.0.2.${i + 1}` }));
    this.#conferences = new Conferences({
      ...parts,
      arrivals: this.#arrivals,
      patienceMs: () => 0,
      place: async () => ({ mixing: 'call-node' }),
      writes: () => [],
      policyOf: async () => plainRoom,
      events: { created: () => undefined, ended: () => undefined },
      isHolding: () => false,
    });
    this.#engine = new CallEngine({
      ...parts,
      ...engineWorld,
      arrivals: this.#arrivals,
      conferences: this.#conferences,
      abandon: legId => this.#recoveries.abandon(legId),
      finish: async call => {
        await this.#store.transaction([{ table: 'calls', key: call.id, value: undefined, ifVersion: undefined }]);
      },
    });
    this.#recoveries = new Recoveries({
      ...parts,
      engine: this.#engine,
      conferences: this.#conferences,
      source: this.#source(),
      standIn: { refuse: nothing, cancel: nothing, acknowledgeAndBye: nothing, bye: nothing },
      cores: { hold: () => undefined, release: () => undefined },
      policy: () => policy,
      isEmergency: () => false,
      askRecover: nothing,
      hasCredentials: () => false,
      mediaReady: nothing,
      done: () => undefined,
    });
  }

  /** Calls come to a node and are answered, it dies, and they are hung up where they are then. */
  async play(node: string): Promise<number> {
    const { book } = this.#engine;
    for (const name of nodes) this.#states.setHealth(name, 'up', 'rehearsal');
    for (let i = 0; i < callsAtOnce; i++) {
      this.#asterisks.call(node, i);
      await turn();
    }
    await until(() => book.list().filter(call => call.conferenceId !== null).length === callsAtOnce);
    this.#states.setHealth(node, 'dead', 'rehearsal');
    const died = Date.now();
    await this.#recoveries.nodeDied({ node, reason: 'rehearsal', firstSignMs: died, declaredMs: died });
    const recovered = this.#recoveries.list().at(-1)?.sessions.recovered ?? 0;
    for (const { id } of book.list()) this.#engine.tell(id, { type: 'hangup', reason: 'rehearsal' });
    await until(() => book.size === 0);
    return recovered;
  }

  close(): void {
    this.#recoveries.close();
  }

  #source(): DialogSource {
    const dialogs = async (node: string): Promise<ReadonlyMap<string, Dialog>> => {
      const legs = this.#engine.book.list().flatMap(call => call.legs);
      const callIds = legs.map(leg => leg.sipCallId ?? wireCallId(leg.id));
      return new Map(callIds.map(callId => [callId, dialogOf(callId, node)]));
    };
    return { dialogs, hasTraced: false, traced: dialogs, openInvites: async () => [] };
  }
}

const policy = {
  perSecond: Infinity,
  trunkPerSecond: () => Infinity,
  priorityOf: () => 0,
  patienceMs: 0,
  source: 'ledger',
  silenceMs: 1000,
  killFrozen: true,
} as const;

/** What the engine asks of everybody else, answered by nobody. */
const engineWorld = {
  hasCredentials: () => false,
  pathTo: () => [],
  askRoute: async () => ({ flow: [connect], routeName: 'rehearsal' }),
  askDial: async () => [],
  askRedirect: nothing,
  askRefer: nothing,
  askEnter: nothing,
  flows: new Flows({ actions: () => new Map(), named: () => new Map(), soundUri: name => name }),
  passing: () => ({ headers: [], domain: 'rehearsal.invalid', trusts: () => false }),
  limits: () => ({
    ...{ maxSetupSeconds: 0, maxCallSeconds: 0, rtpTimeoutSeconds: 0, rtpTimeoutOnHoldSeconds: 0 },
    strayGraceSeconds: 0,
  }),
  policyFor: () => undefined,
  sipCallIdOf: wireCallId,
  events: { started: nobody, answered: nobody, ended: nobody, changed: nobody },
  eventsOf: () => [],
  telling: () => [],
};

async function nothing(): Promise<undefined> {
  return undefined;
}

function nobody(): void {
  // Nobody is told.
}

function wireCallId(legId: string): string {
  return `${legId}@rehearsal.invalid`;
}

function dialogOf(callId: string, node: string): Dialog {
  const party = (name: string): Dialog['local'] => ({ uri: `sip:${name}@192.0.2.1`, displayName: name, tag: name });
  const sdp = { origin: '- 1 1 IN IP4 192.0.2.1', direction: 'sendrecv' } as const;
  return {
    ...{ callId, node, role: 'uas', state: 'confirmed', local: party('local'), remote: party('remote') },
    ...{ localCseq: 1, remoteCseq: 1, routeSet: ['<sip:192.0.2.1;lr>'], remoteTarget: 'sip:remote@192.0.2.1' },
    ...{ localSdp: sdp, remoteSdp: sdp, session: null, legId: null, changedMs: 0, holes: [] },
  };
}

/** Throws where nothing comes of it. */
async function until(condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition(); turns++) {
    if (turns === mostTurns) throw new Error('the rehearsal came to a halt');
    await turn();
  }
}
