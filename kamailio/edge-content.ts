// All that an instance holds for one state of the edge, as values and as files. Pure.
import type { EdgeState } from '../core/ports/edge.js';
import type { NodeFile } from '../core/ports/node-host.js';
import { assignSlots, formatDispatcherList, type Slot } from './dispatcher-list.js';
import { authorityFiles } from './cfg-tls.js';
import type { EdgeSecrets } from './edge-model.js';
import {
  edgeTables,
  engineSets,
  type EngineSet,
  formatEngineSets,
  formatTable,
  formatVersions,
  renderTables,
  type EdgeRows,
  type EdgeTable,
} from './edge-tables.js';

/** Rendered once per state for all instances. */
export interface EdgeContent {
  readonly slots: readonly Slot[];
  readonly tables: Readonly<Record<EdgeTable, EdgeRows>>;
  readonly engines: readonly EngineSet[];
  readonly listFile: NodeFile;
  readonly tableFiles: Readonly<Record<EdgeTable, NodeFile>>;
  readonly engineFile: NodeFile;
  /** Of the tls module: by whom certificates of gateways must be signed. */
  readonly authorityFiles: readonly NodeFile[];
}

/** Throws DISPATCHER_REFUSED where the state would leave a dispatcher set empty. */
export function renderContent(state: EdgeState, secrets: EdgeSecrets): EdgeContent {
  const slots = assignSlots(state);
  const tables = renderTables(state, secrets);
  const engines = engineSets(state);
  const file = (path: string, content: string): NodeFile => ({
    ...{ path, content, mode: 0o600, reload: 'list-reload' },
  });
  return {
    slots,
    tables,
    engines,
    listFile: file('dispatcher.list', formatDispatcherList(slots)),
    tableFiles: Object.fromEntries(
      edgeTables.map(name => [name, file(`tables/${name}`, formatTable(tables[name]))]),
    ) as Record<EdgeTable, NodeFile>,
    authorityFiles: authorityFiles(state.gateways),
    engineFile: file('tables/rtpengine', formatEngineSets(engines)),
  };
}

export function contentFiles(content: EdgeContent): readonly NodeFile[] {
  return [
    content.listFile,
    ...Object.values(content.tableFiles),
    content.engineFile,
    { path: 'tables/version', content: formatVersions(), mode: 0o600 },
  ];
}
