// What a Kamailio does against those who only make work: bans, rates, scanners. Nothing of it can be turned on a customer by a spoofed packet.

/**
 * Who may not be limited: trunks and the allow list by their addresses; phones that have proved themselves from theirs, by a digest, within the hour.
 * Banned is only who has answered challenges of ours that came to its own address with wrong passwords; whoever else asks too much is not heard for a moment.
 */
export const trustSeconds = 3_600;

/**
 * Rates are counted over so many seconds, each window under a key of its own: a row that has expired is counted from nothing with each `$shtinc` until
 * htable's timer finds it, which lets in all that comes for up to two seconds (seen with 5.6.3).
 */
const windowSeconds = 2;

/** User-Agents of tools that look for open doors. Not heard at all: an answer is what they look for. */
const scanners = [
  ...[
    'friendly-scanner',
    'sipvicious',
    'sip-scan',
    'sipcli',
    'sipsak',
    'sundayddr',
    'iwar',
    'sivus',
    'vaxsipuseragent',
  ],
  ...['pplsip', 'siparmyknife', 'mrsip', 'svmap', 'svwar', 'svcrack'],
];

/** Tables of what an instance finds out by itself; the daemon makes bans equal on all. */
export const defenceTables = `modparam("htable", "timer_interval", 2)
modparam("htable", "htable", "bans=>size=10;autoexpire=600;updateexpire=1;")
modparam("htable", "htable", "known=>size=12;autoexpire=${trustSeconds};updateexpire=1;")
modparam("htable", "htable", "rates=>size=14;autoexpire=${windowSeconds};updateexpire=0;initval=0;")
modparam("htable", "htable", "attempts=>size=12;autoexpire=60;updateexpire=0;initval=0;")`;

export const defenceRoutes = `# Of one that is banned nothing is heard, also within its calls.
route[DEFEND] {
  if ($sht(sources=>$si) != $null || $sht(allowed=>$si) != $null) {
#!ifdef STREAMS
    $var(conid) = $conid;
    if ($proto != "udp") route(PROVED);
#!endif
    return;
  }
  if ($sht(bans=>$si) != $null) { update_stat("dropped_banned", "+1"); route(HANG_UP); }
  if ($ua != $null && $ua =~ "(${scanners.join('|')})") { update_stat("dropped_scanner", "+1"); route(HANG_UP); }
  if ($sht(known=>$si) != $null || has_totag() || is_method("ACK|CANCEL")) return;
  $var(window) = $Ts / ${windowSeconds};
  if ($shtinc(rates=>$var(window)-$si) > ${windowSeconds} * $sht(settings=>strangerRate)) { update_stat("dropped_rate", "+1"); exit; }
  if (!is_method("REGISTER")) return;
  # Each one costs a registrar more than it costs whoever sends it, from however many addresses.
  if ($shtinc(rates=>$var(window)-registers) > ${windowSeconds} * $sht(settings=>strangerRegisters)) { update_stat("dropped_rate", "+1"); exit; }
  if (is_present_hf("Authorization") && $shtinc(attempts=>register-$si) > 2 * $sht(settings=>mostFailures)) {
    update_stat("dropped_rate", "+1");
    exit;
  }
}

# A connection costs more than a datagram that is not heard.
route[HANG_UP] {
#!ifdef STREAMS
  if ($proto != "udp") tcp_close_connection();
#!endif
  exit;
}

# The nonce was ours and for this address: nobody else can have sent this. Where another phone at the address has proved itself, the user is banned there.
route[WRONG_PASSWORD] {
  update_stat("refused_password", "+1");
  if ($sht(allowed=>$si) != $null) return;
  $var(guilty) = $si;
  if ($sht(known=>$si) != $null) $var(guilty) = $si + "/" + $au;
  if ($shtinc(attempts=>$var(guilty)) < $sht(settings=>mostFailures)) return;
  $var(until) = $Ts + $sht(settings=>banSeconds);
  $sht(bans=>$var(guilty)) = "wrong passwords|" + $var(until);
  $shtex(bans=>$var(guilty)) = $sht(settings=>banSeconds);
}

route[BANNED_USER] {
  if ($au == $null) return;
  $var(guilty) = $si + "/" + $au;
  if ($sht(bans=>$var(guilty)) == $null) return;
  update_stat("dropped_banned", "+1");
  exit;
}
`;
