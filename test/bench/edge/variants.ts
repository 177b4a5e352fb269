// What is compared: a bare forward(), the generated config with all left out that it can do without, and with each of its features.
import type { EdgeModel } from '../../../kamailio/edge-model.js';

/** What the edge does for the operator, or lets a phone do. */
export type Feature =
  'hiding' | 'tracing' | 'homer' | 'defence' | 'password' | 'audio' | 'srtp' | 'tcp' | 'tls' | 'handshakes';

export interface Variant {
  readonly name: string;
  readonly title: string;
  /** `bare`: no generated config at all. */
  readonly on: readonly Feature[] | 'bare';
  /** Name of the variant that lacks only what this one is about. */
  readonly over?: string;
}

const always = ['hiding', 'tracing', 'defence'] as const;

export const variants: readonly Variant[] = [
  { name: 'bare', title: 'bare `forward()`', on: 'bare' },
  { name: 'core', title: 'slots, signed routes, checks of every message', on: [] },
  { name: 'hiding', title: 'with the inside hidden (topoh)', on: ['hiding'], over: 'core' },
  { name: 'tracing', title: 'with the trace for the daemon (HEP)', on: ['tracing'], over: 'core' },
  { name: 'homer', title: 'and a copy for HOMER', on: ['tracing', 'homer'], over: 'tracing' },
  { name: 'password', title: 'with a password asked for', on: ['password'], over: 'core' },
  { name: 'defence', title: 'and bans and rates', on: ['password', 'defence'], over: 'password' },
  { name: 'audio', title: 'with audio through RTPEngine', on: ['audio'], over: 'core' },
  { name: 'srtp', title: 'and SRTP outside', on: ['audio', 'srtp'], over: 'audio' },
  { name: 'tcp', title: 'caller on TCP', on: ['tcp'], over: 'core' },
  { name: 'tls', title: 'caller on TLS', on: ['tls'], over: 'core' },
  { name: 'handshakes', title: 'caller on TLS, a connection for each call', on: ['tls', 'handshakes'], over: 'tls' },
  { name: 'trunk', title: '**all, a trunk on UDP**', on: [...always, 'audio'] },
  { name: 'phone', title: '**all, a phone on UDP**', on: [...always, 'audio', 'password'] },
  { name: 'secure', title: '**all, a phone on TLS with SRTP**', on: [...always, 'audio', 'password', 'tls', 'srtp'] },
];

export function has(variant: Variant, feature: Feature): boolean {
  return variant.on !== 'bare' && variant.on.includes(feature);
}

/** The generated config without what the variant does without. */
export function pruned(cfg: string, variant: Variant): string {
  let text = cfg;
  if (!has(variant, 'hiding')) {
    text = cut(text, /^event_route\[topoh:msg-outgoing\] \{\n[^}]*\}\n/m);
    text = withoutModule(text, 'topoh');
  }
  if (!has(variant, 'tracing')) text = withoutModule(text, 'siptrace');
  if (!has(variant, 'defence')) text = cut(text, /^.* route\(DEFEND\);\n/m);
  return text;
}

/** All messages to one callee. Its processes and addresses are those of the generated one. */
export function bareCfg({ external, publicVip, children }: Bare, callee: string): string {
  return `#!KAMAILIO
debug=1
log_stderror=yes
fork=yes
children=${children}
disable_tcp=yes
auto_aliases=no
dns=no
rev_dns=no
listen=udp:${external}:5060 advertise ${publicVip}:5060
loadmodule "pv.so"
request_route {
  $du = "sip:${callee}:5060";
  forward();
}
`;
}

type Bare = Pick<EdgeModel, 'external' | 'publicVip' | 'children'>;

function withoutModule(cfg: string, module: string): string {
  return cut(cfg, new RegExp(`^(loadmodule "${module}\\.so"|modparam\\("${module}",.*)\n`, 'gm'));
}

/** Throws where there is nothing to cut: then the config is not what this file believes, and the figures would be of something else. */
function cut(text: string, what: RegExp): string {
  const rest = text.replace(what, '');
  if (rest === text) throw new Error(`the generated config has nothing like ${what.source}`);
  return rest;
}
