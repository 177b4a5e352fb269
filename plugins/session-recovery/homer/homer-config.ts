// The `homer` block of session-recovery: where HOMER's API is, and who asks.
import { z } from '../../../core/plugin-api.js';

export const homerConfig = z
  .strictObject({
    /** The web application, e.g. `http://127.60.0.250:9080`; `/api/v3` is added. */
    url: z.url({ protocol: /^https?$/, error: 'an http:// or https:// address is expected here' }),
    username: z.string().min(1).optional(),
    password: z.string().min(1).optional(),
    /** An API token instead of user name and password. */
    token: z.string().min(1).optional(),
    /** How long one request may take. */
    timeoutSeconds: z.number().positive().max(60).default(5),
    /** How long messages are waited for that the collector has not written yet. */
    patienceSeconds: z.number().min(0).max(60).default(6),
  })
  .refine(({ username, token }) => (token === undefined) === (username !== undefined), {
    error: 'either a token, or username and password',
  })
  .refine(({ username, password }) => (username === undefined) === (password === undefined), {
    error: 'username and password belong together',
  });
export type HomerConfig = z.output<typeof homerConfig>;
