// What the daemon holds once its garbage is gone: asked by Node's inspector, which SIGUSR1 opens, so that nothing of the daemon is changed for it.
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import WebSocket from 'ws';

/** Node's own, of any process that was not told another. */
const inspectorUrl = 'http://127.0.0.1:9229/json/list';
const opensMs = 10_000;

/** MB. */
export interface Held {
  /** Of the main thread. */
  readonly heap: number;
  /** Buffers, outside of the heap. */
  readonly buffers: number;
}

interface Evaluated {
  readonly result: { readonly value: string };
}

export async function heldByDaemon(pid: number): Promise<Held> {
  const socket = new WebSocket(await debuggerOf(pid));
  await once(socket, 'open');
  try {
    await ask(socket, 'HeapProfiler.enable');
    // What a first one lets finalizers free, the second takes.
    for (let i = 0; i < 2; i++) await ask(socket, 'HeapProfiler.collectGarbage');
    const expression = 'JSON.stringify({ pid: process.pid, ...process.memoryUsage() })';
    const answer = await ask(socket, 'Runtime.evaluate', { expression });
    const usage = JSON.parse((answer as Evaluated).result.value) as NodeJS.MemoryUsage & { readonly pid: number };
    if (usage.pid !== pid) throw new Error(`port 9229 is of process ${usage.pid}`);
    return { heap: usage.heapUsed / 2 ** 20, buffers: usage.external / 2 ** 20 };
  } finally {
    socket.terminate();
  }
}

async function debuggerOf(pid: number): Promise<string> {
  process.kill(pid, 'SIGUSR1');
  const deadline = performance.now() + opensMs;
  for (;;) {
    try {
      const targets = (await (await fetch(inspectorUrl)).json()) as { webSocketDebuggerUrl: string }[];
      const [target] = targets;
      if (target !== undefined) return target.webSocketDebuggerUrl;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await delay(100);
  }
}

let lastId = 0;

async function ask(socket: WebSocket, method: string, params: object = {}): Promise<unknown> {
  const id = ++lastId;
  socket.send(JSON.stringify({ id, method, params }));
  for (;;) {
    const [data] = (await once(socket, 'message')) as [Buffer];
    const message = JSON.parse(String(data)) as { id?: number; result?: unknown; error?: unknown };
    if (message.id !== id) continue;
    if (message.error !== undefined) throw new Error(`${method}: ${JSON.stringify(message.error)}`);
    return message.result;
  }
}
