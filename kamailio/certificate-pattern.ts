// What a gateway's certificate must have in it to be of this name: Kamailio's tls module sees who signed it, and asks for no name.
import { isIPv4 } from 'node:net';

/** subjectAltName (RFC 5280 section 4.2.1.6): its OID, perhaps `critical`, the octet string and the sequence in it. */
const extension = '0603551d11(0101ff)?04([0-7].|81..|82....)30([0-7].|81..|82....)';
const [uri, dnsName, ipAddress] = ['86', '82', '87'];

/**
 * A POSIX expression for the certificate in hexadecimal DER that has this name, or a wildcard for its first label, as a DNS name, or
 * as the SIP URI of RFC 5922 section 7.1; of an address, that address. A tag of these and a length are no characters of names: what is found
 * between is a whole name.
 */
export function certificatePattern(name: string): string {
  if (isIPv4(name)) {
    const octets = name.split('.').map(octet => hex(Number(octet)));
    return `${extension}.*${ipAddress}04${octets.join('')}`;
  }
  const parent = name.replace(/^[^.]*/, '*');
  const names = [entry(dnsName, name), entry(uri, `sip:${name}`)];
  if (parent.includes('.', 2)) names.push(entry(dnsName, parent));
  return `${extension}.*(${names.join('|')})`;
}

function entry(tag: string, text: string): string {
  return `${tag}${text.length < 128 ? '' : '81'}${hex(text.length)}${Array.from(text.toLowerCase(), character => either(character)).join('')}`;
}

/** DNS names are the same in capitals (RFC 4343). */
function either(character: string): string {
  const code = hex(character.charCodeAt(0));
  if (!/[a-z]/.test(character)) return code;
  return `(${code}|${hex(character.toUpperCase().charCodeAt(0))})`;
}

function hex(octet: number): string {
  return octet.toString(16).padStart(2, '0');
}
