// The location service from contacts written in the config.
import type { Directory, Location } from '../../core/plugin-api.js';

export type StaticContacts = Readonly<Record<string, readonly string[]>>;

/** Pure. `sip:1001@.201:5070` is at host 201 of the farm's subnet. */
export function staticLocation(contacts: StaticContacts, directory: Directory): Location {
  const bySubscriber = new Map(
    Object.entries(contacts).map(([subscriber, uris]) => [subscriber, uris.map(uri => expandHost(uri, directory))]),
  );
  return { contacts: subscriber => bySubscriber.get(subscriber) ?? [] };
}

function expandHost(uri: string, directory: Directory): string {
  return uri.replace(/@(\.[^;?>]+)/, (_, host: string) => `@${directory.address(host)}`);
}
