// What plugins may answer to each hook: checked, because a wrong answer must fail with the plugin's name, not in a call.
import { z, type ZodType } from 'zod';
import { headerName } from '../calls/leg-headers.js';
import { roleSchema, roomPolicySchema } from '../conferences/conference-record.js';
import { longestLimitSeconds } from '../calls/limits.js';
import type { Hooks } from '../plugin-api.js';

export type HookName = keyof Hooks;
export type HookQuestion<Name extends HookName> = Parameters<Hooks[Name]>[0];
export type HookAnswer<Name extends HookName> = Exclude<Awaited<ReturnType<Hooks[Name]>>, undefined>;

/** RFC 3261 §19.1.1, as far as that no text can leave the URI: no spaces, quotes, angle brackets or control characters. */
const sipUri = z.string().regex(/^sips?:[^\s<>"\\\p{Cc}@]+@[^\s<>"\\\p{Cc}@]+$/u, 'must be a SIP URI, sip:user@host');
const plainText = z.string().regex(/^[^\p{Cc}"<>]*$/u, 'must not have control characters, quotes or angle brackets');
const headerValue = z
  .string()
  .max(4096)
  .regex(/^[^\p{Cc}]*$/u, 'must not have control characters');
const headers = z.strictObject({
  set: z.record(headerName, headerValue).optional(),
  remove: z.array(headerName).optional(),
});
const seconds = z.number().positive().max(3600);
const callSeconds = z.int().min(0).max(longestLimitSeconds);

const connectTarget = z.strictObject({
  uri: sipUri,
  path: z
    .array(z.string().regex(/^<sips?:[^\s<>"?]+>$/, 'must be <sip:…>'))
    .max(10)
    .optional(),
  trunk: z.string().optional(),
  subscriber: z.string().optional(),
  ringTimeoutSeconds: seconds.optional(),
  headers: headers.optional(),
});

const connectStep = z.strictObject({
  action: z.literal('connect'),
  targets: z.array(connectTarget).min(1),
  strategy: z.enum(['in-order', 'at-once']),
  ringTimeoutSeconds: seconds.optional(),
  callerNumber: plainText.max(128).optional(),
  callerName: plainText.max(128).optional(),
  headers: headers.optional(),
});

const flowStep = z.discriminatedUnion('action', [
  connectStep,
  z.strictObject({
    action: z.literal('conference_join'),
    room: z.string().min(1).max(128),
    role: roleSchema.optional(),
  }),
  z.strictObject({ action: z.literal('echo') }),
]);

const route = z.union([
  z.strictObject({
    reject: z.int().min(400).max(699),
    reason: z.string(),
    retryAfterSeconds: z.int().min(0).max(86_400).optional(),
    routeName: z.string().optional(),
  }),
  z.strictObject({ flow: z.array(flowStep).min(1), routeName: z.string(), maxCallSeconds: callSeconds.optional() }),
  z.strictObject({ flowName: z.string().min(1), routeName: z.string(), maxCallSeconds: callSeconds.optional() }),
]);

const dial = z.strictObject({
  callerNumber: plainText.max(128).optional(),
  callerName: plainText.max(128).optional(),
  headers: headers.optional(),
});
const redirect = z.strictObject({ targets: z.array(connectTarget) });

const place = z.strictObject({ mixing: z.enum(['call-node', 'conference-farm']) });

const enter = z.union([
  z.strictObject({ role: roleSchema }),
  z.strictObject({ reject: z.int().min(400).max(699), reason: z.string() }),
]);

const recover = z.union([
  z.strictObject({ skip: z.string().min(1) }),
  z.strictObject({ priority: z.number().optional(), node: z.string().optional() }),
]);

const schemas: { readonly [Name in HookName]: ZodType } = {
  ...{
    route,
    dial,
    redirect,
    refer: z.union([connectStep, z.strictObject({ action: z.literal('join') })]),
    place,
    recover,
    enter,
  },
  room: roomPolicySchema,
};

export const hookNames: ReadonlySet<string> = new Set(Object.keys(schemas));

/** The answer, or what is wrong with it in words. */
export function readAnswer<Name extends HookName>(
  name: Name,
  answer: unknown,
): { readonly value: HookAnswer<Name> } | { readonly wrong: string } {
  const parsed = schemas[name].safeParse(answer);
  if (parsed.success) return { value: parsed.data as HookAnswer<Name> };
  return { wrong: complaints(parsed.error.issues).join('; ') };
}

type Issue = z.core.$ZodIssue;

/** Of a union's options, the complaints of the one that came closest. */
function complaints(issues: readonly Issue[]): readonly string[] {
  return issues.flatMap(issue => {
    if (issue.code === 'invalid_union') {
      const closest = [...issue.errors].sort((a, b) => a.length - b.length)[0];
      if (closest !== undefined) return complaints(closest);
    }
    if (issue.code === 'invalid_key') return complaints(issue.issues.map(one => ({ ...one, path: issue.path })));
    return [issue.path.length === 0 ? issue.message : `${issue.path.map(String).join('.')}: ${issue.message}`];
  });
}
