// The .deb on a bare Debian 12 under its own systemd: installed without a network, run as a service, upgraded under calls, purged.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { CallStatus } from '../../core/control/operations.js';
import { DebianMachine } from '../harness/debian-machine.js';
import { projectRoot } from '../harness/project-root.js';
import { waitFor } from '../harness/wait-for.js';

/** Names of everything that was on the machine, and is after it, that has to do with us. */
const ours = `find / -xdev -iname '*holdfast*' -not -path '/root/*' -not -path '/proc/*' -not -path '/sys/*' -not -path '/var/log/*'; getent passwd | grep holdfast`;

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
    cpSync(path, join(machine.root, 'root', basename(path)));
    file = `/root/${basename(path)}`;
    const fetched = await machine.prepare(
      `apt-get update && apt-get install --yes --no-install-recommends --download-only ${file}`,
    );
    assert.equal(fetched.code, 0, `${fetched.stdout}\n${fetched.stderr}`);
    // A hanging daemon is known after three seconds instead of thirty.
    const dropIn = join(machine.root, 'etc/systemd/system/holdfast.service.d');
    mkdirSync(dropIn, { recursive: true });
    writeFileSync(join(dropIn, 'test.conf'), '[Service]\nWatchdogSec=3s\nTimeoutAbortSec=1s\n');
    await machine.boot();
  });
  after(async () => {
    await machine.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  const property = async (name: string): Promise<string> =>
    (await machine.output(`systemctl show --property=${name} --value holdfast`)).trim();
  const calls = async (): Promise<CallStatus[]> =>
    JSON.parse(await machine.output('holdfast calls --json')) as CallStatus[];
  const confirmed = async (): Promise<string | undefined> =>
    (await calls()).find(({ legs }) => legs.length === 2 && legs.every(({ state }) => state === 'confirmed'))?.id;
  const active = async (): Promise<void> => {
    const up = async (): Promise<boolean> => (await property('ActiveState')) === 'active';
    await waitFor('the service', up, { deadlineMs: 60_000, everyMs: 200, describe: journal });
  };
  const journal = async (): Promise<string> =>
    (await machine.run('journalctl --no-pager --lines=40 -u holdfast')).stdout;

  test('is installed with packages of Debian only, and starts no server', async () => {
    await machine.output(`apt-get install --yes --no-install-recommends ${file}`, 300_000);
    assert.match(await machine.output('holdfast --version'), /^holdfast \d+\.\d+\.\d+\n$/);
    assert.match(await machine.output('holdfast check'), /\/etc\/holdfast\/holdfast\.yaml/);
    assert.equal((await machine.run('pgrep -l "kamailio|rtpengine|asterisk|node"')).stdout, '');
    assert.equal(
      (await machine.run('systemctl is-enabled kamailio rtpengine-daemon holdfast')).stdout,
      'disabled\n'.repeat(3),
    );
    assert.equal(await machine.output('dpkg --audit; dpkg --verify holdfast'), '');
  });

  test('has a unit, a manual page and completions that their readers find', async () => {
    assert.equal((await machine.run('systemd-analyze verify --man=no holdfast.service')).stderr, '');
    const page = readFileSync(join(machine.root, 'usr/share/man/man8/holdfast.8.gz'));
    assert.equal(
      execFileSync('mandoc', ['-T', 'lint', '-W', 'warning'], {
        input: execFileSync('gunzip', { input: page }),
      }).toString(),
      '',
    );
    await machine.output(
      'bash -n /usr/share/bash-completion/completions/holdfast; test -s /usr/share/zsh/vendor-completions/_holdfast',
    );
  });

  test('is a service that says when its farm is ready, and that carries a call', async () => {
    await machine.output('systemctl enable --now holdfast', 150_000);
    assert.match(await property('StatusText'), /^ready/);
    assert.match(await machine.output('holdfast demo call --calls 1'), /1 of 1 calls ok/);
    assert.deepEqual((await machine.output('holdfast complete nodes')).split('\n').slice(0, 2), [
      'kamailio-1',
      'kamailio-2',
    ]);
    await waitFor('a beat', async () => /^ready: 11 of 11 servers up, 0 calls$/.test(await property('StatusText')), {
      deadlineMs: 20_000,
    });
  });

  const ways: readonly (readonly [string, string])[] = [
    ['is killed', 'kill -KILL $(systemctl show --property=MainPID --value holdfast)'],
    ['hangs', 'kill -STOP $(systemctl show --property=MainPID --value holdfast)'],
    ['is restarted', 'systemctl restart holdfast'],
    ['is upgraded', 'dpkg --install /root/holdfast_*.deb'],
  ];
  for (const [way, command] of ways) {
    test(`keeps its calls when the daemon ${way}`, async () => {
      const demo = machine.run('holdfast demo call --calls 1 --seconds 60', 120_000);
      const call = await waitFor('a call', confirmed, { deadlineMs: 30_000, everyMs: 200 });
      const before = await property('MainPID');
      await machine.output(command, 150_000);
      const renewed = async (): Promise<boolean> => !['0', before].includes(await property('MainPID'));
      await waitFor('a new daemon', renewed, { deadlineMs: 60_000, everyMs: 100, describe: journal });
      await active();
      await waitFor('the call', async () => (await confirmed()) === call, { deadlineMs: 20_000, describe: journal });
      await machine.output(`holdfast call hangup ${call}`);
      // The demo waits for its minute; it runs on the machine, so this ends no other one.
      await machine.run('pkill -KILL -f "demo call"');
      await demo;
    });
  }

  test('is left stopped by a config that is refused, with its servers running, and goes on when it is mended', async () => {
    await machine.output('cp -p /etc/holdfast/holdfast.yaml /root/kept; echo "farn:" >>/etc/holdfast/holdfast.yaml');
    assert.notEqual((await machine.run('systemctl restart holdfast')).code, 0);
    assert.equal(await property('ExecMainStatus'), '78');
    assert.match(await journal(), /holdfast\.yaml:\d+:1.*farn/);
    assert.equal((await machine.output('pgrep --count --exact asterisk')).trim(), '6');
    await machine.output('cp -p /root/kept /etc/holdfast/holdfast.yaml; systemctl start holdfast', 150_000);
    assert.match(await machine.output('holdfast demo call --calls 1'), /1 of 1 calls ok/);
  });

  test('leaves no process and no rule when it is stopped, and comes up by hand as well', async () => {
    await machine.output('systemctl stop holdfast', 120_000);
    assert.equal(
      (await machine.run('pgrep -l "kamailio|rtpengine|asterisk|node"; nft list ruleset | grep holdfast')).stdout,
      '',
    );
    await machine.output('holdfast up --detach', 150_000);
    assert.match(await machine.output('holdfast down'), /is down: .*call-1/);
  });

  test('is purged without a trace, and ends a farm that is up', async () => {
    await machine.output('systemctl start holdfast', 150_000);
    await machine.output('rm -r /etc/systemd/system/holdfast.service.d');
    await machine.output('dpkg --purge holdfast', 120_000);
    assert.equal(
      (
        await machine.run(
          'pgrep -l "kamailio|rtpengine|asterisk|node"; nft list ruleset | grep holdfast; ls -d /run/holdfast',
        )
      ).stdout,
      '',
    );
    const left = (await machine.output(`(${ours}) || true`))
      .split('\n')
      .filter(path => !path.startsWith('/var/cache/apt/'));
    assert.deepEqual(left, ['']);
  });
});
