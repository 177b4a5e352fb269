// The URI that an Asterisk is told to dial: its headers part (RFC 3261 §19.1.1) becomes Route headers of the INVITE.
import { HoldfastError } from '../errors.js';

/** PJSIP_MAX_URL_SIZE of Asterisk's pjproject, of which `<`, `>` and the final NUL take three. */
const mostOctets = 512 - 3;

/**
 * pjproject takes headers of a dialled URI for headers of the INVITE (pjsip_dlg_create_uac2), and repeats the Routes among them in its CANCEL and in the
 * ACK to a refusal. Those that somebody else has put in a URI are left out: it is not theirs to say (§19.1.5).
 */
export function dialledUri(uri: string, path: readonly string[] = []): string {
  const at = uri.lastIndexOf('@');
  const bare = uri.slice(0, at + 1) + uri.slice(at + 1).replace(/\?.*$/s, '');
  const dialled = [bare, path.map(value => `Route=${escaped(value)}`).join('&')].filter(Boolean).join('?');
  if (Buffer.byteLength(dialled) <= mostOctets) return dialled;
  throw new HoldfastError('ARI_REFUSED', `no Asterisk dials a URI of ${Buffer.byteLength(dialled)} octets: ${bare}`, {
    remedy: 'the phone registered with a Contact or Path that is too long',
  });
}

function escaped(value: string): string {
  return encodeURIComponent(value).replace(/[!'()*]/g, one => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
}
