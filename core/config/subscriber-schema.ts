// The parts of a config file about phones: one subscriber, and what registrars grant.
import { z } from 'zod';
import { callLimits } from './number-schema.js';
import { text } from './yaml-text.js';

export const subscriber = z.strictObject({
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

/** RFC 3261 §10.2.1.1: seconds of a registration. */
const seconds = (least: number, value: number): z.ZodDefault<z.ZodInt> =>
  z.int().min(least).max(604_800).default(value);

export const registration = z.strictObject({
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

export type RegistrationConfig = z.infer<typeof registration>;
/** Where a config says nothing of it. */
export const plainRegistration: RegistrationConfig = registration.parse({});
