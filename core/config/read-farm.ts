// The farm of a config file: its addresses, sizes and ports, as a plan.
import { dirname, resolve } from 'node:path';
import { HoldfastError } from '../errors.js';
import { farmNames, planFarm, type FarmName, type FarmPlan, type StreamPorts } from '../farm/farm-plan.js';
import { readAddress, readHostPort } from './config-address.js';
import type { ConfigReading } from './config-reading.js';
import type { HoldfastConfig } from './holdfast-config.js';

const fewest = { kamailio: 1, call: 1, conference: 1, registrar: 1, rtpengine: 1 } as const;

export function readFarm(reading: ConfigReading): HoldfastConfig['farm'] | undefined {
  const { publicVip, privateVip, state, homer, kamailio, call, conference, registrar, rtpengine } = reading.file.farm;
  const sizes = { kamailio, call, conference, registrar, rtpengine };
  const before = reading.problems.length;
  const vips = {
    public: reading.read(['farm', 'publicVip'], publicVip, readAddress) ?? '',
    private: reading.read(['farm', 'privateVip'], privateVip, readAddress) ?? '',
  };
  const collector =
    homer === undefined
      ? undefined
      : reading.read(['farm', 'homer'], homer, (text, subnet) => readHostPort(text, subnet, 9060));
  const streams = readStreams(reading);
  for (const farm of farmNames) checkPlan(reading, farm, { ...fewest, [farm]: sizes[farm] }, vips);
  if (reading.problems.length > before) return undefined;
  return {
    subnet: reading.subnet,
    sizes,
    plan: planFarm(reading.subnet, sizes, vips, streams),
    ...(state === undefined ? {} : { state: resolve(dirname(reading.source.file), state) }),
    ...(collector === undefined ? {} : { homer: collector }),
  };
}

function readStreams(reading: ConfigReading): StreamPorts {
  const { tcp, tls, connectionsPerSource: perSource } = reading.file.edge;
  if (tcp === undefined && tls === undefined) return {};
  if (tcp !== undefined && tcp.port === tls?.port)
    reading.problem(['edge', 'tls', 'port'], `${tls.port} is the port of edge.tcp: they need one each`);
  return { perSource, ...(tcp ? { tcp: tcp.port } : {}), ...(tls ? { tls: tls.port } : {}) };
}

/** Lets the farm plan judge one farm's size, so that its problem gets that farm's line. */
function checkPlan(
  reading: ConfigReading,
  farm: FarmName,
  sizes: Readonly<Record<FarmName, number>>,
  vips: { public: string; private: string },
): FarmPlan | undefined {
  try {
    return planFarm(reading.subnet, sizes, vips);
  } catch (error) {
    if (!HoldfastError.is(error, 'CONFIG_INVALID')) throw error;
    const path = /subnet/.test(error.message) ? ['farm', 'subnet'] : ['farm', farm];
    const problem = reading.source.problem(path, error.message.replace(`farm.${farm}: `, ''), error.remedy);
    if (!reading.problems.some(known => known.message === problem.message)) reading.problems.push(problem);
    return undefined;
  }
}
