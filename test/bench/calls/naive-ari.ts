// The ARI program that anybody would write first, to compare with: it originates a leg for each call, answers the caller when that
// is up, and puts both into a mixing bridge. No early media, no failover, no store, no records.
//
//   node naive-ari.js ADDRESS PASSWORD GATEWAY    (an application called `naive` on the Asterisk there)
import { Pool } from 'undici';
import WebSocket from 'ws';

const [address = '', password = '', gateway = ''] = process.argv.slice(2);
const user = 'holdfast';
const pool = new Pool(`http://${address}:8088`, { connections: 8 });
const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

interface NaiveCall {
  readonly caller: string;
  callee: string;
  bridge: string;
}
const calls = new Map<string, NaiveCall>();

async function ask(method: 'POST' | 'DELETE', path: string): Promise<{ id: string }> {
  const { body, statusCode } = await pool.request({ method, path: `/ari${path}`, headers: { authorization } });
  const text = await body.text();
  if (statusCode >= 300) throw new Error(`${method} ${path}: ${statusCode} ${text}`);
  return (text === '' ? {} : JSON.parse(text)) as { id: string };
}

interface NaiveEvent {
  readonly type: string;
  readonly args: readonly string[];
  readonly channel: { readonly id: string };
}

/** The dialplan gives the dialled number of a caller; the originate, the caller of a callee. */
async function onStart({ args: [role, about = ''], channel }: NaiveEvent): Promise<void> {
  if (role === 'caller') {
    const call: NaiveCall = { caller: channel.id, callee: '', bridge: '' };
    calls.set(channel.id, call);
    const endpoint = encodeURIComponent(`PJSIP/edge/sip:${about}@${gateway}`);
    call.callee = (await ask('POST', `/channels?endpoint=${endpoint}&app=naive&appArgs=callee,${channel.id}`)).id;
    calls.set(call.callee, call);
    return;
  }
  const call = calls.get(about);
  if (!call) return;
  await ask('POST', `/channels/${call.caller}/answer`);
  call.bridge = (await ask('POST', '/bridges?type=mixing')).id;
  await ask('POST', `/bridges/${call.bridge}/addChannel?channel=${call.caller}`);
  await ask('POST', `/bridges/${call.bridge}/addChannel?channel=${channel.id}`);
}

async function onEnd({ channel }: NaiveEvent): Promise<void> {
  const call = calls.get(channel.id);
  if (!call) return;
  calls.delete(call.caller);
  calls.delete(call.callee);
  const other = channel.id === call.caller ? call.callee : call.caller;
  if (other !== '') await ask('DELETE', `/channels/${other}`);
  if (call.bridge !== '') await ask('DELETE', `/bridges/${call.bridge}`);
}

const events = new WebSocket(`ws://${address}:8088/ari/events?app=naive`, { auth: `${user}:${password}` });
events.on('open', () => process.send?.('ready'));
events.on('message', (data: Buffer) => {
  const event = JSON.parse(data.toString()) as NaiveEvent;
  const work = event.type === 'StasisStart' ? onStart(event) : event.type === 'StasisEnd' ? onEnd(event) : undefined;
  work?.catch((error: unknown) => process.stderr.write(`${String(error)}\n`));
});
process.on('disconnect', () => process.exit(0));
