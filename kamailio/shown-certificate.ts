// Looks at a Kamailio as a phone on TLS does: which certificate does it show?
import { X509Certificate } from 'node:crypto';
import { connect } from 'node:tls';
import { HoldfastError, messageOf } from '../core/errors.js';
import type { EdgeCertificate } from '../core/ports/edge.js';

const deadlineMs = 3_000;

export interface TlsPlace {
  readonly address: string;
  readonly port: number;
  /** Our own address. */
  readonly from: string;
}

/** Throws RPC_REFUSED where it shows another one, RPC_TIMEOUT where it shows none. */
export async function checkShown(instance: string, { certificate }: EdgeCertificate, place: TlsPlace): Promise<void> {
  const shown = await shownFingerprint(place).catch((error: unknown) => {
    throw new HoldfastError('RPC_TIMEOUT', `${instance} shows no certificate: ${messageOf(error)}`, { cause: error });
  });
  if (shown === new X509Certificate(certificate).fingerprint256) return;
  throw new HoldfastError('RPC_REFUSED', `${instance} still shows another certificate`, {
    remedy: 'its log says why (holdfast logs); what is shown works',
  });
}

function shownFingerprint({ address, port, from }: TlsPlace): Promise<string> {
  return new Promise((resolve, reject) => {
    // Whom it is signed by is the phones' to judge.
    const options = { host: address, port, localAddress: from, rejectUnauthorized: false };
    const socket = connect(options, () => {
      resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? '');
      socket.destroy();
    });
    socket.setTimeout(deadlineMs, () => socket.destroy(new Error('no answer')));
    socket.on('error', reject);
  });
}
