// REGISTER at the edge, and what it has to do with NAT: where a phone is really reached travels in Path and Record-Route.
import { ports } from '../core/farm/farm-plan.js';
import { contactsParameter, flowParameter, registrarHeader } from '../core/ports/edge.js';
import type { EdgeModel } from './edge-model.js';

/**
 * Our own Path entry (RFC 3327) is `<sip:PRIVATE_VIP;lr;hfn=IP~PORT;hfc=CONTACTS>`: the flow only of a phone behind NAT, the phone's Contact headers
 * only where they have q-values, which an Asterisk does not keep. The daemon gives it back as a Route of the INVITE to that contact.
 */
export function registrationRoutes(model: EdgeModel): string {
  return [flows, register(model), registerOut(model)].join('\n');
}

/**
 * A phone is behind NAT where its packets come from elsewhere than it believes (RFC 3581 section 4). What is sent to it then goes where they
 * came from. A port of its own for sending is no NAT: only who asks for rport wants to be answered there. To a Contact with an IPv6 address there is
 * no way from here: what is sent to it goes to where its Via is, if no proxy before it says where.
 */
const flows = `route[NAT] {
  $var(flow) = "";
#!ifdef STREAMS
  # The only way to a phone on a connection.
  $var(connection) = "";
  if ($proto != "udp") {
    force_rport();
    route(CONNECTION);
    return;
  }
#!endif
  $var(port) = 5060;
  if ($sel(via[1].port) != $null) $var(port) = $(sel(via[1].port){s.int});
  if ($sel(via[1].host) == $si && ($var(port) == $sp || $sel(via[1].params.rport) == $null)) {
    if ($hdr(Contact) =~ "sips?:([^@>]*@)?[[]" && !is_present_hf("Record-Route") && !is_present_hf("Path"))
      $var(flow) = $si + "~" + $var(port);
    return;
  }
  force_rport();
  $var(flow) = $si + "~" + $sp;
}

# To the phone itself, whatever address it says of itself.
route[FLOW] {
  if ($var(flow) == "") return;
#!ifdef STREAMS
  if ($(var(flow){s.select,0,~}) == "gw") {
    route(TO_GATEWAY);
    return;
  }
  if ($(var(flow){s.select,2,~}) != "") {
    route(TO_CONNECTION);
    return;
  }
#!endif
  $du = "sip:" + $(var(flow){s.select,0,~}) + ":" + $(var(flow){s.select,1,~});
}

# The daemon knows where the hosts of trunks are. Whoever asks a name server here waits for it, and all that come to the same process with him.
route[TO_HOST] {
  $var(next) = $ru;
  if ($du != $null) $var(next) = $du;
  $var(host) = $(var(next){uri.host}{s.tolower});
  $var(port) = $(var(next){uri.port});
  if ($var(port) == 0) $var(at) = "service-" + $var(host);
  else $var(at) = "host-" + $var(host);
  route(HOST);
  if ($var(at) == "") return;
  $du = "sip:" + $var(at);
  if ($var(port) != 0) $du = "sip:" + $var(at) + ":" + $var(port);
}

# What the table has for a name in $var(at), or nothing where that is nobody's of ours. What nobody knows is not asked for: the next gateway is tried.
route[HOST] {
  if ($sht(gateways=>$var(at)) == $null) { $var(at) = ""; return; }
  $var(at) = $sht(gateways=>$var(at));
  if ($var(at) != "-") return;
  if (!is_method("ACK")) sl_send_reply("503", "Host Not Known");
  exit;
}
`;

function register(model: EdgeModel): string {
  const { privateVip, leastExpiresSeconds } = model;
  const brief = `0*(${numbersBelow(leastExpiresSeconds)})`;
  return `# The registrar challenges; the same user finds the same registrar while it lives.
route[REGISTER] {
  if (search_hf("Contact", ";[ \\t]*expires[ \\t]*=[ \\t]*\\"?${brief}([^0-9]|$)", "a")
    || (search_hf("Expires", "^[ \\t]*${brief}[ \\t]*$", "a") && !search_hf("Contact", ";[ \\t]*expires[ \\t]*=|^[ \\t]*\\*", "a"))) {
    append_to_reply("Min-Expires: ${leastExpiresSeconds}\\r\\n");
    sl_send_reply("423", "Interval Too Brief");
    exit;
  }
  # Nobody but us says by which flow a phone is reached.
  if (search_hf("Path", "${flowParameter}=|${privateVip.replaceAll('.', '\\\\.')}", "a")) {
    update_stat("refused_nexthop", "+1");
    sl_send_reply("403", "Forbidden");
    exit;
  }
  $var(own) = "";
  if ($var(flow) != "") $var(own) = ";${flowParameter}=" + $var(flow);
  if (search_hf("Contact", ";[ \\t]*q[ \\t]*=", "a"))
    $var(own) = $var(own) + ";${contactsParameter}=" + $(hdr(Contact)[*]{s.escape.param});
  if ($var(own) != "" || is_present_hf("Path")) {
    if ($var(own) != "") insert_hf("Path: <sip:${privateVip}:${ports.sip};lr$var(own)>\\r\\n", "Path");
    # An Asterisk refuses a Path of a phone that does not know what that is, though it need not.
    if (!search_hf("Supported", "path", "a") && !subst_hf("Supported", "/$/, path/", "f"))
      append_hf("Supported: path\\r\\n");
  }
  if (!ds_select_dst("2", "7")) { update_stat("failed_slot", "+1"); sl_send_reply("503", "Service Unavailable"); exit; }
  $fsn = "int";
  route(TO_NODE);
}
`;
}

/**
 * Our own registrations with trunks. topoh leaves REGISTER alone: the daemon's Via stays inside, and the response gets it back. Its address is known,
 * so there is nothing in a response by which somebody outside could have it sent elsewhere.
 */
function registerOut(model: EdgeModel): string {
  return `route[REGISTER_OUT] {
  $du = $hdr(${registrarHeader});
  $var(out) = "ext";
  $var(flow) = $(du{uri.param,${flowParameter}});
  $var(whole) = $mb;
  route(FLOW);
  if ($var(out) == "ext") route(TO_HOST);
  $fsn = $var(out);
  remove_hf("Via");
  route(OUTWARD);
  route(TO_PHONE);
  exit;
}

route[REGISTER_ANSWER] {
  append_hf("Via: SIP/2.0/UDP ${model.daemonAddress}:${ports.sip};branch=z9hG4bKregister\\r\\n", "Via");
  msg_apply_changes();
  $fsn = "int";
}
`;
}

/** A POSIX expression for the numbers 1 to `limit` - 1, without leading zeros. */
export function numbersBelow(limit: number): string {
  const digits = String(limit);
  const shorter = Array.from({ length: digits.length - 1 }, (_, length) => `[1-9]${'[0-9]'.repeat(length)}`);
  const asLong = Array.from(digits).flatMap((digit, at) => {
    const [from, to] = [at === 0 ? 1 : 0, Number(digit) - 1];
    return to < from ? [] : [`${digits.slice(0, at)}[${from}-${to}]${'[0-9]'.repeat(digits.length - 1 - at)}`];
  });
  return [...shorter, ...asLong].join('|');
}
