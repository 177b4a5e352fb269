// One real rtpengine for a test, started from the files that the farm would give it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FarmNode } from '../../core/farm/farm-plan.js';
import { NgClient } from '../../rtpengine/ng-client.js';
import { EngineRenderer } from '../../rtpengine/rtpengine-process.js';
import { waitFor } from './wait-for.js';

export interface RtpengineServer {
  /** SIGKILL. */
  stop(): Promise<void>;
}

/** Resolves when it answers ping. */
export async function startRtpengine(node: FarmNode): Promise<RtpengineServer> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-rtpengine-'));
  const { files, process: spec } = new EngineRenderer().setup(node, folder);
  for (const file of files) await writeFile(join(folder, file.path), file.content, { mode: file.mode });
  const child = spawn(spec.command, spec.args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
  const exit = once(child, 'exit');
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exit;
    await rm(folder, { recursive: true });
  };
  const client = new NgClient({ host: node.address, port: 2223 });
  try {
    const answers = async (): Promise<boolean> => client.ping().then(() => true);
    await waitFor('rtpengine to answer', answers, { describe: () => log });
  } catch (error) {
    await stop();
    throw error;
  } finally {
    client.close();
  }
  return { stop };
}
