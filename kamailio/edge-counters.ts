// The counters that every Kamailio keeps of what it refused, dropped or answered itself.

/** Names in Kamailio's statistics group `script`, and what core calls them. */
export const counters = {
  refused_fenced: 'refused.fenced',
  refused_source: 'refused.source',
  refused_identity: 'refused.identity',
  refused_signature: 'refused.signature',
  refused_nexthop: 'refused.nexthop',
  refused_reply: 'refused.reply',
  refused_offer: 'refused.offer',
  refused_scheme: 'refused.scheme',
  refused_method: 'refused.method',
  refused_malformed: 'refused.malformed',
  refused_password: 'refused.password',
  refused_overload: 'refused.overload',
  refused_certificate: 'refused.certificate',
  dropped_banned: 'dropped.banned',
  dropped_scanner: 'dropped.scanner',
  dropped_rate: 'dropped.rate',
  dropped_ack: 'dropped.ack',
  dropped_size: 'dropped.size',
  closed_stranger: 'closed.stranger',
  failed_slot: 'failed.slot',
  failed_media: 'failed.media',
  failed_flow: 'failed.flow',
  answered_gap: 'answered.gap',
  answered_probe: 'answered.probe',
} as const;

export const counterNames = Object.keys(counters) as readonly (keyof typeof counters)[];
