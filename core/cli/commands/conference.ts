// `holdfast conference ACTION ROOM [PARTICIPANT]`: a room and those who are in it, shown and run.
import { participantActions, roomActions } from '../../control/operations.js';
import type { RoomStatus } from '../../control/views.js';
import { exitCodes, usage, type Command, type CommandContext } from '../command.js';
import { formatRooms } from '../room-text.js';

type RoomAction = (typeof roomActions)[number];
type ParticipantAction = (typeof participantActions)[number];

export const conferenceCommand: Command = {
  usage: 'conference <action> [room] [participant]',
  options: [['--by <participant>', 'add: as who the number is called; default: a moderator']],
  summary: 'Show the rooms and who is in them (list), or run one: mute, lock, end and more',
  actions: [
    ['list', 'all rooms, or one, with the ids of their participants'],
    ['mute', 'nobody hears this participant any more'],
    ['unmute', 'the participant is heard again'],
    ['deafen', 'the participant hears nobody any more'],
    ['undeafen', 'the participant hears the others again'],
    ['kick', 'hang up the call of a participant'],
    ['lock', 'let nobody else in: 403'],
    ['unlock', 'let others in again'],
    ['record', 'start or stop to record what all say: conference record ROOM start'],
    ['add', 'call a number, and let whoever answers in: conference add ROOM NUMBER'],
    ['merge', 'put those of another room, or of a call, into this one: conference merge ROOM OTHER'],
    ['end', 'hang up everybody'],
  ],
  afterAction: {
    list: ['room'],
    lock: ['room'],
    unlock: ['room'],
    end: ['room'],
    add: ['room', 'number'],
    merge: ['room', 'room'],
    record: [
      'room',
      [
        ['start', 'until it is stopped or the room ends'],
        ['stop', 'its files are in their folder then'],
      ],
    ],
  },
  examples: [
    'holdfast conference list 8001',
    'holdfast conference mute 8001 1m85e2qacq',
    'holdfast conference lock 8001',
    'holdfast conference record 8001 start',
    'holdfast conference add 8001 1002',
    'holdfast conference merge 8001 8002',
    'holdfast conference end 8001',
  ],
  async run([action = '', room, participant], context) {
    if (action === 'list') return list(room, context);
    if (room === undefined) throw usage(`conference ${action}: of which room? \`holdfast conference list\` lists them`);
    if (action === 'add') return add(room, participant, context);
    if (action === 'merge') return merge(room, participant, context);
    if (action === 'record') return record(room, participant, context);
    const after = isRoomAction(action)
      ? await ofRoom(action, room, participant, context)
      : await ofParticipant(action as ParticipantAction, room, participant, context);
    context.show(after, () => `${done[action as RoomAction | ParticipantAction](after, participant ?? '')}.\n`);
    return exitCodes.done;
  },
};

/** What was done, in words. */
const done: { readonly [Action in RoomAction | ParticipantAction]: (room: RoomStatus, participant: string) => string } =
  {
    lock: ({ room }) => `Room ${room} is locked`,
    unlock: ({ room }) => `Room ${room} is open`,
    record: ({ room, recording }) => `Room ${room} is being recorded, as ${recording ?? 'it was until now'}`,
    stopRecording: ({ room }) => `The recording of room ${room} is in its folder`,
    end: ({ room }) => `Everybody in room ${room} is being hung up`,
    mute: ({ room }, participant) => `${participant} is muted in room ${room}`,
    unmute: ({ room }, participant) => `${participant} is heard in room ${room}`,
    deafen: ({ room }, participant) => `${participant} hears nobody in room ${room}`,
    undeafen: ({ room }, participant) => `${participant} hears room ${room}`,
    kick: ({ room }, participant) => `${participant} is being put out of room ${room}`,
  };

function isRoomAction(action: string): action is RoomAction {
  return roomActions.some(one => one === action);
}

async function list(room: string | undefined, context: CommandContext): Promise<number> {
  const rooms = await context.ask('rooms', room === undefined ? {} : { room });
  context.show(rooms, () => formatRooms(rooms, context.io.columns));
  return exitCodes.done;
}

async function add(room: string, number: string | undefined, context: CommandContext): Promise<number> {
  const by = context.text('by');
  if (number === undefined)
    throw usage('conference add needs a number', 'for example: holdfast conference add 8001 1002');
  const after = await context.ask('roomAdd', { room, number, ...(by === undefined ? {} : { by }) });
  context.show(after, () => `${number} is in room ${after.room}.\n`);
  return exitCodes.done;
}

async function merge(conference: string, other: string | undefined, context: CommandContext): Promise<number> {
  if (other === undefined)
    throw usage(
      'conference merge needs two',
      'for example: holdfast conference merge 8001 8002; each is a room or a call',
    );
  const after = await context.ask('conferenceMerge', { conference, other });
  context.show(after, () => `Those of ${other} and ${conference} are in one conference now: ${after.conference}.\n`);
  return exitCodes.done;
}

async function record(room: string, what: string | undefined, context: CommandContext): Promise<number> {
  if (what !== 'start' && what !== 'stop')
    throw usage('conference record: it is written: conference record ROOM start, or stop');
  const action = what === 'start' ? 'record' : 'stopRecording';
  const after = await context.ask('roomAction', { action, room });
  context.show(after, () => `${done[action](after, '')}.\n`);
  return exitCodes.done;
}

async function ofRoom(
  action: RoomAction,
  room: string,
  participant: string | undefined,
  context: CommandContext,
): Promise<RoomStatus> {
  if (participant !== undefined) throw usage(`conference ${action} is about a whole room: no participant is named`);
  return context.ask('roomAction', { action, room });
}

async function ofParticipant(
  action: ParticipantAction,
  room: string,
  participant: string | undefined,
  context: CommandContext,
): Promise<RoomStatus> {
  if (participant === undefined)
    throw usage(`conference ${action}: whom? \`holdfast conference list ${room}\` lists them`);
  return context.ask('participantAction', { action, room, participant });
}
