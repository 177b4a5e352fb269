// All commands, in the order of the help.
import type { Command } from './command.js';
import { bansCommand } from './commands/bans.js';
import { callCommand } from './commands/call.js';
import { callsCommand } from './commands/calls.js';
import { checkCommand } from './commands/check.js';
import { completeCommand, completionCommand } from './commands/completion.js';
import { conferenceCommand } from './commands/conference.js';
import { conferencesCommand } from './commands/conferences.js';
import { daemonCommand } from './commands/daemon.js';
import { demoCommand } from './commands/demo.js';
import { diffCommand } from './commands/diff.js';
import { dispatcherCommand } from './commands/dispatcher.js';
import { downCommand } from './commands/down.js';
import { drainCommand } from './commands/drain.js';
import { eventsCommand } from './commands/events.js';
import { findCommand } from './commands/find.js';
import { flowCommand } from './commands/flow.js';
import { manCommand } from './commands/man.js';
import { nodesCommand } from './commands/nodes.js';
import { recoveriesCommand } from './commands/recoveries.js';
import { recoveryCommand } from './commands/recovery.js';
import { registrationsCommand } from './commands/registrations.js';
import { reloadCommand } from './commands/reload.js';
import { renderCommand } from './commands/render.js';
import { restartCommand } from './commands/restart.js';
import { schemaCommand } from './commands/schema.js';
import { serviceCommand } from './commands/service.js';
import { statusCommand } from './commands/status.js';
import { superviseCommand } from './commands/supervise.js';
import { trunksCommand } from './commands/trunks.js';
import { undrainCommand } from './commands/undrain.js';
import { upCommand } from './commands/up.js';

export const commands: readonly Command[] = [
  upCommand,
  downCommand,
  checkCommand,
  renderCommand,
  schemaCommand,
  statusCommand,
  nodesCommand,
  callsCommand,
  callCommand,
  findCommand,
  conferencesCommand,
  conferenceCommand,
  eventsCommand,
  registrationsCommand,
  trunksCommand,
  bansCommand,
  recoveriesCommand,
  dispatcherCommand,
  recoveryCommand,
  drainCommand,
  undrainCommand,
  restartCommand,
  diffCommand,
  reloadCommand,
  flowCommand,
  demoCommand,
  completionCommand(() => commands),
  manCommand(() => commands),
  completeCommand,
  superviseCommand,
  serviceCommand,
  daemonCommand,
];
