// Who takes part in a trace: the Kamailios that send copies, and the nodes whose leg ids are believed.
import type { FarmPlan } from '../farm/farm-plan.js';

/** A Kamailio that sends copies. */
export interface TraceInstance {
  readonly name: string;
  /** All of its own addresses. Copies are taken from these only; they also tell what it received from what it sent. */
  readonly addresses: readonly string[];
  /** Tells instances apart that send from one address; `hep_capture_id` of siptrace. */
  readonly captureId?: number;
}

export interface TraceFarm {
  readonly instances: readonly TraceInstance[];
  /** The nodes that have legs, by address: `X-Holdfast-Leg` in what anybody else sends means nothing. */
  readonly asterisks: Readonly<Record<string, string>>;
}

/** The trace's view of a farm plan: capture ids are the Kamailios' indexes. Pure. */
export function traceFarmOf(plan: Pick<FarmPlan, 'nodes'>): TraceFarm {
  return {
    instances: plan.nodes.flatMap(({ farm, name, index, address, external }) =>
      farm === 'kamailio'
        ? [{ name, addresses: external === undefined ? [address] : [external, address], captureId: index }]
        : [],
    ),
    asterisks: Object.fromEntries(
      plan.nodes.flatMap(({ farm, name, address }) =>
        farm === 'call' || farm === 'conference' ? [[address, name]] : [],
      ),
    ),
  };
}
