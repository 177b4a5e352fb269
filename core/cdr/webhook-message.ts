// What goes to the webhook: the body of a batch of call records, and the headers that name and sign it. Pure.
import { createHmac } from 'node:crypto';
import type { CallDetailRecord } from '../calls/call-facts.js';

/** Headers of the Standard Webhooks specification (standardwebhooks.com), so that receivers can check them with what there is. */
export interface SignedHeaders {
  readonly 'webhook-id': string;
  /** Seconds since 1970, of this attempt. */
  readonly 'webhook-timestamp': string;
  /** `v1,` and the base64 HMAC-SHA256 of `id.timestamp.body`. */
  readonly 'webhook-signature': string;
}

export function webhookBody(records: readonly CallDetailRecord[]): string {
  return JSON.stringify({ type: 'call-records', records });
}

export function signedHeaders(id: string, body: string, secret: string, nowMs: number): SignedHeaders {
  const timestamp = String(Math.floor(nowMs / 1000));
  const signature = createHmac('sha256', keyOf(secret)).update(`${id}.${timestamp}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` };
}

/** A secret with the prefix is base64 of the key, as the specification writes it; any other text is the key itself. */
function keyOf(secret: string): Buffer {
  const prefix = 'whsec_';
  return secret.startsWith(prefix) ? Buffer.from(secret.slice(prefix.length), 'base64') : Buffer.from(secret);
}
