// The .deb on a bare Debian 12 made by debootstrap, under its systemd: installed without a network, started, killed, hung and upgraded under
// calls, stopped, purged.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { CallStatus, FarmStatus } from '../../core/control/views.js';
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

  test('is started by its unit when its farm is ready, and carries a call', async () => {
    assert.equal(await machine.output('systemd-analyze verify --man=no holdfast.service 2>&1'), '');
    await machine.output('systemctl start holdfast', 150_000);
    assert.equal(await unit('ActiveState'), 'active');
    const isTold = async (): Promise<boolean> => (await unit('StatusText')).startsWith('ready: 11 of 11 servers up');
    await waitFor('the status to be told', isTold, { everyMs: 200 });
    assert.match(await machine.output('holdfast demo call --calls 1'), /1 of 1 calls ok/);
    assert.deepEqual((await machine.output('holdfast complete nodes')).split('\n').slice(0, 2), [
      'kamailio-1',
      'kamailio-2',
    ]);
  });

  const unit = async (property: string): Promise<string> =>
    (await machine.output(`systemctl show --value --property ${property} holdfast`)).trim();
  const confirmed = async (): Promise<string | undefined> => {
    const calls = JSON.parse(await machine.output('holdfast calls --json')) as CallStatus[];
    return calls.find(({ legs }) => legs.length === 2 && legs.every(({ state }) => state === 'confirmed'))?.id;
  };
  test('a call goes on while its daemon is killed, hangs, and is upgraded', { timeout: 180_000 }, async () => {
    const folder = '/run/systemd/system/holdfast.service.d';
    const patience = '[Service]\\nWatchdogSec=2s\\nTimeoutAbortSec=1s\\n';
    await machine.output(`mkdir -p ${folder} && printf '${patience}' > ${folder}/sooner.conf`);
    await machine.output('systemctl daemon-reload && systemctl restart holdfast', 150_000);
    const demo = machine.run('holdfast demo call --calls 1 --seconds 600', 160_000);
    const call = await waitFor('a call', confirmed, { deadlineMs: 30_000, everyMs: 200 });
    for (const command of [
      'systemctl kill --kill-whom=main --signal=KILL holdfast',
      'systemctl kill --kill-whom=main --signal=STOP holdfast',
      `dpkg --install ${file}`,
    ]) {
      const daemon = await unit('MainPID');
      await machine.output(command, 150_000);
      const isAnother = async (): Promise<boolean> =>
        (await unit('ActiveState')) === 'active' && !['0', daemon].includes(await unit('MainPID'));
      await waitFor(`another daemon after ${command}`, isAnother, { deadlineMs: 60_000, everyMs: 200 });
      await waitFor(`the call after ${command}`, async () => (await confirmed()) === call, { everyMs: 200 });
    }
    await machine.output(`holdfast call hangup ${call}`);
    assert.match((await demo).stdout, /1 of 1 calls ok/);
  });

  test('a config is read anew by systemctl reload, and one that is wrong is refused', async () => {
    const config = '/etc/holdfast/holdfast.yaml';
    await machine.output('systemctl reload holdfast');
    await machine.output(`cp ${config} /srv/ && echo 'nonsense: 1' >> ${config}`);
    assert.notEqual((await machine.run('systemctl reload holdfast')).code, 0);
    assert.equal(await unit('ActiveState'), 'active');
    await machine.output(`mv /srv/holdfast.yaml ${config} && systemctl reload holdfast`);
  });

  test('is left down by its unit without a process or a rule', async () => {
    await machine.output('systemctl stop holdfast', 100_000);
    assert.equal((await machine.run(`${servers}; nft list ruleset | grep holdfast`)).stdout, '');
    assert.equal(await unit('Result'), 'success');
  });

  test('is purged without a trace, and ends a farm that is up', async () => {
    await machine.output('systemctl start holdfast', 150_000);
    const { ready } = JSON.parse(await machine.output('holdfast status --json')) as FarmStatus;
    assert.equal(ready, true);
    await machine.output('dpkg --purge holdfast', 120_000);
    assert.equal((await machine.run(`${servers}; nft list ruleset | grep holdfast; ls -d /run/holdfast`)).stdout, '');
    assert.equal((await machine.run(ours)).stdout, '');
  });
});
