// The daemon's answers as tables for a terminal. Pure.
import type { RecoveryDemoReport } from './composition.js';
import type { ResultOf } from '../control/operations.js';
import type {
  BanStatus,
  CallStatus,
  ConferenceStatus,
  FarmStatus,
  NodeStatus,
  RecoveryPlan,
  RecoveryStatus,
  RegistrationStatus,
  TrunkStatus,
} from '../control/views.js';
import { styleState, type Style } from './style.js';
import { formatTable, type Cell } from './table.js';

export function formatNodes(nodes: readonly NodeStatus[], style: Style, columns?: number): string {
  const rows = nodes.map(node => [
    node.name,
    styleState(style, node.state),
    node.pid,
    node.address,
    node.external,
    node.calls,
    node.reason ?? '',
  ]);
  const why = nodes.some(({ reason }) => reason !== undefined && reason !== '');
  return formatTable(['NODE', 'STATE', 'PID', 'ADDRESS', 'OUTSIDE', 'CALLS', ...(why ? ['WHY'] : [])], rows, {
    columns,
    wraps: why,
  });
}

export function formatStatus(status: FarmStatus, style: Style, columns?: number): string {
  const ready = status.ready ? style('green', 'ready') : style('yellow', 'not ready');
  return [
    `The farm on ${status.subnet} is ${ready}. Active calls: ${status.calls.active}.\n`,
    `SIP: ${style('bold', status.edge.public)} (inside: ${status.edge.private}). `,
    `Daemon: process ${status.daemon.pid}, config ${status.daemon.configPath}.\n`,
    ...status.faults.map(fault => `${style('red', 'fault')}: ${fault}\n`),
    '\n',
    formatNodes(status.nodes, style, columns),
  ].join('');
}

export function formatCalls(calls: readonly CallStatus[], style: Style, columns?: number): string {
  if (calls.length === 0) return 'No calls.\n';
  const rows = calls.flatMap(call =>
    call.legs.map((leg, i) => [
      i === 0 ? call.id : '',
      i === 0 ? styleState(style, call.state) : '',
      leg.direction,
      leg.node,
      styleState(style, leg.state),
      leg.peer,
      leg.callId,
    ]),
  );
  return formatTable(['CALL', 'STATE', 'LEG', 'NODE', 'LEG STATE', 'PEER', 'CALL-ID'], rows, {
    columns,
    shortens: ['CALL-ID', 'PEER'],
    omits: ['CALL-ID'],
  });
}

export function formatConferences(conferences: readonly ConferenceStatus[], columns?: number): string {
  if (conferences.length === 0) return 'No conferences.\n';
  const rows = conferences.map(({ id, room, node, participants }) => [id, room, node, participants.length]);
  return formatTable(['CONFERENCE', 'ROOM', 'NODE', 'PARTICIPANTS'], rows, { columns, shortens: ['ROOM'] });
}

export function formatRegistrations(registrations: readonly RegistrationStatus[], columns?: number): string {
  if (registrations.length === 0) return 'No registrations.\n';
  const rows = registrations.map(r => [...[r.subscriber, r.contact, wayOf(r), r.expiresSeconds, r.node, r.userAgent]]);
  return formatTable(['SUBSCRIBER', 'CONTACT', 'REACHED BY', 'EXPIRES (s)', 'NODE', 'PHONE'], rows, {
    columns,
    shortens: ['PHONE', 'CONTACT', 'REACHED BY'],
    omits: ['PHONE'],
  });
}

/** Where its Contact is not enough. */
function wayOf({ behindNat, connection }: RegistrationStatus): string | undefined {
  if (!connection) return behindNat;
  return `${connection.transport} ${connection.address} at ${connection.edge}`;
}

export function formatTrunks(trunks: readonly TrunkStatus[], style: Style, columns?: number): string {
  if (trunks.length === 0) return 'No trunks.\n';
  const rows = trunks.flatMap(({ trunk, calls, callsAtOnce, registration, gateways }): Cell[][] => {
    const own = [trunk, calls.from, calls.to, callsAtOnce, registration && registrationText(registration)];
    const lines = gateways.map(one => [
      one.address,
      one.dnsTrouble === null ? one.hostAddress : `${one.hostAddress ?? '?'} (${one.dnsTrouble})`,
      one.priority,
      one.weight,
      styleState(style, one.state),
      one.sipStatus,
    ]);
    if (lines.length === 0) return [[...own, null, null, null, null, null, null]];
    return lines.map((line, i) => [...(i === 0 ? own : ['', null, null, null, null]), ...line]);
  });
  const headings = ['TRUNK', 'CALLS FROM', 'CALLS TO', 'AT MOST', 'REGISTERED'];
  return formatTable([...headings, 'GATEWAY', 'AT', 'PRIORITY', 'WEIGHT', 'STATE', 'OPTIONS'], rows, {
    columns,
    shortens: ['AT', 'REGISTERED', 'GATEWAY'],
    omits: ['WEIGHT', 'PRIORITY', 'AT', 'AT MOST'],
  });
}

