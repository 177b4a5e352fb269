// The part of a config file about one trunk: who it is, where its gateways are, where we register.
import { z } from 'zod';
import { callerRules, callLimits, numberRules } from './number-schema.js';
import { text } from './yaml-text.js';

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

export const trunk = z.strictObject({
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
      username: text
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
