// Takes the config file anew while calls go on: one reload at a time, refused as a whole or taken as far as can be.
import { allNeeds, beyondReload, changedParts, type ChangedPart } from './config/changed-parts.js';
import type { RecordDestinations } from './cdr/call-records.js';
import type { HoldfastConfig } from './config/holdfast-config.js';
import type { DaemonParts } from './daemon-parts.js';
import { HoldfastError, messageOf } from './errors.js';
import type { FarmPlan } from './farm/farm-plan.js';

type Parts = 'live' | 'log' | 'plugins' | 'cdr' | 'notices' | 'metrics' | 'keeper' | 'copies' | 'names' | 'sync';
type Wiring = 'certificates' | 'setNodes' | 'loadConfig' | 'recordsGoTo';

export interface ReloadsOptions {
  readonly parts: Pick<DaemonParts, Parts | Wiring>;
  /** False while the daemon starts or ends. */
  readonly isReady: () => boolean;
  /** Nodes of the plan and those that are still leaving. */
  readonly allNodes: () => FarmPlan;
  readonly setTraceSources: (nodes: FarmPlan) => void;
}

type Progress = (line: string) => void;

/** Something that is not as the config says, and the part of the config that says so. */
export interface Untaken {
  readonly part: string;
  /** In words, with what to do. */
  readonly trouble: string;
}

/** Those that the config file still asks for: a part that is changed in it is another question. */
export function stillAsked(untaken: readonly Untaken[], changes: readonly ChangedPart[]): readonly Untaken[] {
  return untaken.filter(one => !changes.some(({ part }) => part === one.part || part.startsWith(`${one.part}.`)));
}

/** One thing that is made to match the config. A text that it gives is what is wrong, which its part has logged and goes on trying. */
type Step = () => unknown;
type NamedStep = readonly [name: string, step: Step];

export class Reloads {
  readonly #options: ReloadsOptions;
  #last: Promise<unknown> = Promise.resolve();
  /** What the last one could not do, and nobody tries again. */
  #failed: readonly Untaken[] = [];

  constructor(options: ReloadsOptions) {
    this.#options = options;
  }

  /**
   * Takes the config file anew, after the reloads that were asked for before. Gives what changed, in words. Throws
   * RELOAD_INCOMPLETE where the config was taken and something does not match it; whatever else it throws, nothing was changed.
   */
  run(progress: Progress): Promise<readonly string[]> {
    const turn = this.#last.then(() => this.#run(progress));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Resolves when those that were asked for are over. */
  async idle(): Promise<void> {
    await this.#last;
  }

  /** What is not as the config says now: what its part goes on trying, as long as that fails, and what else the last reload could not do. */
  get untaken(): readonly Untaken[] {
    const { metrics, cdr, keeper, certificates } = this.#options.parts;
    const tried: readonly (readonly [part: string, trouble: string | undefined])[] = [
      ['cdr.file', cdr.fileTrouble],
      ['metrics', metrics.trouble],
      ...keeper.unstarted.map(({ farm, trouble }) => [`farm.${farm}`, trouble] as const),
      ['endpoints', keeper.endpoints.trouble],
      ['edge.tls', certificates.trouble],
    ];
    return [...tried.flatMap(([part, trouble]) => (trouble === undefined ? [] : [{ part, trouble }])), ...this.#failed];
  }

  async #run(progress: Progress): Promise<readonly string[]> {
    const { parts, isReady } = this.#options;
    const { live, log, plugins, certificates, loadConfig, recordsGoTo } = parts;
    if (!isReady()) {
      throw new HoldfastError('DAEMON_REFUSED', 'the daemon is starting or ending: nothing was changed', {
        remedy: 'reload when `holdfast status` says that it is ready; a daemon that starts reads the config anyway',
      });
    }
    const next = loadConfig();
    const changes = changedParts(live.config, next);
    refuseWhatRestarts(changes);
    const records = recordsGoTo(next);
    await certificates.tryOut(next);
    await plugins.reload(next);
    live.config = next;
    live.plan = next.farm.plan;
    const troubles = await this.#take(this.#steps(next, records, changes, progress));
    const words = changes.map(change => change.part);
    const said = words.length === 0 ? 'config reloaded, nothing changed' : `config reloaded: ${words.join(', ')}`;
    log.info({ changes: words }, said);
    if (troubles.length === 0) return words;
    throw new HoldfastError('RELOAD_INCOMPLETE', `the config was taken, except that ${troubles.join('; and ')}`, {
      remedy: 'mend what is named, or the config, and reload again',
      details: { changes: words },
    });
  }

  /** All of it, whatever fails of it: what one part cannot do must not leave the others with an older config. */
  async #take(steps: readonly NamedStep[]): Promise<readonly string[]> {
    const troubles: string[] = [];
    const failed: Untaken[] = [];
    for (const [name, step] of steps) {
      try {
        const trouble = await step();
        if (typeof trouble === 'string') troubles.push(trouble);
      } catch (error) {
        this.#options.parts.log.error({ error }, `the reload failed at ${name}: ${messageOf(error)}`);
        failed.push({ part: name, trouble: `${name}: ${messageOf(error)}` });
        troubles.push(`${name}: ${messageOf(error)}`);
      }
    }
    this.#failed = failed;
    return troubles;
  }

  #steps(
    next: HoldfastConfig,
    records: RecordDestinations,
    changes: readonly ChangedPart[],
    progress: Progress,
  ): readonly NamedStep[] {
    const { parts, allNodes, setTraceSources } = this.#options;
    const { live, log, cdr, notices, metrics, keeper, copies, names, sync, certificates } = parts;
    const asked = allNeeds(changes).includes('endpoint-reload') ? 'all' : 'outdated';
    return [
      ['log.level', () => log.setLevel(next.log.level)],
      ['log.file', () => log.reopen()],
      ['cdr', () => cdr.redirect(records)],
      ['webhooks', () => notices.redirect(next.webhooks)],
      ['metrics', () => metrics.serve(next.metrics)],
      ['farm', () => parts.setNodes(allNodes())],
      ['farm', () => keeper.reshape(live.plan, progress)],
      ['endpoints', () => keeper.endpoints.provision(live.plan.nodes, asked)],
      ['registrations', () => copies.forgetStrangers()],
      ['trace', () => setTraceSources(allNodes())],
      ['trunks', () => names.settle()],
      ['edge', () => sync.apply('the config was reloaded')],
      ['edge.tls', () => certificates.look()],
    ];
  }
}

function refuseWhatRestarts(changes: readonly ChangedPart[]): void {
  const refused = beyondReload(changes).map(change => change.part);
  if (refused.length === 0) return;
  throw new HoldfastError('CONFIG_INVALID', `only a restart can change ${refused.join(', ')}: nothing was changed`, {
    remedy: 'see `holdfast diff` for the kind of restart, or put the old value back',
  });
}
