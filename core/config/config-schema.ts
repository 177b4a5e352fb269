// The shape of a config file, as it is written. What describe() says, editors show (`holdfast schema`).
import { z } from 'zod';
import { defaultPassHeaders } from '../calls/passed-headers.js';
import { wrongHeaderName } from '../calls/leg-headers.js';
import { longestLimitSeconds, offerTimeoutSeconds } from '../calls/limits.js';
import { mostNodes, type FarmName } from '../farm/farm-plan.js';
import { callerRules, callLimits, numberRules, numbers } from './number-schema.js';

/** Text that YAML may have taken for a number, such as a dialled number or a secret of digits. */
const text = z.union([z.string(), z.number().transform(String)]);
const name = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}$/, 'a name is letters, digits, and _ . + - (at most 64)');

/** A letter first: JavaScript would sort keys that are numbers before all others, and the order of plugins counts. */
const pluginName = z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, 'a plugin name is lower-case letters, digits and -');

/** The most is the farm plan's to judge, which says so in its own words. */
const nodes = (farm: FarmName, count: number, what: string): z.ZodDefault<z.ZodInt> =>
  z
    .int()
    .min(1)
    .default(count)
    .describe(`How many ${what} there are.`)
    .meta({ maximum: mostNodes(farm) });

const farm = z.strictObject({
  subnet: z
    .string()
    .regex(/^(\d{1,3}\.){3}0\/24$/, 'must be a /24 network, for example 127.40.0.0/24')
    .default('127.40.0.0/24')
    .describe('The /24 network that the farm lives in. Elsewhere in this file `.N` is its host N.'),
  kamailio: nodes('kamailio', 3, 'Kamailios'),
  call: nodes('call', 2, 'Asterisks for the legs of calls'),
  conference: nodes('conference', 2, 'Asterisks for conferences'),
  registrar: nodes('registrar', 2, 'Asterisks for registrations'),
  rtpengine: nodes('rtpengine', 2, 'RTPEngines'),
  publicVip: z.string().default('.100').describe('Where phones and trunks send their SIP.'),
  privateVip: z.string().default('.101').describe('Where the Asterisks send theirs.'),
  state: z
    .string()
    .min(1)
    .optional()
    .describe('Folder of everything that the farm keeps; default: /var/lib/holdfast/<subnet>.'),
  homer: z
    .string()
    .optional()
    .describe(
      'HEP collector, address:port, that every Kamailio also sends its copies to; port 9060 where none is named.',
    ),
});

