// One process looked at many times: alive, stopped, a zombie that nobody reaps, reaped, or another one of the same pid.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterEach, describe, it } from 'node:test';
import { ProcessEye, readProcess } from '../../core/host/process-table.js';
import type { NodeProcess } from '../../core/ports/node-host.js';
import { waitFor } from '../harness/wait-for.js';

const children: ChildProcess[] = [];

function start(command: string, ...args: string[]): ChildProcess {
  const child = spawn(command, args, { stdio: 'ignore' });
  children.push(child);
  return child;
}

function processOf(pid: number | undefined): NodeProcess {
  const entry = readProcess(pid ?? 0);
  assert.ok(entry);
  return entry;
}

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

describe('A process is seen', () => {
  it('while it runs or is stopped, and no more when it has ended', async () => {
    const child = start('sleep', '60');
    const eye = new ProcessEye(processOf(child.pid));
    assert.equal(eye.sees(), true);
    child.kill('SIGSTOP');
    assert.equal(eye.sees(), true);
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
    assert.equal(eye.sees(), false);
    assert.equal(eye.sees(), false);
  });

  it('no more when it is a zombie', async () => {
    // The shell becomes a sleep that never waits for its child.
    const parent = start('sh', '-c', 'sleep 60 & exec sleep 60');
    const children = `/proc/${parent.pid ?? 0}/task/${parent.pid ?? 0}/children`;
    const pid = await waitFor('the child', () => {
      const [first] = readFileSync(children, 'latin1').trim().split(' ').map(Number);
      return readProcess(parent.pid ?? 0) && first !== undefined && first > 0 ? first : undefined;
    });
    const eye = new ProcessEye(processOf(pid));
    assert.equal(eye.sees(), true);
    process.kill(pid, 'SIGKILL');
    await waitFor('the zombie', () => readProcess(pid)?.state === 'Z');
    assert.equal(eye.sees(), false);
  });

  it('not where its pid is another one’s by now', () => {
    const own = processOf(process.pid);
    assert.equal(new ProcessEye(own).sees(), true);
    assert.equal(new ProcessEye({ ...own, startTicks: own.startTicks - 1 }).sees(), false);
  });
});
