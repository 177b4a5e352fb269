// The .deb on a bare Debian 12 made by debootstrap: installed without a network, a farm with a call on it, upgraded under a call, purged.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { CallStatus, FarmStatus } from '../../core/control/operations.js';
import { DebianMachine } from '../harness/debian-machine.js';
import { projectRoot } from '../harness/project-root.js';
import { waitFor } from '../harness/wait-for.js';

/** Names of everything that was on the machine, and is after it, that has to do with us. */
const ours = `find / -xdev -iname '*holdfast*' -not -path '/srv/*' -not -path '/proc/*' -not -path '/var/cache/apt/*' -not -path '/var/log/*'; getent passwd | grep holdfast`;
const servers = 'pgrep -l "kamailio|rtpengine|asterisk|node"';

describe('the Debian package', () => {
  let folder: string;
  let file: string;
  let machine: DebianMachine;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'holdfast-deb-'));
    const built = execFileSync('npm', ['run', '--silent', 'package', '--', folder], {
      cwd: projectRoot,
      encoding: 'utf8',
    });
    const path = built.trim().split('\n').at(-1) ?? '';
    machine = await DebianMachine.make();
    cpSync(path, join(machine.root, 'srv', basename(path)));
    file = `/srv/${basename(path)}`;
    const fetched = await machine.prepare(
      `apt-get update && apt-get install --yes --no-install-recommends --download-only ${file}`,
    );
    assert.equal(fetched.code, 0, `${fetched.stdout}\n${fetched.stderr}`);
    await machine.start();
  });
  after(async () => {
    await machine.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  test('is installed with packages of Debian only, and starts no server', async () => {
    await machine.output(`apt-get install --yes --no-install-recommends ${file}`, 300_000);
    assert.match(await machine.output('holdfast --version'), /^holdfast \d+\.\d+\.\d+\n$/);
    assert.match(await machine.output('holdfast check'), /\/etc\/holdfast\/holdfast\.yaml/);
    assert.equal((await machine.run(servers)).stdout, '');
    assert.equal(
      (await machine.run('ls /etc/systemd/system/*.wants | grep -E "kamailio|rtpengine|holdfast"')).stdout,
      '',
    );
    assert.equal(await machine.output('dpkg --audit; dpkg --verify holdfast'), '');
  });

  test('has a unit, a manual page and completions that their readers find', async () => {
    assert.match(await machine.output('cat /lib/systemd/system/holdfast.service'), /^Type=notify$/m);
    const page = readFileSync(join(machine.root, 'usr/share/man/man8/holdfast.8.gz'));
    const lint = execFileSync('mandoc', ['-T', 'lint', '-W', 'warning'], {
      input: execFileSync('gunzip', { input: page }),
    });
    assert.equal(lint.toString(), '');
    await machine.output(
      'bash -n /usr/share/bash-completion/completions/holdfast; test -s /usr/share/zsh/vendor-completions/_holdfast',
    );
  });

  test('brings a farm up that carries a call', async () => {
    await machine.output('holdfast up --detach', 150_000);
    assert.match(await machine.output('holdfast demo call --calls 1'), /1 of 1 calls ok/);
    assert.deepEqual((await machine.output('holdfast complete nodes')).split('\n').slice(0, 2), [
      'kamailio-1',
      'kamailio-2',
    ]);
  });

  const confirmed = async (): Promise<string | undefined> => {
    const calls = JSON.parse(await machine.output('holdfast calls --json')) as CallStatus[];
    return calls.find(({ legs }) => legs.length === 2 && legs.every(({ state }) => state === 'confirmed'))?.id;
  };

  test('is installed once more under a call, which goes on', async () => {
    const demo = machine.run('holdfast demo call --calls 1 --seconds 12', 120_000);
    const call = await waitFor('a call', confirmed, { deadlineMs: 30_000, everyMs: 200 });
    await machine.output(`dpkg --install ${file}`, 150_000);
    assert.equal(await confirmed(), call);
    assert.match((await demo).stdout, /1 of 1 calls ok/);
  });

  test('is left down without a process or a rule', async () => {
    assert.match(await machine.output('holdfast down', 60_000), /is down: .*call-1/);
    assert.equal((await machine.run(`${servers}; nft list ruleset | grep holdfast`)).stdout, '');
  });

  test('is purged without a trace, and ends a farm that is up', async () => {
    await machine.output('holdfast up --detach', 150_000);
    const { ready } = JSON.parse(await machine.output('holdfast status --json')) as FarmStatus;
    assert.equal(ready, true);
    await machine.output('dpkg --purge holdfast', 120_000);
    assert.equal((await machine.run(`${servers}; nft list ruleset | grep holdfast; ls -d /run/holdfast`)).stdout, '');
    assert.equal((await machine.run(ours)).stdout, '');
  });
});
