// Ends connections on which nobody has proved who they are, however busy they look: one octet after the other is not silence.
import type { EdgeModel } from './edge-model.js';

/** A stranger has so many times the silence that it may keep, and at most one look more. */
const silencesInAll = 4;
const looksInAll = 12;

/** Numbers of connections that are looked at in one go. */
const mostLooks = 4_000;

export function strangerModules({ streams }: EdgeModel): readonly string[] {
  return streams === undefined ? [] : ['rtimer'];
}

export function strangerParameters({ streams }: EdgeModel): string {
  if (streams === undefined) return '';
  return `modparam("htable", "htable", "proved=>size=12;")
modparam("rtimer", "timer", "name=strangers;interval=${lookSeconds(streams.strangerSilenceSeconds)};mode=1")
modparam("rtimer", "exec", "timer=strangers;route=STRANGERS")
`;
}

function lookSeconds(silenceSeconds: number): number {
  return Math.max(1, Math.round((silencesInAll * silenceSeconds) / looksInAll));
}

/**
 * Kamailio 5.6 limits how long a connection is silent (core/tcp_read.c), not how long a message or a handshake takes, and tells no script of a new one.
 * But it numbers them one after the other: which was the newest at each look is remembered, and those that were there four silences
 * ago and are not in `proved` by now are closed. Each is judged once.
 */
export function strangerRoutes({ streams }: EdgeModel): string {
  if (streams === undefined) return '';
  const silence = streams.strangerSilenceSeconds;
  const looks = Math.ceil((silencesInAll * silence) / lookSeconds(silence));
  return `# Of this connection, $var(conid), it is known whose it is.
route[PROVED] {
  if ($var(conid) > $sht(self=>judged)) $sht(proved=>$var(conid)) = 1;
}

route[STRANGERS] {
  # A number that nobody has yet looks like one of which the connection is gone.
  $var(id) = $sht(self=>newest);
  $var(last) = $var(id) + ${mostLooks};
  while ($var(id) < $var(last)) {
    $var(id) = $var(id) + 1;
    if (tcp_conid_alive("$var(id)")) $sht(self=>newest) = $var(id);
  }
  $var(look) = "newest-" + ($sht(self=>looks) mod ${looks});
  $sht(self=>looks) = $sht(self=>looks) + 1;
  $var(old) = 0;
  if ($sht(self=>$var(look)) != $null) $var(old) = $sht(self=>$var(look));
  $sht(self=>$var(look)) = $sht(self=>newest);
  $var(id) = $sht(self=>judged);
  $var(last) = $var(id) + ${mostLooks};
  while ($var(id) < $var(old) && $var(id) < $var(last)) {
    $var(id) = $var(id) + 1;
    if ($sht(proved=>$var(id)) != $null) $sht(proved=>$var(id)) = $null;
    else if (tcp_conid_alive("$var(id)")) {
      tcp_close_connection("$var(id)");
      update_stat("closed_stranger", "+1");
    }
  }
  $sht(self=>judged) = $var(id);
}
`;
}
