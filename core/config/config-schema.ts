// The shape of a config file, as it is written. What describe() says, editors show (`holdfast schema`).
import { z } from 'zod';
import { defaultPassHeaders } from '../calls/passed-headers.js';
import { wrongHeaderName } from '../calls/leg-headers.js';
import { longestLimitSeconds, offerTimeoutSeconds } from '../calls/limits.js';
import { mostNodes, type FarmName } from '../farm/farm-plan.js';
import { edge } from './edge-schema.js';
import { callLimits, numbers } from './number-schema.js';
import { registration, subscriber } from './subscriber-schema.js';
import { trunk } from './trunk-schema.js';
import { text } from './yaml-text.js';

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

/** Reason, and who calls, pass by rules of their own (docs/signalling.md). */
const passedHeader = z.string().check(({ value, issues }) => {
  const own = ['reason', 'privacy', 'p-asserted-identity'].includes(value.toLowerCase());
  const wrong = own ? `${value} passes by a rule of its own, in any case` : wrongHeaderName(value);
  if (wrong !== undefined) issues.push({ code: 'custom', message: wrong, input: value });
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

export type ConfigFile = z.infer<typeof configSchema>;
