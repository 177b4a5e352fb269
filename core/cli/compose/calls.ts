// Calls: the engine with all that it asks and tells, operations on calls, recordings of calls.
import { CallEngine, type CallEngineOptions } from '../../calls/call-engine.js';
import { callRecordSchema } from '../../calls/call-record.js';
import { StasisArrivals } from '../../calls/stasis-arrivals.js';
import { CallOperations } from '../../control/call-operations.js';
import { callEvents } from '../../events/event-facts.js';
import { Flows } from '../../flows/flows.js';
import { soundPath } from '../../flows/sounds.js';
import { pathBelow } from '../../host/state-folder.js';
import { transcodingPolicies } from '../../plugin-api.js';
import { recordingNotice } from '../../recordings/call-recording-record.js';
import { CallRecordings } from '../../recordings/call-recordings.js';
import { recordingFolder } from '../../recordings/recording-folder.js';
import { passingRules } from '../../trunks/trunk-rules.js';
import type { Get, Given, Make } from './graph.js';
import { tokens } from './tokens.js';
import { hasCredentials } from './trunks.js';

export function wireCalls(given: Given, make: Make): void {
  make(tokens.arrivals, () => new StasisArrivals());
  make(tokens.engine, get => callEngine(given, get));
  make(
    tokens.callOperations,
    get =>
      new CallOperations({
        engine: () => get(tokens.engine),
        inspector: () => get(tokens.inspector),
        conferences: () => get(tokens.conferences),
      }),
  );
  make(tokens.callRecordings, get => callRecordings(given, get));
}

function callEngine({ live, store, log }: Given, get: Get): CallEngine {
  const plugins = get(tokens.plugins);
  const calls = store.table('calls', callRecordSchema);
  const eventLog = get(tokens.eventLog);
  return new CallEngine({
    store,
    asterisks: get(tokens.asterisks),
    nodes: get(tokens.states),
    conferences: get(tokens.conferences),
    arrivals: get(tokens.arrivals),
    hasCredentials: trunk => hasCredentials(live, trunk),
    pathTo: (trunk, gateway) => get(tokens.gateways).pathTo(trunk, gateway),
    log,
    passing: () => passingRules(live.config),
    limits: () => live.config.limits,
    flows: new Flows({
      actions: () => plugins.actions,
      named: () => plugins.flows,
      soundUri: name => `sound:${soundPath(name, live.config.sounds)}`,
    }),
    abandon: legId => get(tokens.recoveries).abandon(legId),
    ...askedOf(get),
    policyFor: leg => plugins.service(transcodingPolicies)?.policyFor(leg),
    sipCallIdOf: legId => get(tokens.daemon).sipCallIdOf(legId),
    events: toldOfCalls(get),
    eventsOf: callEvents,
    telling: events => eventLog.telling(events),
    finish: async (call, record, events) => {
      const told = eventLog.telling([...events, { type: 'call.ended', facts: { call: call.id, record } }]);
      await store.transaction([calls.deleting(call.id), ...get(tokens.cdr).writes(record), ...told]);
    },
  });
}

type Asked = 'askRoute' | 'askDial' | 'askRedirect' | 'askRefer' | 'askEnter';

/** What is asked of the plugins; where a call may go at all, the trunks' limits have the last word. */
function askedOf(get: Get): Pick<CallEngineOptions, Asked> {
  const [plugins, admission] = [get(tokens.plugins), get(tokens.admission)];
  return {
    askRoute: async call => {
      const answer = await plugins.ask('route', call, call.id);
      // Its caller may have hung up meanwhile: it is none to be counted.
      return get(tokens.engine).book.record(call.id) === undefined ? undefined : admission.admit(call, answer);
    },
    askDial: async leg => {
      const answers = await plugins.askAll('dial', leg, leg.call.id);
      return admission.dial(leg) ?? answers;
    },
    askRedirect: async redirection =>
      admission.redirected(redirection, await plugins.ask('redirect', redirection, redirection.call.id)),
    askRefer: async referral => admission.referred(referral, await plugins.ask('refer', referral, referral.call.id)),
    askEnter: entry => plugins.ask('enter', entry, entry.call.id),
  };
}

function toldOfCalls(get: Get): CallEngineOptions['events'] {
  const plugins = get(tokens.plugins);
  return {
    started: call => {
      get(tokens.metrics).calls.started();
      plugins.emit('call.started', call);
    },
    changed: (before, after) => {
      get(tokens.silentGateways).changed(before, after);
      get(tokens.callRecordings).changed(before, after);
      get(tokens.metrics).calls.changed(before, after, Date.now());
    },
    answered: call => plugins.emit('call.answered', call),
    ended: record => {
      get(tokens.admission).forget(record.callId);
      get(tokens.inspector).noteEnded(record);
      get(tokens.metrics).calls.ended(record);
      plugins.emit('call.ended', record);
    },
  };
}

function callRecordings({ live, store, stateFolder, log }: Given, get: Get): CallRecordings {
  return new CallRecordings({
    store,
    asterisks: get(tokens.asterisks),
    arrivals: get(tokens.arrivals),
    folder: recordingFolder(get(tokens.host), () => pathBelow(stateFolder, live.config.recordings)),
    call: id => get(tokens.engine).book.record(id),
    told: async (type, recording) => {
      const { id, call, webhook } = recording;
      get(tokens.eventLog).append(`recording.${type}`, { recording: id, call });
      if (type === 'done' && webhook !== null) await get(tokens.notices).add(webhook, recordingNotice(recording));
    },
    log,
  });
}
