// A gateway as a config may write it: `host`, `host:port`, `host;transport=tls`, `sip:host`, `sips:host`.
import { defaultPorts, withTransport, type Transport } from '../trunks/gateway-transport.js';
import { readHostPort, type AddressReading } from './config-address.js';

export interface GatewayAddress {
  /** As it stands in a SIP URI. */
  readonly address: string;
  readonly transport: Transport;
  readonly host: string;
  /** A name without a port: its SRV records are looked for (RFC 3263 §4.2). */
  readonly isDomain: boolean;
}

/** `usual` is the transport where nothing is written; `sips:` is TLS (RFC 5630 §3.1.3). */
export function readGatewayAddress(text: string, subnet: string, usual: Transport): AddressReading<GatewayAddress> {
  const match = /^(?:(sips?):)?([^;@]+)((?:;[^;]*)*)$/i.exec(text.trim());
  if (!match) return { wrong: `"${text}" is not a gateway: host, host:port, or sip:host;transport=tls` };
  const [, scheme = '', hostPort = '', parameters = ''] = match;
  const written = parameters.split(';').slice(1);
  const other = written.find(one => !/^transport=/i.test(one));
  if (other !== undefined) return { wrong: `"${text}": of parameters only transport is known, not "${other}"` };
  const named = written[0]?.slice('transport='.length).toLowerCase();
  if (written.length > 1 || (named !== undefined && !isTransport(named)))
    return { wrong: `"${text}": its transport is udp, tcp or tls` };
  const isSecure = scheme.toLowerCase() === 'sips';
  if (isSecure && named !== undefined && named !== 'tls' && named !== 'tcp')
    return { wrong: `"${text}": sips is TLS over TCP, never UDP` };
  const transport = isSecure ? 'tls' : (named ?? usual);
  const reading = readHostPort(hostPort, subnet, defaultPorts[transport]);
  if ('wrong' in reading) return reading;
  const host = reading.value.replace(/:\d+$/, '');
  const isDomain = !/:|^[\d.]+$/.test(hostPort);
  return { value: { address: withTransport(reading.value, transport), transport, host, isDomain } };
}

function isTransport(text: string): text is Transport {
  return text === 'udp' || text === 'tcp' || text === 'tls';
}
