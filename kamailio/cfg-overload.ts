// What a Kamailio refuses while a call node cannot keep up: by the daemon's word of each source, which ends by itself.
import { lots } from '../core/ports/edge.js';

/** A source that has begun more calls than this to one node within the seconds of `pace` is counted by itself from then on. */
const unnoticed = 1;

/**
 * `offered`: INVITEs that came for a node: in all as `node`, those of a source as `node|source`, and as `node|source|refused` those that were refused. One that
 * does not call any more is forgotten. `shed`: how many of the lots are blanks, for `node|source`, and for `node|*`, which is every source that has no row of
 * its own.
 */
export const overloadTables = `modparam("htable", "htable", "pace=>size=12;autoexpire=2;updateexpire=0;initval=0;")
modparam("htable", "htable", "offered=>size=8;autoexpire=20;updateexpire=1;initval=0;")
modparam("htable", "htable", "shed=>size=8;autoexpire=10;")`;

/**
 * The lot is the Call-ID's, with a key so that nobody can choose a lucky one: wherever an INVITE comes again, its answer is the same. A trunk's
 * sources are its addresses.
 */
export function overloadRoute(lotKey: string): string {
  return `route[SHED] {
  $var(payer) = $var(node) + "|" + $var(source);
  if ($(var(source){s.substr,0,6}) == "trunk:") $var(payer) = $var(payer) + "@" + $si;
  $var(count) = $shtinc(offered=>$var(node));
  if ($sht(offered=>$var(payer)) != $null || $shtinc(pace=>$var(payer)) > ${unnoticed}) $var(count) = $shtinc(offered=>$var(payer));
  $var(row) = $var(payer);
  if ($sht(shed=>$var(row)) == $null) $var(row) = $var(node) + "|*";
  if ($sht(shed=>$var(row)) == $null || $sht(pins=>$ci) != $null) return;
  $var(lot) = "${lotKey}" + $ci;
  if ($(var(lot){s.md5}{s.corehash,${lots}}) >= $sht(shed=>$var(row))) return;
  if ($rU =~ $sht(settings=>emergency)) return;
  update_stat("refused_overload", "+1");
  $var(turned) = $var(payer) + "|refused";
  $var(count) = $shtinc(offered=>$var(turned));
  # Not all of them at the same time.
  $var(after) = 2 + $(var(lot){s.corehash,4});
  append_to_reply("Retry-After: $var(after)\\r\\n");
  sl_send_reply("503", "Overloaded");
  exit;
}
`;
}