const subscriber = z.strictObject({
  name: z.string().max(64).optional().describe('Display name.'),
  secret: text
    .pipe(z.string().min(1, 'must not be empty'))
    .describe('Password of the digest. Best as ${NAME} of the environment, or file:PATH.'),
  identities: z
    .array(text.pipe(z.string().regex(/^[A-Za-z0-9+*#_.-]{1,64}$/, 'must be a number or user name')))
    .default([])
    .describe('Numbers that the subscriber may call from, beside its own name.'),
  limits: callLimits.optional().describe('What it may do, instead of subscriberLimits.'),
});

const gatewayForm = 'host, host:port, or sip:host;transport=tls';

const gateway = z.strictObject({
  address: z.string().describe(`Where it is: ${gatewayForm}.`),
  priority: z
    .int()
    .min(0)
    .max(65_535)
    .optional()
    .describe('Those with the lowest are tried first; default: its place in the list, from 1.'),
  weight: z.int().min(0).max(65_535).default(1).describe('Share of the calls among those of one priority.'),
});

/** User part of a SIP URI (RFC 3261 §25.1), written plainly. */
export const userPart = /^[A-Za-z0-9_.!~*'()&=+$/-]{1,64}$/;

const trunk = z.strictObject({
  sources: z
    .array(z.string())
    .default([])
    .describe('Source addresses let in without a challenge: one, a range low-high, or a network address/bits.'),
  gateways: z
    .array(z.union([z.string(), gateway]))
    .default([])
    .describe(`Where calls to the trunk are sent, best first: ${gatewayForm}.`),
  transport: z
    .enum(['udp', 'tcp', 'tls'])
    .default('udp')
    .describe('By what gateways and registrar are reached that say nothing else of it.'),
  tls: z
    .strictObject({
      verify: z
        .boolean()
        .default(true)
        .describe('The certificate must be signed by an authority, and have the name of the gateway.'),
      authorities: z
        .string()
        .optional()
        .describe('PEM file of those whose signatures count, relative to this file; default: those of the system.'),
      name: z
        .string()
        .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i, 'must be a name or an address')
        .optional()
        .describe('Name that the certificate must have; default: the gateway’s, as it is written here.'),
    })
    .prefault({})
    .describe('What is asked of gateways that are reached by TLS.'),
  probeSeconds: z
    .int()
    .min(0)
    .max(3600)
    .optional()
    .describe(
      'How often each gateway is sent an OPTIONS; 0: never. Default: 30 where there may be more than one, else 0.',
    ),
  silentSeconds: z
    .number()
    .min(0.5)
    .max(32)
    .default(4)
    .describe('A gateway that has not answered an INVITE at all after so long is given up, and the next one is tried.'),
  credentials: z
    .strictObject({
      username: text.describe('User name of the digest.'),
      secret: text.describe('Its password. Best as ${NAME} of the environment, or file:PATH.'),
    })
    .optional()
    .describe('What we answer with when the trunk challenges us.'),
  login: z
    .strictObject({
      username: z
        .union([z.string(), z.number().transform(String)])
        .pipe(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}$/, 'is letters, digits, and _ . + - (at most 64)'))
        .describe('User name of the digest, which no subscriber has.'),
      secret: text
        .pipe(z.string().min(1, 'must not be empty'))
        .describe('Its password. Best as ${NAME} of the environment, or file:PATH.'),
    })
    .optional()
    .describe('Calls from any address that answer our challenge with this are the trunk’s.'),
  identities: z
    .array(text.pipe(z.string().regex(/^[A-Za-z0-9+*#_.-]{1,64}$/, 'must be a number, or how numbers begin')))
    .default([])
    .describe('Numbers that its calls may come from, or how these begin, with + in E.164; none: any.'),
  register: z
    .strictObject({
      registrar: z.string().optional().describe(`Where it is: ${gatewayForm}; default: the gateways.`),
      domain: z
        .string()
        .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i, 'must be a domain name or an address')
        .optional()
        .describe('Domain of the user, as the provider names it; default: the registrar’s name.'),
      user: text
        .pipe(z.string().regex(userPart, 'must be the user part of a SIP address'))
        .optional()
        .describe('User that is registered; default: the user name of the credentials.'),
      expiresSeconds: z
        .int()
        .min(60)
        .max(86_400)
        .default(600)
        .describe('How long a registration shall hold; it is refreshed after half of what is granted.'),
    })
    .optional()
    .describe('We register there, so that its calls come to us.'),
  trusted: z
    .boolean()
    .default(true)
    .describe('Whether its P-Asserted-Identity, Diversion and History-Info are believed, and ours sent to it.'),
  limits: callLimits.optional().describe('What it may do, and what may be done with it.'),
  numbers: numberRules.optional().describe('How it writes telephone numbers.'),
  caller: callerRules.optional().describe('How callers are shown to it.'),
});

/** Reason, and who calls, pass by rules of their own (docs/signalling.md). */
const passedHeader = z.string().check(({ value, issues }) => {
  const own = ['reason', 'privacy', 'p-asserted-identity'].includes(value.toLowerCase());
  const wrong = own ? `${value} passes by a rule of its own, in any case` : wrongHeaderName(value);
  if (wrong !== undefined) issues.push({ code: 'custom', message: wrong, input: value });
});

/** RFC 3261 §10.2.1.1: seconds of a registration. */
const seconds = (least: number, value: number): z.ZodDefault<z.ZodInt> =>
  z.int().min(least).max(604_800).default(value);

const registration = z.strictObject({
  digests: z
    .array(z.enum(['SHA-256', 'MD5']))
    .min(1)
    .default(['MD5'])
    .describe(
      'Digest algorithms that registrars offer phones (RFC 8760), the preferred one first. Some phones fail where SHA-256 is among them.',
    ),
  minSeconds: seconds(1, 60).describe('Registrations for a shorter time are refused (423).'),
  maxSeconds: seconds(1, 7200).describe('Registrations for a longer time are granted this one.'),
  defaultSeconds: seconds(1, 3600).describe('Granted to a phone that names no time.'),
  maxContacts: z.int().min(1).max(50).default(5).describe('Phones of one subscriber at a time.'),
  keepAliveSeconds: z
    .int()
    .min(0)
    .max(600)
    .default(25)
    .describe('How often a phone behind NAT is sent something, so that the NAT keeps its way open. 0: never.'),
});

const port = (usual: number): z.ZodDefault<z.ZodInt> => z.int().min(1).max(65_535).default(usual);

const tls = z.strictObject({
  port: port(5061).describe('At the public VIP.'),
  certificate: z
    .string()
    .min(1)
    .optional()
    .describe(
      'PEM file, relative to this one: the certificate, and after it those that signed it. Without it the farm makes one for itself.',
    ),
  key: z.string().min(1).optional().describe('PEM file of its private key, without a passphrase.'),
});

const edge = z.strictObject({
  tcp: z
    .strictObject({ port: port(5060).describe('At the public VIP.') })
    .optional()
    .describe('Phones and trunks may come by TCP; {} for port 5060. Without this block they may not.'),
  tls: tls.optional().describe('Phones and trunks may come by TLS; {} for port 5061 and a certificate of our own.'),
  mostConnections: z
    .int()
    .min(1)
    .max(100_000)
    .default(2_000)
    .describe('Connections of TCP and TLS to each Kamailio at a time.'),
  strangerSilenceSeconds: z
    .int()
    .min(1)
    .max(3_600)
    .default(30)
    .describe(
      'How long a connection may be silent on which nobody has proved who they are; it ends after four times as long in any case.',
    ),
  connectionsPerSource: z
    .int()
    .min(1)
    .max(100_000)
    .default(200)
    .describe(
      'Connections of TCP and TLS from one address at a time, a tenth of it more each minute: an office behind a NAT is one.',
    ),
  allow: z
    .array(z.string())
    .default([])
    .describe('Sources that are never limited and never banned: one, a range low-high, or a network address/bits.'),
  strangerPerSecond: z
    .int()
    .min(1)
    .max(100_000)
    .default(10)
    .describe(
      'Requests outside of calls per second from an address that is no trunk and no phone that has proved itself.',
    ),
  strangerRegistersPerSecond: z
    .int()
    .min(1)
    .max(100_000)
    .default(50)
    .describe('REGISTERs per second from all such addresses together, to each Kamailio.'),
  wrongPasswords: z
    .int()
    .min(1)
    .max(1_000)
    .default(10)
    .describe('Wrong passwords in a minute that get an address banned.'),
  banSeconds: z.int().min(1).max(604_800).default(600).describe('How long it is banned then.'),
});

const overload = z.strictObject({
  lateMs: z
    .int()
    .min(0)
    .max(4_000)
    .default(1_000)
    .describe(
      'New calls to a call node are refused in part once its answers to the daemon take so long for seconds. 0: never.',
    ),
  callsPerSecond: z
    .number()
    .min(1)
    .max(10_000)
    .optional()
    .describe('New calls per second that each call node takes at most; default: as many as it can.'),
});

const log = z.strictObject({
  level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info').describe('The least that is logged.'),
  file: z
    .string()
    .min(1)
    .optional()
    .describe('A log file of your own, below the state folder; default: log/daemon.log, which is kept small.'),
});

const webhook = z.strictObject({
  url: z.url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' }).describe('Where it is POSTed.'),
  secret: text
    .pipe(z.string().min(16))
    .describe('Key of the signature. Best as ${NAME} of the environment, or file:PATH.'),
  timeoutSeconds: z.number().min(0.1).max(300).default(10).describe('How long the receiver may take for one request.'),
});

const metrics = z.strictObject({
  listen: z
    .string()
    .min(1)
    .describe(
      'Where Prometheus asks for /metrics: a private address:port, or unix:NAME, a socket in the state folder.',
    ),
});

const trace = z.strictObject({
  rawMegabytes: z
    .int()
    .min(0)
    .max(4096)
    .default(32)
    .describe('Memory for whole SIP messages, for `holdfast call show --pcap`: the latest are kept. 0: none.'),
});

const limitSeconds = (most: number, usual: number, what: string): z.ZodDefault<z.ZodInt> =>
  z.int().min(0).max(most).default(usual).describe(what);

const limits = z.strictObject({
  maxSetupSeconds: z
    .int()
    .min(5)
    .max(offerTimeoutSeconds - 10)
    .default(240)
    .describe('A call that is not answered is ended so long after its INVITE, whatever its targets do.'),
  maxCallSeconds: limitSeconds(
    longestLimitSeconds,
    43_200,
    'A call is ended so long after its answer; 0: never. A route may have another one.',
  ),
  rtpTimeoutSeconds: limitSeconds(
    longestLimitSeconds,
    300,
    'A call is ended when one of its phones has sent no RTP and no RTCP for so long; 0: never.',
  ),
  rtpTimeoutOnHoldSeconds: limitSeconds(
    longestLimitSeconds,
    3_600,
    'The same for a phone that has put the call on hold, and may well send nothing; 0: never.',
  ),
  strayGraceSeconds: z
    .int()
    .min(5)
    .max(3_600)
    .default(5)
    .describe(
      'Channels, bridges, media sessions and dialogs that belong to no call are ended when they were seen for so long.',
    ),
});

const cdr = z.strictObject({
  file: z
    .string()
    .min(1)
    .default('cdr.jsonl')
    .describe('Call records, one JSON line each; relative to the state folder.'),
  webhook: webhook.optional().describe('A receiver of call records, beside the file.'),
});

export const configSchema = z.strictObject({
  farm: farm.prefault({}).describe('The servers: how many, and on which addresses.'),
  domain: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i, 'must be a domain name')
    .describe('Realm of the subscribers, and host part of their addresses.'),
  log: log.prefault({}).describe('What the daemon logs, and where.'),
  cdr: cdr.prefault({}).describe('Call records.'),
  recordings: z
    .string()
    .min(1)
    .default('recordings')
    .describe('Folder of recorded rooms and calls; relative to the state folder.'),
  metrics: metrics.optional().describe('Metrics for Prometheus; without this block there are none.'),
  limits: limits.prefault({}).describe('What is ended that does not end by itself, and when.'),
  trace: trace.prefault({}).describe('What the daemon keeps of SIP messages.'),
  passHeaders: z
    .array(passedHeader)
    .default([...defaultPassHeaders])
    .describe('Headers that pass from leg to leg, on INVITE, BYE, CANCEL and failure responses.'),
  overload: overload.prefault({}).describe('Which calls are refused when there are more than the machines carry.'),
  edge: edge.prefault({}).describe('What the edge does against those who only make work.'),
  numbers: numbers.prefault({}).describe('Telephone numbers: of which country, and which are special.'),
  subscriberLimits: callLimits.optional().describe('What each subscriber may do that has no limits of its own.'),
  registration: registration.prefault({}).describe('What registrars grant to phones.'),
  subscribers: z.record(name, subscriber).default({}).describe('Users whose phones register and call, by user name.'),
  trunks: z.record(name, trunk).default({}).describe('Carriers, PBXs and other SIP peers, by a name of your choice.'),
  webhooks: z
    .record(
      z.string().regex(/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/, 'a webhook’s name is lower-case letters, digits and -'),
      webhook,
    )
    .default({})
    .describe('Receivers of what flows tell (the action notify), by a name of your choice.'),
  sounds: z
    .string()
    .min(1)
    .optional()
    .describe('Folder of the sounds that flows play; relative to this file, and readable to the nodes.'),
  flows: z
    .record(name, z.array(z.unknown()).min(1))
    .default({})
    .describe('What callers are taken through, by a name that routes say: lists of actions (docs/flows.md).'),
  plugins: z
    .record(
      pluginName,
      z
        .looseObject({
          from: z.string().min(1).optional().describe('Package or path of a plugin that is not built in.'),
        })
        .nullable(),
    )
    .describe('One block for each plugin that runs, by its name. Their hooks are asked in this order.'),
});

export type RegistrationConfig = z.infer<typeof registration>;
/** Where a config says nothing of it. */
export const plainRegistration: RegistrationConfig = registration.parse({});
export type ConfigFile = z.infer<typeof configSchema>;
