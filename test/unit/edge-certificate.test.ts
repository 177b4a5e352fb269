// Which certificates are taken, and what is said of those that are not.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { HoldfastConfig } from '../../core/config/holdfast-config.js';
import { loadConfig, type LoadOptions } from '../../core/config/load-config.js';
import { HoldfastError } from '../../core/errors.js';
import { keepAuthorities, keptAuthorities } from '../../core/farm/kept-authorities.js';
import { CertificateKeeper } from '../../core/farm/certificate-keeper.js';
import { certificateProblem, certificateWarning, ownCertificate } from '../../core/farm/edge-certificate.js';
import { silentLogger, type Logger } from '../../core/log.js';
import type { EdgeCertificate } from '../../core/ports/edge.js';

let folder = '';
let good: EdgeCertificate;
let other: EdgeCertificate;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-certificate-'));
  const names = { domain: 'holdfast.test', publicVip: '127.0.0.1' };
  good = await ownCertificate(join(folder, 'a'), names);
  other = await ownCertificate(join(folder, 'b'), names);
});
after(() => rm(folder, { recursive: true }));

describe('A certificate', () => {
  it('of our own is made once, and its key is closed to others', async () => {
    const again = await ownCertificate(join(folder, 'a'), { domain: 'x.test', publicVip: '127.0.0.2' });
    assert.deepEqual(again, good);
    assert.equal((await stat(join(folder, 'a', 'key.pem'))).mode & 0o777, 0o600);
  });

  it('is refused in words that say which file, and why', () => {
    assert.equal(certificateProblem(good), undefined);
    const problem = (change: Partial<EdgeCertificate>): string => {
      const found = certificateProblem({ ...good, ...change });
      return found ? `${found.of} ${found.message}` : '';
    };
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    const locked = privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' });
    assert.match(problem({ certificate: '' }), /^certificate has no certificate/);
    assert.match(
      problem({ certificate: good.certificate.replace(/\n.{10}/, '\nAAAAAAAAAA') }),
      /^certificate .*cannot be read/,
    );
    const cutOff = good.certificate.slice(0, 200);
    for (const certificate of [cutOff, `${good.certificate}${cutOff}`])
      assert.equal(problem({ certificate }), 'certificate breaks off in a certificate');
    assert.match(problem({ key: 'no key' }), /^key cannot be read/);
    assert.match(problem({ key: good.key.slice(0, 100) }), /^key cannot be read/);
    assert.match(problem({ key: String(locked) }), /^key is protected by a passphrase/);
    assert.match(problem({ key: other.key }), /^key is not the key of the certificate/);
    assert.match(problem({ certificate: other.certificate + good.certificate }), /^key is not the key/);
    assert.equal(problem({ certificate: good.certificate + other.certificate }), '');
  });

  it('is told of before it expires', () => {
    const now = Date.now();
    const days = (count: number): number => now + count * 86_400_000;
    assert.equal(certificateWarning(good, now), undefined);
    assert.match(certificateWarning(good, days(3640)) ?? '', /^expires on/);
    assert.match(certificateWarning(good, days(3660)) ?? '', /^expired on/);
    assert.match(certificateWarning(good, days(-2)) ?? '', /^is not valid before/);
  });
});

