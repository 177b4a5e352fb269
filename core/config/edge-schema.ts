// The part of a config file about the edge: which doors it has, and what it does against strangers.
import { z } from 'zod';

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

export const edge = z.strictObject({
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