function registrationText({ state, until, error }: NonNullable<TrunkStatus['registration']>): string {
  const words = until === null ? state : `until ${until}`;
  return error === null ? words : `${words}: ${error}`;
}

export function formatBans(bans: readonly BanStatus[], columns?: number): string {
  if (bans.length === 0) return 'Nobody is banned.\n';
  return formatTable(
    ['SOURCE', 'UNTIL', 'WHY'],
    bans.map(({ source, until, reason }) => [source, until, reason]),
    { columns, wraps: true },
  );
}

export function formatRecoveries(recoveries: readonly RecoveryStatus[], columns?: number): string {
  if (recoveries.length === 0) return 'No recoveries.\n';
  const rows = recoveries.map(({ node, epoch, detectedMs, sessions, lastUpMs }) => [
    ...[node, epoch, detectedMs],
    ...[sessions.found, sessions.recovered, sessions.ended, sessions.failed, lastUpMs],
  ]);
  const headings = ['NODE', 'EPOCH', 'DETECTED (ms)', 'FOUND', 'RECOVERED', 'ENDED', 'FAILED', 'LAST UP (ms)'];
  return formatTable(headings, rows, { columns, shortens: ['EPOCH'], omits: ['EPOCH'] });
}

export function formatRecoveryPlan({ node, sessions }: RecoveryPlan, columns?: number): string {
  if (sessions.length === 0) return `${node} carries no session.\n`;
  const rows = sessions.map(({ callId, action, target, reason }) => [action, target, callId, reason]);
  return formatTable(['WOULD', 'TO', 'CALL-ID', 'WHY'], rows, { columns, shortens: ['CALL-ID'], wraps: true });
}

export function formatDispatcherList(reports: ResultOf<'dispatcherList'>): string {
  const rows = reports.flatMap(({ instance, reachable, rows: list }): Cell[][] =>
    reachable
      ? summariseRows(list).map(([setid, destination, flags, count]) => [instance, setid, destination, flags, count])
      : [[instance, null, 'does not answer', null, null]],
  );
  return formatTable(['INSTANCE', 'SET', 'DESTINATION', 'FLAGS', 'ROWS'], rows);
}

type ListRow = ResultOf<'dispatcherList'>[number]['rows'][number];

/** A destination has many slots: equal rows are counted. */
function summariseRows(list: readonly ListRow[]): readonly (readonly [number, string, string, number])[] {
  const counts = new Map<string, [number, string, string, number]>();
  for (const { setid, destination, flags } of list) {
    const key = `${setid} ${destination} ${flags}`;
    const known = counts.get(key);
    counts.set(key, [setid, destination, flags, (known?.[3] ?? 0) + 1]);
  }
  return [...counts.values()];
}

export function formatDispatcherDiff(reports: ResultOf<'dispatcherDiff'>, style: Style): string {
  return reports
    .map(({ instance, reachable, drift }) => {
      if (!reachable) return `${instance}: ${style('red', 'does not answer')}\n`;
      if (drift.length === 0) return `${instance}: ${style('green', 'equal')}\n`;
      return `${instance}: ${style('red', 'differs')}\n${drift.map(line => `  ${line}\n`).join('')}`;
    })
    .join('');
}

export function formatDispatcherReload(reports: ResultOf<'dispatcherReload'>, style: Style, columns?: number): string {
  const rows = reports.map(({ instance, equal, error }) => [
    instance,
    equal ? style('green', 'reloaded, read back equal') : style('red', 'not equal'),
    error,
  ]);
  return formatTable(['INSTANCE', 'RESULT', 'ERROR'], rows, { columns, wraps: true });
}

/** The timeline of `demo recovery`, ms after the kill, and the silence that each phone heard. */
export function formatRecoveryDemo({
  victim,
  steps,
  recovery,
  usualGapMs,
  silencesMs,
  alive,
}: RecoveryDemoReport): string {
  const lines = steps.map(({ atMs, text }) => `${atMs.toFixed(0).padStart(7)} ms  ${text}`);
  const sorted = [...silencesMs].sort((a, b) => a - b).map(Math.round);
  const { found, recovered } = recovery.sessions;
  return [
    ...lines,
    '',
    `${recovered} of ${found} sessions of ${victim} were recovered, ${alive} of ${silencesMs.length} phones are still in their call.`,
    `Largest gap in the audio: ${Math.round(usualGapMs)} ms before; around the death ${sorted.join(', ')} ms at the phones.`,
    '',
  ].join('\n');
}
