// The `homer` block of session-recovery: where HOMER's API is, and who asks.
import { z } from '../../../core/plugin-api.js';

export const homerConfig = z
  .strictObject({
    url: z
      .url({ protocol: /^https?$/, error: 'an http:// or https:// address is expected here' })
      .describe('The web application, for example http://127.60.0.250:9080; /api/v3 is added.'),
    username: z.string().min(1).optional().describe('Who asks.'),
    password: z.string().min(1).optional().describe('Best as ${NAME} of the environment, or file:PATH.'),
    token: z.string().min(1).optional().describe('An API token instead of user name and password.'),
    timeoutSeconds: z.number().positive().max(60).default(5).describe('How long one request may take.'),
    patienceSeconds: z
      .number()
      .min(0)
      .max(60)
      .default(6)
      .describe('How long messages are waited for that the collector has not written yet.'),
  })
  .refine(({ username, token }) => (token === undefined) === (username !== undefined), {
    error: 'either a token, or username and password',
  })
  .refine(({ username, password }) => (username === undefined) === (password === undefined), {
    error: 'username and password belong together',
  });
export type HomerConfig = z.output<typeof homerConfig>;
