// Rooms and their participants as text for a terminal. Pure.
import type { RoomStatus } from '../control/views.js';
import { formatTable } from './table.js';

export function formatRooms(rooms: readonly RoomStatus[], columns?: number): string {
  if (rooms.length === 0) return 'No rooms.\n';
  return rooms.map(room => formatRoom(room, columns)).join('\n');
}

function formatRoom({ room, node, locked, waiting, recording, participants }: RoomStatus, columns?: number): string {
  const count = participants.length === 1 ? '1 participant' : `${participants.length} participants`;
  const more = [
    ...(locked ? ['locked'] : []),
    ...(waiting ? ['waiting for a moderator'] : []),
    ...(recording === null ? [] : ['recorded']),
  ];
  const head = `Room ${room} on ${node}: ${[count, ...more].join(', ')}\n`;
  const rows = participants.map(({ id, callerNumber, callerName, role, muted, deaf, speaking, joinedAt }) => [
    ...[id, callerNumber, callerName, role],
    [...(muted ? ['muted'] : []), ...(deaf ? ['deaf'] : []), ...(speaking ? ['speaking'] : [])].join(', '),
    joinedAt.slice(11, 19),
  ]);
  return (
    head +
    formatTable(['PARTICIPANT', 'NUMBER', 'NAME', 'ROLE', 'SOUND', 'SINCE (UTC)'], rows, {
      columns,
      shortens: ['NAME', 'PARTICIPANT', 'NUMBER'],
    })
  );
}
