// The shape of a config file, as it is written.
import { z } from 'zod';

/** Text that YAML may have taken for a number, such as a dialled number or a secret of digits. */
const text = z.union([z.string(), z.number().transform(String)]);
const nodes = z.int().min(1);
const name = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}$/, 'a name is letters, digits, and _ . + - (at most 64)');

/** A letter first: JavaScript would sort keys that are numbers before all others, and the order of plugins counts. */
const pluginName = z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, 'a plugin name is lower-case letters, digits and -');

const farm = z.strictObject({
  /** The /24 network that the farm lives in. */
  subnet: z
    .string()
    .regex(/^(\d{1,3}\.){3}0\/24$/, 'must be a /24 network, for example 127.40.0.0/24')
    .default('127.40.0.0/24'),
  kamailio: nodes.default(3),
  call: nodes.default(2),
  conference: nodes.default(2),
  registrar: nodes.default(2),
  rtpengine: nodes.default(2),
  /** Where phones and trunks send their SIP. */
  publicVip: z.string().default('.100'),
  /** Where Asterisks send theirs. */
  privateVip: z.string().default('.101'),
  /** Folder of everything that the farm keeps. */
  state: z.string().min(1).optional(),
  /** HEP collector that every Kamailio also sends its copies to. */
  homer: z.string().optional(),
});

const subscriber = z.strictObject({
  /** Display name. */
  name: z.string().max(64).optional(),
  secret: text.pipe(z.string().min(1, 'must not be empty')),
});

const trunk = z.strictObject({
  /** Source addresses let in without a challenge. */
  sources: z.array(z.string()).default([]),
  /** Where calls to the trunk are sent, best first. */
  gateways: z.array(z.string()).default([]),
  /** With which the trunk challenges our INVITEs. */
  credentials: z.strictObject({ username: text, secret: text }).optional(),
});

export const configSchema = z.strictObject({
  farm: farm.prefault({}),
  /** Realm of the subscribers, and host part of their addresses. */
  domain: z.string().regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i, 'must be a domain name'),
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
      file: z.string().min(1).optional(),
    })
    .prefault({}),
  cdr: z.strictObject({ file: z.string().min(1).default('cdr.jsonl') }).prefault({}),
  subscribers: z.record(name, subscriber).default({}),
  trunks: z.record(name, trunk).default({}),
  /** One block per plugin, by its name; `from` names the package or path of one that is not built in. */
  plugins: z.record(pluginName, z.looseObject({ from: z.string().min(1).optional() }).nullable()),
});

export type ConfigFile = z.infer<typeof configSchema>;
