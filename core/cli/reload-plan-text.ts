// What `holdfast diff` says: parts, nodes, and what to do. Pure.
import type { Need } from '../config/changed-parts.js';
import type { ReloadPlanReport } from '../control/views.js';
import type { Style } from './style.js';
import { formatTable, printable } from './table.js';

const words: Readonly<Record<Need, string>> = {
  'list-reload': 'list reload',
  'certificate-reload': 'certificate reload',
  'endpoint-reload': 'endpoint reload',
  'node-start': 'is started',
  'node-leave': 'leaves',
  'rolling-restart': 'rolling restart',
  'daemon-restart': 'restart of the daemon',
  'full-restart': 'full restart',
};

export function formatReloadPlan(plan: ReloadPlanReport, style: Style, columns?: number): string {
  const untaken = untakenText(plan, style);
  if (plan.changes.length === 0 && plan.nodes.length === 0)
    return untaken === '' ? `What runs is what ${plan.config} says.\n` : untaken;
  const parts = plan.changes.map(({ part, needs }) => [part, inWords(needs)]);
  const nodes = plan.nodes.map(({ node, needs, files }) => [node, inWords(needs), shortList(files)]);
  return [
    parts.length === 0 ? '' : formatTable(['PART', 'NEEDS'], parts, { columns, wraps: true }),
    parts.length === 0 || nodes.length === 0 ? '' : '\n',
    nodes.length === 0 ? '' : formatTable(['NODE', 'NEEDS', 'FILES'], nodes, { columns, wraps: true }),
    `\n${whatToDo(plan, style).join('\n')}\n`,
    untaken === '' ? '' : `\n${untaken}`,
  ].join('');
}

function untakenText({ untaken }: ReloadPlanReport, style: Style): string {
  if (untaken.length === 0) return '';
  const lines = untaken.map(trouble => `  ${printable(trouble)}\n`).join('');
  const remedy = `Mend what is named, or the config; ${style('bold', 'holdfast reload')} tries it at once.`;
  return `${style('red', 'Not as the config says')}:\n${lines}${remedy}\n`;
}

function inWords(needs: readonly Need[]): string {
  return needs.length === 0 ? 'nothing' : needs.map(need => words[need]).join(', ');
}

const mostFiles = 4;

function shortList(files: readonly { readonly path: string }[]): string {
  const names = files.slice(0, mostFiles).map(({ path }) => path);
  return [...names, ...(files.length > mostFiles ? [`and ${files.length - mostFiles} more`] : [])].join(', ');
}

function whatToDo({ changes, nodes, needs }: ReloadPlanReport, style: Style): readonly string[] {
  const command = (text: string): string => style('bold', `holdfast ${text}`);
  const having = (need: Need): string =>
    changes.flatMap(({ part, needs }) => (needs.includes(need) ? [part] : [])).join(', ');
  if (needs.includes('full-restart')) {
    return [
      `${style('red', 'A reload would refuse it')}: ${having('full-restart')} needs ${command('down')} and ${command('up')}, which end all calls.`,
    ];
  }
  if (needs.includes('daemon-restart')) {
    return [
      `${style('yellow', 'A reload would refuse it')}: ${having('daemon-restart')} needs a restart of the daemon; calls go on.`,
    ];
  }
  const due = nodes.filter(one => one.needs.includes('rolling-restart')).map(({ node }) => node);
  return [
    ...(changes.length === 0 ? [] : [`${command('reload')} does this; calls go on.`]),
    ...(due.length === 0
      ? []
      : [`Then, one after the other: ${due.map(node => command(`restart ${node}`)).join(', ')}; no call is lost.`]),
  ];
}
