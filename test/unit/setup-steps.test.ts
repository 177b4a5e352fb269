// The set-up's steps one by one, as another machine would meet them: what a failure says, and what makes a new Asterisk build.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { tlsAfterFork } from '../../kamailio/tls-after-fork.js';
import { projectRoot } from '../harness/project-root.js';

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-setup-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a line of bash in which all functions of the set-up are defined; the cache is a folder of this test. */
function bash(line: string, root = projectRoot): { status: number | null; out: string; err: string } {
  const script = `set -euo pipefail; source '${root}/scripts/setup.sh'; step_total=7; ${line}`;
  const env = { ...process.env, HOLDFAST_CACHE: join(folder, 'cache'), HOLDFAST_LOG: join(folder, 'setup.log') };
  const { status, stdout, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8', env });
  return { status, out: stdout.trim(), err: stderr };
}

const debian12 = (): string => {
  writeFileSync(join(folder, 'debian'), 'ID=debian\nVERSION_ID="12"\n');
  return join(folder, 'debian');
};

describe('the first step of the set-up', () => {
  it('says how to become root', () => {
    const { status, err } = bash(`system_step '${debian12()}' 1000`);
    assert.equal(status, 1);
    assert.match(err, /step 1 of 7, this machine/);
    assert.match(err, /needs root/);
    assert.match(err, /What to do: sudo env "PATH=\$PATH" npm start/);
  });

  it('refuses another system by its name, unless told to try', () => {
    const path = join(folder, 'ubuntu');
    writeFileSync(path, 'ID=ubuntu\nVERSION_ID="24.04"\n');
    const { status, err } = bash(`system_step '${path}' 0`);
    assert.equal(status, 1);
    assert.match(err, /this is ubuntu 24\.04, and only Debian 12 is known to work/);
    assert.equal(bash(`HOLDFAST_ANY_SYSTEM=yes; system_step '${path}' 0`).status, 0);
  });

  it('names the version of a Node.js that is too old', () => {
    assert.match(bash('node_version v18.19.0').err, /Node\.js is version 18\.19\.0/);
    assert.match(bash("node_version ''").err, /no `node` in the PATH/);
    assert.equal(bash('node_version v22.1.0').status, 0);
  });
});

describe('a step that fails', () => {
  const failed = (log: string): string => {
    writeFileSync(join(folder, 'setup.log'), `### earlier\nCould not resolve\n### now\n${log}\n`);
    return bash('reason_in_log; remedy_in_log').out;
  };

  it('tells a full disk, a missing network and a busy package manager apart, by the last command only', () => {
    assert.match(failed('cp: error writing: No space left on device'), /disk is full/);
    assert.match(failed("E: Failed to fetch http://x Temporary failure resolving 'x'"), /could not be reached/);
    assert.match(failed('E: Could not get lock /var/lib/dpkg/lock-frontend'), /another package manager/);
    assert.match(failed('something else'), /see the end of the log/);
  });

  it('names the package that Debian no longer has', () => {
    writeFileSync(join(folder, 'setup.log'), '### apt-get\nE: Unable to locate package left-pad\n');
    assert.match(bash('packages_failed').err, /do not have: left-pad/);
  });

  it('says how much room is missing', () => {
    assert.match(
      bash(`need_space '${folder}' 999999999 'Building Asterisk'`).err,
      /Building Asterisk needs 999999999 MB/,
    );
  });

  it('shows the end of the log', () => {
    writeFileSync(join(folder, 'setup.log'), 'first\nlast words\n');
    assert.match(bash(`step here; fail why what "$HOLDFAST_LOG"`).err, /\| last words/);
  });
});

describe('the build of Asterisk', () => {
  it('has a key that follows the patches and the build functions, not the comments', () => {
    const root = join(folder, 'checkout');
    for (const name of ['scripts', 'patches']) cpSync(join(projectRoot, name), join(root, name), { recursive: true });
    const key = (): string => bash('asterisk_key', root).out;
    const first = key();
    assert.match(first, /^22\.\d+\.\d+-[0-9a-f]{10}$/);
    appendFileSync(join(root, 'scripts/setup-asterisk.sh'), '\n# a comment\n');
    appendFileSync(join(root, 'scripts/lib/asterisk-modules.txt'), '\n# a comment\n');
    assert.equal(key(), first);
    const patch = join(root, 'patches', bash('patch_series | head -n 1', root).out);
    writeFileSync(patch, `${readFileSync(patch, 'utf8')}\n`);
    assert.notEqual(key(), first);
  });

  it('takes a source only with the pinned checksum and all its files whole', () => {
    const cache = join(folder, 'cache/source');
    mkdirSync(cache, { recursive: true });
    const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
    const dsc = `Format: 3.0\nChecksums-Sha256:\n ${sha256('code')} 4 code.tar.xz\nFiles:\n 00 4 code.tar.xz\n`;
    writeFileSync(join(cache, 'asterisk_9-1.dsc'), dsc);
    writeFileSync(join(cache, 'code.tar.xz'), 'code');
    const complete = (pinned: string): number | null =>
      bash(`ASTERISK_VERSION=1:9-1 ASTERISK_DSC_SHA256=${pinned}; source_complete`).status;
    assert.equal(complete(sha256(dsc)), 0);
    assert.notEqual(complete(sha256('another')), 0);
    writeFileSync(join(cache, 'code.tar.xz'), 'c0de');
    assert.notEqual(complete(sha256(dsc)), 0);
  });
});

describe("Kamailio's library for TLS", () => {
  it('is compiled once for each content of its source, and found by the daemon; or what to do is said', () => {
    const root = join(folder, 'library');
    cpSync(join(projectRoot, 'scripts'), join(root, 'scripts'), { recursive: true });
    cpSync(join(projectRoot, 'kamailio/tls-after-fork.c'), join(root, 'kamailio/tls-after-fork.c'));
    const record = pathToFileURL(join(root, '.build/kamailio.json'));
    assert.throws(() => tlsAfterFork(record), { remedy: /bash scripts\/setup\.sh/ });
    assert.match(bash('kamailio_step', root).out, /compiling it/);
    const first = tlsAfterFork(record);
    assert.equal(bash('kamailio_step', root).out, '');
    appendFileSync(join(root, 'kamailio/tls-after-fork.c'), '// changed\n');
    assert.match(bash('kamailio_step', root).out, /compiling it/);
    assert.notEqual(tlsAfterFork(record), first);
    rmSync(tlsAfterFork(record));
    assert.throws(() => tlsAfterFork(record), /no such file.*tls-after-fork/);
    const another = join(root, 'another.so');
    writeFileSync(another, 'no library');
    writeFileSync(record, JSON.stringify({ tlsAfterFork: another }));
    assert.throws(() => tlsAfterFork(record), /another\.so.* cannot be preloaded/);
  });
});

describe('the compiling of the program', () => {
  it('is due after a change of a source, not after what the last build generated', () => {
    const root = join(folder, 'program');
    cpSync(join(projectRoot, 'scripts'), join(root, 'scripts'), { recursive: true });
    const sources = ['core', 'plugins', 'kamailio', 'asterisk', 'asterisk/generated', 'rtpengine', 'test'];
    for (const name of [...sources, '.build', 'dist/core/cli']) mkdirSync(join(root, name), { recursive: true });
    const write = (name: string, modified: number): void => {
      writeFileSync(join(root, name), '');
      utimesSync(join(root, name), modified, modified);
    };
    const stale = (): boolean => bash('build_stale', root).status === 0;
    const inputs = ['package.json', 'tsconfig.json', '.build/asterisk.json', 'scripts/generate-ari-types.mjs'];
    for (const name of [...inputs, 'core/a.ts', 'dist/core/cli/main.js']) write(name, 1000);
    assert.ok(stale(), 'never built');
    write('dist/.built', 2000);
    write('asterisk/generated/ari.ts', 3000);
    assert.ok(!stale());
    write('core/a.ts', 3000);
    assert.ok(stale());
  });
});

describe('the scripts', () => {
  it('are valid bash', () => {
    const files = [
      'setup.sh',
      'setup-asterisk.sh',
      'setup-kamailio.sh',
      'start.sh',
      'test.sh',
      'lib/say.sh',
      'lib/packages.sh',
    ];
    for (const name of files) execFileSync('bash', ['-n', join(projectRoot, 'scripts', name)]);
  });
});
