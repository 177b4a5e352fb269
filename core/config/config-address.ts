// Addresses as a config may write them: `.N` is host N of the farm's subnet; ranges and CIDR stand for many.
import { subnetAddress } from '../farm/farm-plan.js';

/** Outcome of reading an address: what it stands for, or what is wrong with it. */
export type AddressReading<T> = { readonly value: T } | { readonly wrong: string };

/** `.208` → `127.40.0.208`; a full IPv4 address stays. */
export function readAddress(text: string, subnet: string): AddressReading<string> {
  const short = /^\.(\d{1,3})$/.exec(text);
  const full = short ? subnetAddress(subnet, Number(short[1])) : text;
  return ipv4ToNumber(full) === undefined ? { wrong: `"${text}" is not an IPv4 address` } : { value: full };
}

/** `.208:5060`, `192.0.2.1`, `sip.example.com:5070` → with the farm's subnet and a port (5060 where none is written). */
export function readHostPort(text: string, subnet: string, defaultPort = 5060): AddressReading<string> {
  const match = /^([^:]+)(?::(\d{1,5}))?$/.exec(text);
  const [host, port] = [match?.[1] ?? '', Number(match?.[2] ?? defaultPort)];
  if (!match || port < 1 || port > 65535) return { wrong: `"${text}" is not an address:port` };
  // RFC 1123 §2.1: a host name whose last label is not a number.
  if (/^(?=.{1,253}$)([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z]([a-z0-9-]*[a-z0-9])?$/i.test(host)) {
    return { value: `${host}:${port}` };
  }
  const address = readAddress(host, subnet);
  return 'wrong' in address ? address : { value: `${address.value}:${port}` };
}

/** Loopback, private use (RFC 1918), shared (RFC 6598) and link-local (RFC 3927) addresses. */
const privateNetworks = [
  '127.0.0.0/8',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  '169.254.0.0/16',
];

/** True for an IPv4 address that nobody on the Internet can reach. */
export function isPrivateAddress(address: string): boolean {
  const number = ipv4ToNumber(address);
  return privateNetworks.some(network => {
    const [base = '', bits] = network.split('/');
    const size = 2 ** (32 - Number(bits));
    const low = ipv4ToNumber(base) ?? 0;
    return number !== undefined && number >= low && number < low + size;
  });
}

/** No more addresses than this may one entry stand for: each becomes a row at the edge. */
const mostAddresses = 4096;

/** `.200`, `.200-.207`, `192.0.2.1-192.0.2.9`, `192.0.2.0/28` → every address meant. */
export function readAddresses(text: string, subnet: string): AddressReading<readonly string[]> {
  const cidr = /^([\d.]+)\/(\d{1,2})$/.exec(text);
  if (cidr) return readCidr(text, cidr[1] ?? '', Number(cidr[2]), subnet);
  const [from = '', to = from, ...more] = text.split('-').map(part => part.trim());
  const [first, last] = [readAddress(from, subnet), readAddress(to, subnet)];
  if ('wrong' in first) return first;
  if ('wrong' in last) return last;
  const [low, high] = [ipv4ToNumber(first.value) ?? 0, ipv4ToNumber(last.value) ?? 0];
  if (more.length > 0 || high < low) return { wrong: `"${text}" is not a range of addresses, low-high` };
  return addressesBetween(text, low, high);
}

function readCidr(text: string, base: string, bits: number, subnet: string): AddressReading<readonly string[]> {
  const address = readAddress(base, subnet);
  if ('wrong' in address || bits > 32) return { wrong: `"${text}" is not a network, address/bits` };
  const size = 2 ** (32 - bits);
  const low = Math.floor((ipv4ToNumber(address.value) ?? 0) / size) * size;
  return addressesBetween(text, low, low + size - 1);
}

function addressesBetween(text: string, low: number, high: number): AddressReading<readonly string[]> {
  const count = high - low + 1;
  if (count > mostAddresses)
    return { wrong: `"${text}" stands for ${count} addresses: at most ${mostAddresses} (/20)` };
  return { value: Array.from({ length: count }, (_, i) => numberToIpv4(low + i)) };
}

function ipv4ToNumber(text: string): number | undefined {
  const parts = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/
    .exec(text)
    ?.slice(1)
    .map(Number);
  if (parts?.every(part => part <= 255) !== true) return undefined;
  return parts.reduce((number, part) => number * 256 + part, 0);
}

function numberToIpv4(number: number): string {
  return [24, 16, 8, 0].map(shift => Math.floor(number / 2 ** shift) % 256).join('.');
}
