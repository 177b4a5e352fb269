// What the schema cannot see in the rooms of a config: patterns that are none, names that do not exist, rules without an effect.
import { compileDialPattern, messageOf, type Directory, type PluginConfigProblem } from '../../core/plugin-api.js';
import type { CallersConfig, RoomConfig } from './room-config.js';

type Path = readonly (string | number)[];

/** Pure. */
export function checkRooms(rooms: readonly RoomConfig[], directory: Directory): readonly PluginConfigProblem[] {
  return rooms.flatMap((room, i) => {
    const path: Path = ['rooms', i];
    return [
      ...checkPatterns(room.room, [...path, 'room']),
      ...checkCallers(room.moderators, directory, [...path, 'moderators']),
      ...checkCallers(room.listeners, directory, [...path, 'listeners']),
      ...checkModerated(room, path),
    ];
  });
}

function checkPatterns(written: string | readonly string[], path: Path): readonly PluginConfigProblem[] {
  const patterns = typeof written === 'string' ? [written] : written;
  return patterns.flatMap((pattern, i) => {
    try {
      compileDialPattern(pattern);
      return [];
    } catch (error) {
      return [{ path: typeof written === 'string' ? path : [...path, i], message: messageOf(error) }];
    }
  });
}

function checkCallers(callers: CallersConfig = {}, directory: Directory, path: Path): readonly PluginConfigProblem[] {
  const { trunks, subscribers, numbers } = callers;
  return [
    ...checkNames('trunk', trunks, directory.trunks, [...path, 'trunks']),
    ...checkNames('subscriber', subscribers, directory.subscribers, [...path, 'subscribers']),
    ...checkPatterns(numbers ?? [], [...path, 'numbers']),
  ];
}

function checkNames(
  kind: string,
  names: CallersConfig['trunks'],
  known: readonly { readonly name: string }[],
  path: Path,
): readonly PluginConfigProblem[] {
  if (names === undefined || names === 'any') return [];
  const there = known.map(({ name }) => name);
  const hint = there.length === 0 ? 'there is none' : `there are: ${there.slice(0, 10).join(', ')}`;
  return names.flatMap((name, i) =>
    there.includes(name) ? [] : [{ path: [...path, i], message: `there is no ${kind} "${name}"`, hint }],
  );
}

/** A room that waits for its moderator, or ends with the last one, and that nobody can moderate. */
function checkModerated(
  { moderators, others, waitForModerator, endWhen }: RoomConfig,
  path: Path,
): readonly PluginConfigProblem[] {
  if (moderators !== undefined || others === 'moderator') return [];
  const message = 'nobody is a moderator of this room';
  const hint = 'say who is one: moderators';
  // A flow may let moderators in (`conference_join` with a role): then `moderators: {}` says that it is meant so.
  return [
    ...(waitForModerator === true ? [{ path: [...path, 'waitForModerator'], message, hint }] : []),
    ...(endWhen === 'last-moderator-leaves' ? [{ path: [...path, 'endWhen'], message, hint }] : []),
  ];
}
