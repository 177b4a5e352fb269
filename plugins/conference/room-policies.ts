// How a room is kept and who is what in it: pure functions of the room's name, the call and the config.
import {
  compileDialPattern,
  type DialPattern,
  type EnterAnswer,
  type RoomEntry,
  type RoomPolicy,
} from '../../core/plugin-api.js';
import type { CallersConfig, RoomConfig } from './room-config.js';

type Fits = (call: RoomEntry['call']) => boolean;

interface CompiledRoom {
  readonly names: readonly DialPattern[];
  readonly isModerator: Fits;
  readonly isListener: Fits;
  readonly config: RoomConfig;
}

/** Compiles the patterns once; throws DialPatternError. */
export function compileRooms(rooms: readonly RoomConfig[]): readonly CompiledRoom[] {
  return rooms.map(config => ({
    names: patternsOf(config.room).map(compileDialPattern),
    isModerator: compileCallers(config.moderators),
    isListener: compileCallers(config.listeners),
    config,
  }));
}

export function patternsOf(room: string | readonly string[]): readonly string[] {
  return typeof room === 'string' ? [room] : room;
}

/** Undefined where no room of the config has this name. */
export function policyOf(room: string, rooms: readonly CompiledRoom[]): Partial<RoomPolicy> | undefined {
  const found = roomOf(room, rooms);
  if (!found) return undefined;
  const { room: _room, moderators: _moderators, listeners: _listeners, others: _others, ...policy } = found.config;
  return policy as Partial<RoomPolicy>;
}

export function enterRoom({ room, call }: RoomEntry, rooms: readonly CompiledRoom[]): EnterAnswer | undefined {
  const found = roomOf(room, rooms);
  if (!found) return undefined;
  if (found.isModerator(call)) return { role: 'moderator' };
  if (found.isListener(call)) return { role: 'listener' };
  const { others } = found.config;
  return typeof others === 'number'
    ? { reject: others, reason: `room ${room} is not for this caller` }
    : { role: others };
}

function roomOf(room: string, rooms: readonly CompiledRoom[]): CompiledRoom | undefined {
  return rooms.find(({ names }) => names.some(fits => fits(room)));
}

function compileCallers(callers: CallersConfig = {}): Fits {
  const numbers = (callers.numbers ?? []).map(compileDialPattern);
  return ({ source, callerNumber }) => {
    const [named, name] =
      source.kind === 'trunk' ? [callers.trunks, source.trunk] : [callers.subscribers, source.subscriber];
    return named === 'any' || (named?.includes(name) ?? false) || numbers.some(fits => fits(callerNumber));
  };
}
