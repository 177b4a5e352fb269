// The daemon's process, without a farm: what it bears.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

test('a promise that a plugin forgot ends no daemon: it is in the log, with its place', async () => {
  const stateFolder = await mkdtemp(join(tmpdir(), 'holdfast-process-'));
  const module = JSON.stringify(new URL('../../core/cli/daemon-process.js', import.meta.url).href);
  const script = `
    import { runDaemon } from ${module};
    const stopped = new Promise(resolve => setTimeout(resolve, 50));
    const startDaemon = async () => {
      setTimeout(() => void Promise.reject(new Error('oops')), 1);
      return { stopped, reload: async () => {}, close: async () => {} };
    };
    process.exitCode = await runDaemon(async () => ({ startDaemon }), { stateFolder: ${JSON.stringify(stateFolder)} });`;
  try {
    const { stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script]);
    const line = JSON.parse(stderr) as { readonly level: string; readonly msg: string; readonly stack: string };
    assert.deepEqual([line.level, line.msg], ['error', 'failed, and nobody waited for it: oops']);
    assert.match(line.stack, /Error: oops\n {4}at /);
  } finally {
    await rm(stateFolder, { recursive: true });
  }
});

test('a hang-up signal that comes during the start is a reload after it', async () => {
  const stateFolder = await mkdtemp(join(tmpdir(), 'holdfast-process-'));
  const module = JSON.stringify(new URL('../../core/cli/daemon-process.js', import.meta.url).href);
  const script = `
    import { runDaemon } from ${module};
    const startDaemon = async () => {
      const heard = new Promise(resolve => process.once('SIGHUP', resolve));
      const awake = setInterval(() => {}, 1000);
      process.kill(process.pid, 'SIGHUP');
      await heard;
      clearInterval(awake);
      let stop;
      const stopped = new Promise(resolve => (stop = resolve));
      return { stopped, reload: async () => { console.log('reloaded'); stop(); }, close: async () => {} };
    };
    await runDaemon(async () => ({ startDaemon }), { stateFolder: ${JSON.stringify(stateFolder)} });`;
  try {
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script]);
    assert.equal(stdout, 'reloaded\n');
  } finally {
    await rm(stateFolder, { recursive: true });
  }
});
