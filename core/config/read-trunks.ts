// The trunks of a config file: who may call by them, which gateways they have, where we register.
import type { CallerRules } from '../calls/trunk-caller.js';
import type { NumberRules } from '../numbers/phone-number.js';
import type { GatewayConfig } from '../trunks/gateway-list.js';
import { readAddresses } from './config-address.js';
import type { ConfigPath } from './config-problem.js';
import { known, type ConfigReading } from './config-reading.js';
import type { ConfigFile } from './config-schema.js';
import type { RegisterConfig, TrunkConfig } from './holdfast-config.js';
import { readGateway, readGateways } from './read-gateways.js';
import { userPart } from './trunk-schema.js';

type TrunkFile = ConfigFile['trunks'][string];

export function readTrunks(reading: ConfigReading): readonly TrunkConfig[] {
  const owners = new Map<string, string>();
  const logins = new Map(Object.keys(reading.file.subscribers).map(user => [user, `subscriber ${user}`]));
  return Object.entries(reading.file.trunks).map(([name, trunk]) => {
    if (trunk.sources.length === 0 && trunk.gateways.length === 0 && !trunk.login && !trunk.register) {
      reading.problem(['trunks', name], 'has neither sources, gateways, login nor register: no call could use it');
    }
    const sources = readSources(reading, name, trunk.sources, owners);
    const gateways = readGateways(reading, name, trunk);
    const { credentials, login, identities, trusted, limits, caller } = trunk;
    const register = readRegister(reading, name, trunk, gateways);
    if (login) checkLogin(reading, name, login.username, logins);
    return {
      ...{ name, sources, gateways, identities, trusted, numbers: readNumbers(reading, name, trunk) },
      ...(login === undefined ? {} : { login }),
      ...(register === undefined ? {} : { register }),
      ...{ probeSeconds: trunk.probeSeconds ?? usualProbeSeconds(gateways), silentMs: trunk.silentSeconds * 1000 },
      ...(credentials === undefined ? {} : { credentials }),
      ...(limits === undefined ? {} : { limits: known(limits) }),
      ...(caller === undefined ? {} : { caller: readCaller(reading, name, known(caller)) }),
    };
  });
}

function readSources(
  reading: ConfigReading,
  trunk: string,
  sources: readonly string[],
  owners: Map<string, string>,
): readonly string[] {
  return sources.flatMap((text, i) => {
    const path = ['trunks', trunk, 'sources', i];
    const addresses = reading.read(path, text, readAddresses) ?? [];
    const other = addresses.map(address => owners.get(address)).find(owner => owner !== undefined);
    if (other !== undefined) reading.problem(path, `overlaps a source of trunk ${other}: a call must be of one trunk`);
    for (const address of addresses) owners.set(address, trunk);
    return addresses;
  });
}

function checkLogin(reading: ConfigReading, trunk: string, user: string, logins: Map<string, string>): void {
  const other = logins.get(user);
  const path = ['trunks', trunk, 'login', 'username'];
  if (other !== undefined) reading.problem(path, `is that of ${other} too: a call must be of one of them`);
  logins.set(user, `trunk ${trunk}`);
}

function readRegister(
  reading: ConfigReading,
  trunk: string,
  trunkFile: TrunkFile,
  gateways: readonly GatewayConfig[],
): RegisterConfig | undefined {
  const { register, credentials } = trunkFile;
  if (register === undefined) return undefined;
  const at = (key: string): ConfigPath => ['trunks', trunk, 'register', key];
  const { registrar, expiresSeconds, user = credentials?.username ?? '' } = register;
  const registrars =
    registrar === undefined ? gateways : readGateway(reading, trunk, trunkFile, at('registrar'), registrar);
  if (registrar === undefined && gateways.length === 0)
    reading.problem(['trunks', trunk, 'register'], 'there is nobody to register with', 'name a registrar, or gateways');
  if (user === '')
    reading.problem(['trunks', trunk, 'register'], 'says no user, and there are no credentials', 'name a user');
  else if (!userPart.test(user))
    reading.problem(
      ['trunks', trunk, 'register'],
      `"${user}" of the credentials is no user of a SIP address`,
      'name a user',
    );
  const host = registrars[0]?.address.replace(/:\d+(;.*)?$/, '') ?? '';
  return { registrars, user, expiresSeconds, domain: register.domain ?? host };
}

function readNumbers(reading: ConfigReading, trunk: string, { numbers }: TrunkFile): NumberRules {
  const { format = 'as-is', country = reading.file.numbers.country } = numbers ?? {};
  if (format === 'national' && country === undefined) {
    const hint = 'name its country here, or in numbers.country';
    reading.problem(['trunks', trunk, 'numbers', 'format'], 'is national, of no country', hint);
  }
  return { format, ...(country === undefined ? {} : { country }) };
}

function readCaller(reading: ConfigReading, trunk: string, caller: CallerRules): CallerRules {
  const wants = (['show', 'asserted'] as const).find(key => caller[key] === 'number');
  if (wants !== undefined && caller.number === undefined)
    reading.problem(['trunks', trunk, 'caller', wants], 'is number, and there is no number beside it');
  return caller;
}

/** One that is alone is tried in any case; a connection is kept, and known to work before a call needs it. */
function usualProbeSeconds(gateways: readonly GatewayConfig[]): number {
  return gateways.length > 1 || gateways.some(({ srv, id }) => srv !== undefined || id !== undefined) ? 30 : 0;
}
