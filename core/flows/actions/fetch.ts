// Asks an HTTP server: for variables, or for what the flow does next.
import { z } from 'zod';
import { HoldfastError, messageOf } from '../../errors.js';
import { fillText } from '../flow-text.js';
import { defineAction, type FlowAction, type FlowEntry, type FlowScene } from '../flow-facts.js';
import { exitsOf, label, text, variableName, way } from './parts.js';

/** One HTTP request. Rejects where there is no whole response in time. */
export type HttpExchange = (
  request: {
    readonly url: string;
    readonly method: 'GET' | 'POST';
    readonly headers: Readonly<Record<string, string>>;
    readonly body?: string;
  },
  signal: AbortSignal,
) => Promise<{ readonly status: number; readonly text: string }>;

/** Entries that came from outside, with their defaults filled in; or what is wrong with them, in words. */
export type ReadEntries = (written: unknown) => { readonly entries: readonly FlowEntry[] } | { readonly wrong: string };

const path = z.string().regex(/^[\w-]+(\.[\w-]+)*$/, 'must be keys and indexes with a dot between: customer.names.0');

const step = z.strictObject({
  url: z
    .string()
    .regex(/^https?:\/\/[^\s]+$/, 'must be an http:// or https:// URL')
    .describe('Where to ask. The values of variables in it are percent-encoded.'),
  method: z.enum(['GET', 'POST']).default('GET').describe('POST sends `body`.'),
  headers: z
    .record(z.string().regex(/^[\w-]+$/, 'must be a header name'), text)
    .default({})
    .describe('Headers of the request; may have variables.'),
  body: z
    .record(z.string(), text)
    .optional()
    .describe(
      'Sent as a JSON object; values may have variables. Default: the variables of the call, `{"variables": {…}}`.',
    ),
  timeoutSeconds: z.number().min(0.1).max(60).default(5).describe('How long the whole answer may take.'),
  take: z
    .record(variableName, path)
    .default({})
    .describe(
      'Variables, and where in the JSON of the answer their values are: keys with dots between. One that is not there becomes empty.',
    ),
  follow: z
    .boolean()
    .default(false)
    .describe(
      'The answer is `{"flow": […]}`, a list of actions as in the config, which the call goes on with in place of this flow.',
    ),
  onFailed: label
    .optional()
    .describe(
      'Where to go on when there is no answer in time, no 2xx, or nothing usable in it; default: the step below.',
    ),
});
type Step = z.infer<typeof step>;

const answerSchema = z.object({ status: z.number(), values: z.record(z.string(), z.string()), flow: z.unknown() });
const mostBytes = 256 * 1024;

export function fetchAction(exchange: HttpExchange, read: ReadEntries): FlowAction<Step, null> {
  return defineAction<Step, null>({
    name: 'fetch',
    summary:
      'Asks an HTTP server for variables, or for the next actions. `${fetch_status}` is the status of its answer, 0 where there was none.',
    step,
    exits: given => ({ ...exitsOf(given, ['onFailed']), next: !given.follow || given.onFailed === undefined }),
    check: ({ method, body }) =>
      method === 'GET' && body !== undefined ? [{ path: ['body'], message: 'is for POST only' }] : [],
    begin: () => ({ ask: true }),
    askTimeoutMs: ({ timeoutSeconds }) => timeoutSeconds * 1000,
    ask: (given, scene, signal) => ask(given, scene, signal, exchange, read),
    hear(given, _, event) {
      if (event.type === 'askFailed') return { go: way(given.onFailed), variables: { fetch_status: '0' } };
      if (event.type !== 'answer') return undefined;
      const { status, values, flow } = answerSchema.parse(event.value);
      const variables = { ...values, fetch_status: String(status) };
      if (status < 200 || status > 299) return { go: way(given.onFailed), variables };
      return given.follow ? { follow: flow as readonly FlowEntry[], variables } : { go: 'next', variables };
    },
  });
}

async function ask(
  given: Step,
  scene: FlowScene,
  signal: AbortSignal,
  exchange: HttpExchange,
  read: ReadEntries,
): Promise<z.infer<typeof answerSchema>> {
  const { status, text: body } = await exchange(requestOf(given, scene), signal);
  if (status < 200 || status > 299) return { status, values: {}, flow: null };
  if (Buffer.byteLength(body) > mostBytes) throw wrong(given, `its answer has more than ${mostBytes / 1024} kB`);
  if (Object.keys(given.take).length === 0 && !given.follow) return { status, values: {}, flow: null };
  const value = parse(given, body);
  const values = Object.fromEntries(Object.entries(given.take).map(([name, at]) => [name, textAt(value, at)]));
  if (!given.follow) return { status, values, flow: null };
  const { flow } = z.object({ flow: z.unknown() }).catch({ flow: undefined }).parse(value);
  const followed = read(flow);
  if ('wrong' in followed) throw wrong(given, `its flow is none: ${followed.wrong}`);
  return { status, values, flow: followed.entries };
}

function requestOf(given: Step, scene: FlowScene): Parameters<HttpExchange>[0] {
  const url = scene.text(given.url, encodeURIComponent);
  // A line break in a value would begin another header.
  const fill = (value: string): string => scene.text(value, one => one.replace(/[\r\n\0]/g, ' '));
  const headers = Object.fromEntries(
    Object.entries(given.headers).map(([name, value]) => [name.toLowerCase(), fill(value)]),
  );
  if (given.method === 'GET') return { url, method: 'GET', headers };
  const { body } = given;
  const sent =
    body === undefined
      ? { variables: scene.variables }
      : Object.fromEntries(Object.entries(body).map(([key, value]) => [key, fillText(value, scene.variables)]));
  return {
    url,
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(sent),
  };
}

function parse(given: Step, body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (error) {
    throw wrong(given, `its answer is not JSON: ${messageOf(error)}`);
  }
}

/** Texts, numbers, true and false; anything else is nothing that a variable could hold. */
function textAt(value: unknown, at: string): string {
  const found = at.split('.').reduce<unknown>((inside, key) => {
    if (typeof inside !== 'object' || inside === null || !Object.hasOwn(inside, key)) return undefined;
    return (inside as Readonly<Record<string, unknown>>)[key];
  }, value);
  return typeof found === 'string' || typeof found === 'number' || typeof found === 'boolean' ? String(found) : '';
}

function wrong({ url }: Step, message: string): HoldfastError {
  return new HoldfastError('FETCH_FAILED', `${url}: ${message}`);
}