describe('A file of authorities', () => {
  const config = (options: Pick<LoadOptions, 'lastAuthorities'> = {}): HoldfastConfig =>
    loadConfig(join(folder, 'config.yaml'), {
      ...options,
      text: [
        'domain: holdfast.test',
        'edge: { tls: {} }',
        'trunks:',
        '  carrier: { gateways: ["sips:192.0.2.10"], tls: { authorities: ca.pem } }',
        'plugins: {}\n',
      ].join('\n'),
    });

  it('that is missing, no file, empty, garbage or cut off is refused, with its name, its place and what to do', async () => {
    const file = join(folder, 'ca.pem');
    const refused = (why: string): void =>
      assert.throws(
        () => config(),
        (error: unknown) => {
          assert.ok(HoldfastError.is(error, 'CONFIG_INVALID'));
          assert.match(
            error.message,
            new RegExp(
              `config\\.yaml:4:\\d+: trunks\\.carrier\\.tls\\.authorities: ca\\.pem ${why}.*\\((PEM is wanted|.*daemon may read)`,
            ),
          );
          return true;
        },
      );
    refused('cannot be read: ENOENT');
    await mkdir(file);
    refused('cannot be read: EISDIR');
    await rm(file, { recursive: true });
    const cutOff = other.certificate.slice(0, 200);
    for (const [text, why] of [
      ['', 'has no certificate in it'],
      ['\0\xff garbage', 'has no certificate in it'],
      [good.key, 'has no certificate in it'],
      [good.certificate.replace(/\n.{10}/, '\nAAAAAAAAAA'), 'has a certificate in it that cannot be read'],
      [`${good.certificate}${cutOff}`, 'breaks off in a certificate'],
    ] as const) {
      await writeFile(file, text);
      refused(why);
    }
    await writeFile(file, good.certificate + other.certificate);
    config();
  });

  it('that is broken when a daemon starts stands as it was when it was right, which is said; where it never was, there is no start', async () => {
    const [file, kept] = [join(folder, 'ca.pem'), join(folder, 'kept-authorities')];
    const start = (): HoldfastConfig => {
      const last = keptAuthorities(kept);
      return config({ lastAuthorities: one => last[one] });
    };
    await writeFile(file, 'garbage');
    assert.throws(start, /ca\.pem has no certificate in it/);
    await writeFile(file, good.certificate);
    assert.deepEqual(start().faults, []);
    await keepAuthorities(kept, start());
    for (const broken of ['garbage', '']) {
      await writeFile(file, broken);
      const { trunks, faults } = start();
      assert.equal(trunks[0]?.gateways[0]?.tls?.authorities, good.certificate);
      assert.match(faults.join(), /what it held when it was right is used: .*config\.yaml:4:\d+: .*ca\.pem has no/);
      await keepAuthorities(kept, start());
    }
    assert.throws(() => config(), /ca\.pem has no/, 'a reload is refused');
    await writeFile(file, other.certificate);
    await keepAuthorities(kept, start());
    assert.deepEqual(keptAuthorities(kept), { [file]: other.certificate });
  });
});

describe('The certificate in use', () => {
  it('is replaced by one that works, stays when the new one does not, and outlives the daemon', async () => {
    const files = { certificate: join(folder, 'now.pem'), key: join(folder, 'now-key.pem') };
    const put = async (pair: EdgeCertificate): Promise<void> => {
      await writeFile(files.certificate, pair.certificate);
      await writeFile(files.key, pair.key);
    };
    const config = loadConfig(join(folder, 'config.yaml'), {
      text: `domain: holdfast.test\nedge:\n  tls: { certificate: now.pem, key: now-key.pem }\nplugins: {}\n`,
    });
    const said: string[] = [];
    const log: Logger = { ...silentLogger, error: (_, message) => void said.push(message) };
    const shown: EdgeCertificate[] = [];
    const edge = { certify: async (pair: EdgeCertificate): Promise<void> => void shown.push(pair) };
    const keeper = (): CertificateKeeper =>
      new CertificateKeeper({ folder: join(folder, 'kept'), config: () => config, edge, log });

    await assert.rejects(
      async () => keeper().start(),
      (error: unknown) =>
        HoldfastError.is(error, 'CONFIG_INVALID') && /config\.yaml:3:\d+: edge\.tls\.certificate/.test(error.message),
    );
    await put(good);
    const first = keeper();
    await first.start();
    await put({ ...good, key: other.key });
    await first.look();
    await first.look();
    assert.deepEqual(first.current, good);
    assert.equal(said.length, 1);
    await rm(files.key);
    await first.look();
    assert.deepEqual(first.current, good);
    assert.match(
      said[1] ?? '',
      /the certificate that was in use stays: .*config\.yaml:3:\d+: edge\.tls\.key: cannot be read: ENOENT.*now-key\.pem.*daemon may read/,
    );
    assert.match(
      said[0] ?? '',
      /config\.yaml:3:\d+: edge\.tls\.key: .*now-key\.pem is not the key of the certificate \(/,
    );
    const bad = loadConfig(join(folder, 'config.yaml'), {
      text: `domain: holdfast.test\nedge:\n  tls: { certificate: none.pem, key: now-key.pem }\nplugins: {}\n`,
    });
    await assert.rejects(first.tryOut(bad), /edge\.tls\.certificate: cannot be read: ENOENT.*none\.pem/);
    await first.tryOut(config);
    assert.match((await first.look()) ?? '', /the certificate that was in use stays/);
    await put(other);
    assert.equal(await first.look(), undefined);
    await first.look();
    assert.deepEqual([first.current, shown], [other, [other]]);
    first.close();

    await put({ ...other, certificate: '' });
    const next = keeper();
    await next.start();
    assert.deepEqual(next.current, other);
    next.close();
    assert.equal((await stat(join(folder, 'kept/last-good.json'))).mode & 0o777, 0o600);
    assert.ok((await readFile(join(folder, 'kept/last-good.json'), 'utf8')).includes('PRIVATE KEY'));
  });
});
