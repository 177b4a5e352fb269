// Texts with `${name}` in them, and the variables that every call has. Pure.
import type { IncomingCall } from '../calls/call-facts.js';

const reference = /\$\{([a-z][a-z0-9_]*)\}/g;

/** A variable that nothing has set is empty. */
export function fillText(
  template: string,
  variables: Readonly<Record<string, string>>,
  encode: (value: string) => string = value => value,
): string {
  return template.replace(reference, (_, name: string) =>
    encode(Object.hasOwn(variables, name) ? (variables[name] ?? '') : ''),
  );
}

const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;

/** What every call knows: who calls and where to, and what time it is where the daemon runs. */
export function callVariables(call: IncomingCall, nowMs: number): Readonly<Record<string, string>> {
  const now = new Date(nowMs);
  const two = (value: number): string => String(value).padStart(2, '0');
  return {
    caller: call.callerNumber,
    caller_name: call.callerName,
    dialled: call.dialled,
    call_id: call.id,
    source: call.source.kind === 'trunk' ? call.source.trunk : call.source.subscriber,
    weekday: weekdays[now.getDay()] ?? '',
    time: `${two(now.getHours())}:${two(now.getMinutes())}`,
    date: `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`,
  };
}
