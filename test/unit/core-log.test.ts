// The log and the guarded events.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { HoldfastError } from '../../core/errors.js';
import { Emitter } from '../../core/events/emitter.js';
import { createLogger, silentLogger, type RootLogger } from '../../core/log.js';

type Line = Record<string, unknown>;

function capture(level: 'debug' | 'info' | 'error' = 'info'): { log: RootLogger; lines: Line[] } {
  const lines: Line[] = [];
  const log = createLogger({ level, destination: { write: line => void lines.push(JSON.parse(line) as Line) } });
  return { log, lines };
}

describe('the log', () => {
  test('writes one JSON line with time, level as a word, and the fields of its child', () => {
    const { log, lines } = capture();
    log.child({ call: 'c1' }).child({ plugin: 'routing' }).info({ to: 'early' }, 'call is early');
    const { time, ...rest } = lines[0]!;
    assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.deepEqual(rest, { level: 'info', call: 'c1', plugin: 'routing', to: 'early', msg: 'call is early' });
  });

  test('redacts secrets wherever they stand', () => {
    const { log, lines } = capture();
    log.info({ secret: 's3', user: { password: 's3' }, a: { b: { ha1: 's3' } } }, 'x');
    assert.doesNotMatch(JSON.stringify(lines), /s3/);
  });

  test('tells an error with code, details and remedy', () => {
    const { log, lines } = capture();
    const error = new HoldfastError('STORE_FAILED', 'broken', { details: { path: '/x' }, remedy: 'mend it' });
    log.error({ error }, 'failed');
    const { stack, ...told } = lines[0]!.error as Line;
    assert.ok(stack);
    assert.deepEqual(told, {
      ...{ type: 'HoldfastError', code: 'STORE_FAILED', message: 'broken', remedy: 'mend it', details: { path: '/x' } },
    });
  });

  test('takes a new level for children that are there already', () => {
    const { log, lines } = capture();
    const child = log.child({ call: 'c1' });
    child.debug({}, 'unheard');
    log.setLevel('debug');
    child.debug({}, 'heard');
    log.setLevel('error');
    child.warn({}, 'unheard');
    assert.deepEqual(
      lines.map(({ msg }) => msg),
      ['heard'],
    );
  });

  test('goes on in a new file after the old one was rotated away', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-log-'));
    const file = join(folder, 'sub', 'holdfast.log');
    const log = createLogger({ level: 'info', file });
    log.info({}, 'first');
    await rename(file, `${file}.1`);
    log.reopen();
    // The file is opened on the event loop.
    for (let i = 0; i < 200 && (await readFile(file, 'utf8').catch(() => '')) === ''; i++) {
      log.info({}, 'second');
      await new Promise(resolve => setTimeout(resolve, 5));
    }
    log.flush();
    assert.match(await readFile(`${file}.1`, 'utf8'), /first/);
    assert.match(await readFile(file, 'utf8'), /second/);
    await rm(folder, { recursive: true });
  });

  test('go on in the old file where the new one cannot be opened, and a full disk ends nothing', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-log-'));
    const file = join(folder, 'daemon.log');
    const log = createLogger({ level: 'info', file });
    log.info({}, 'first');
    log.flush();
    await rename(file, `${file}.1`);
    await mkdir(file);
    assert.throws(() => log.reopen(), /EISDIR.*daemon\.log/);
    log.info({}, 'second');
    log.flush();
    assert.match(await readFile(`${file}.1`, 'utf8'), /first[^]*second/);
    await rm(file, { recursive: true });
    log.reopen();
    log.info({}, 'third');
    log.flush();
    assert.match(await readFile(file, 'utf8'), /third/);
    const full = createLogger({ level: 'info', file: '/dev/full' });
    full.info({}, 'lost');
    full.flush();
    await new Promise(resolve => setImmediate(resolve));
    await rm(folder, { recursive: true });
  });
});

describe('events', () => {
  interface Events {
    readonly up: [node: string];
  }

  test('reach every listener in order, until it is disposed', () => {
    const emitter = new Emitter<Events>(silentLogger);
    const heard: string[] = [];
    const dispose = emitter.on('up', 'a', node => heard.push(`a ${node}`));
    emitter.on('up', 'b', node => heard.push(`b ${node}`));
    emitter.emit('up', '1');
    dispose();
    dispose();
    emitter.emit('up', '2');
    assert.deepEqual(heard, ['a 1', 'b 1', 'b 2']);
  });

  test('survive listeners that throw or reject, whose owners are named in the log', async () => {
    const { log, lines } = capture();
    const emitter = new Emitter<Events>(log);
    let heard = 0;
    emitter.on('up', 'thrower', () => {
      throw new Error('x');
    });
    emitter.on('up', 'rejecter', () => Promise.reject(new Error('y')));
    emitter.on('up', 'good', () => heard++);
    emitter.emit('up', '1');
    await new Promise(resolve => setImmediate(resolve));
    assert.equal(heard, 1);
    assert.deepEqual(
      lines.map(({ owner }) => owner),
      ['thrower', 'rejecter'],
    );
  });
});
