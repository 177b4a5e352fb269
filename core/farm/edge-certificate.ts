// The certificate that phones on TLS are shown: read and checked, or the farm's own.
import { execFile } from 'node:child_process';
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, rename } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { HoldfastError, messageOf } from '../errors.js';
import type { EdgeCertificate } from '../ports/edge.js';

/** What is wrong with a pair of PEM texts, in words, and with which of the two. */
export interface CertificateProblem {
  readonly of: 'certificate' | 'key';
  readonly message: string;
  readonly hint: string;
}

const beginning = '-----BEGIN CERTIFICATE-----';
const blocks = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Undefined where a TLS server can use the pair. Pure. */
export function certificateProblem({ certificate, key }: EdgeCertificate): CertificateProblem | undefined {
  const chain = readChain(certificate);
  if (typeof chain === 'string') {
    const hint = 'PEM is wanted: the certificate, and after it those that signed it (often called fullchain.pem)';
    return { of: 'certificate', message: chain, hint };
  }
  const secret = readKey(key);
  if (typeof secret === 'string') {
    return { of: 'key', message: secret, hint: 'PEM without a passphrase is wanted, in a file of mode 0600' };
  }
  if (chain[0]?.checkPrivateKey(secret) === true) return undefined;
  return {
    of: 'key',
    message: 'is not the key of the certificate',
    hint: 'name the two files of one pair; the certificate itself must stand first in its file',
  };
}

/** Works, but not for long or not any more; undefined where there is nothing to say. Pure. */
export function certificateWarning({ certificate }: EdgeCertificate, nowMs: number): string | undefined {
  const chain = readChain(certificate);
  const own = typeof chain === 'string' ? undefined : chain[0];
  if (!own) return undefined;
  const days = Math.floor((Date.parse(own.validTo) - nowMs) / 86_400_000);
  if (days < 0) return `expired on ${own.validTo}: phones refuse it`;
  if (Date.parse(own.validFrom) > nowMs) return `is not valid before ${own.validFrom}: phones refuse it`;
  return days < 14 ? `expires on ${own.validTo}` : undefined;
}

/** What is wrong with a file of authorities, in words. Pure. */
export function authoritiesProblem(text: string): string | undefined {
  const found = readChain(text);
  return typeof found === 'string' ? found : undefined;
}

function readChain(text: string): readonly X509Certificate[] | string {
  const found = text.match(blocks);
  // OpenSSL, and so a Kamailio, refuses the whole file (crypto/pem/pem_lib.c).
  if (text.split(beginning).length - 1 > (found?.length ?? 0)) return 'breaks off in a certificate';
  if (!found) return 'has no certificate in it';
  try {
    return found.map(block => new X509Certificate(block));
  } catch (error) {
    return `has a certificate in it that cannot be read: ${messageOf(error)}`;
  }
}

function readKey(text: string): KeyObject | string {
  if (/ENCRYPTED/.test(text)) return 'is protected by a passphrase';
  try {
    return createPrivateKey(text);
  } catch (error) {
    return `cannot be read as a private key: ${messageOf(error)}`;
  }
}

const run = promisify(execFile);

/**
 * The certificate of a farm whose config names none: made once, signed by itself, for the domain and the public address. Phones have
 * to be told to trust it. Throws HOST_FAILED.
 */
export async function ownCertificate(
  folder: string,
  { domain, publicVip }: { readonly domain: string; readonly publicVip: string },
): Promise<EdgeCertificate> {
  const [certificate, key] = [join(folder, 'certificate.pem'), join(folder, 'key.pem')];
  if (!existsSync(certificate)) await makeOwn(folder, certificate, key, domain, publicVip);
  return { certificate: await readFile(certificate, 'utf8'), key: await readFile(key, 'utf8') };
}

async function makeOwn(
  folder: string,
  certificate: string,
  key: string,
  domain: string,
  publicVip: string,
): Promise<void> {
  const names = [isIPv4(domain) ? `IP:${domain}` : `DNS:${domain}`, `IP:${publicVip}`].join(',');
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await run(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '3650'],
        ...['-subj', `/CN=${domain}`, '-addext', `subjectAltName=${names}`],
        ...['-keyout', key, '-out', `${certificate}.new`],
      ],
      { timeout: 30_000 },
    );
    await chmod(key, 0o600);
    await rename(`${certificate}.new`, certificate);
  } catch (error) {
    throw new HoldfastError('HOST_FAILED', `cannot make the farm's own certificate in ${folder}: ${messageOf(error)}`, {
      cause: error,
      remedy: 'install openssl (npm start does), or name a certificate and its key in edge.tls',
    });
  }
}
