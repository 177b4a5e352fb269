// Conferences: where calls are mixed, rooms and who is what in them, sounds and recordings of rooms.
import { speakerChanges } from '../../conferences/conference-changes.js';
import { plainRoom } from '../../conferences/conference-record.js';
import { Conferences } from '../../conferences/conferences.js';
import { Recordings } from '../../conferences/recordings.js';
import { RoomSounds } from '../../conferences/room-sounds.js';
import { Rooms } from '../../conferences/rooms.js';
import { holdEvents, roomEvents } from '../../events/event-facts.js';
import { pathBelow } from '../../host/state-folder.js';
import { recoveryPolicy } from '../../plugin-api.js';
import { recordingFolder } from '../../recordings/recording-folder.js';
import type { Get, Given, Make } from './graph.js';
import { tokens } from './tokens.js';

export function wireConferences(given: Given, make: Make): void {
  make(tokens.conferences, get => conferences(given, get));
  make(
    tokens.rooms,
    get =>
      new Rooms({
        conferences: () => get(tokens.conferences),
        recordings: () => get(tokens.recordings),
        calls: () => get(tokens.callOperations),
      }),
  );
  make(tokens.recordings, get => recordings(given, get));
}

function conferences({ store, log }: Given, get: Get): Conferences {
  const plugins = get(tokens.plugins);
  const made = new Conferences({
    store,
    asterisks: get(tokens.asterisks),
    nodes: get(tokens.states),
    arrivals: get(tokens.arrivals),
    log,
    patienceMs: () => plugins.service(recoveryPolicy)?.patienceMs ?? 0,
    place: async conference => (await plugins.ask('place', conference)) ?? { mixing: 'call-node' },
    writes: (before, after) =>
      get(tokens.eventLog).telling([...holdEvents(before, after), ...roomEvents(before, after)]),
    policyOf: async room => ({ ...plainRoom, ...(await plugins.ask('room', { room })) }),
    events: {
      created: facts => plugins.emit('conference.created', facts),
      ended: facts => plugins.emit('conference.ended', facts),
    },
    isHolding: (callId, legId) =>
      get(tokens.engine)
        .book.record(callId)
        ?.legs.some(leg => leg.id === legId && leg.held) === true,
  });
  const sounds = new RoomSounds({
    asterisks: get(tokens.asterisks),
    log,
    ownSound: (node, name) => `sound:${get(tokens.host).folder(node)}/sounds/${name}`,
  });
  made.onChange((before, after) => {
    sounds.changed(before, after);
    for (const { type, facts } of speakerChanges(before, after)) plugins.emit(`conference.${type}`, facts);
  });
  return made;
}

function recordings({ live, store, stateFolder, log }: Given, get: Get): Recordings {
  const conferences = get(tokens.conferences);
  const made = new Recordings({
    store,
    asterisks: get(tokens.asterisks),
    folder: recordingFolder(get(tokens.host), () => pathBelow(stateFolder, live.config.recordings)),
    conference: id => conferences.get(id),
    told: (type, { id: recording, conference, room }) =>
      get(tokens.eventLog).append(`recording.${type}`, { recording, conference, room }),
    log,
  });
  conferences.onChange((before, after) => made.changed(before, after));
  return made;
}
