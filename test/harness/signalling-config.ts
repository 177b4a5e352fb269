// The config of a farm whose signalling is tested: examples/local.yaml with gateways for parties that SIPp plays.
import { localConfig } from './local-config.js';

/** 6<n>xxx rings the gateway at `.209` + n, and may be transferred, as 75xxx; 7xxxx rings the one at `.208`. */
export async function signallingConfig(): Promise<string> {
  const config = await localConfig();
  const far = Array.from({ length: 7 }, (_, n) => ({
    trunk: `far${n}`,
    gateway: `.${209 + n}:5060`,
    dial: `6${n}xxx`,
  }));
  const trunks = far.map(({ trunk, gateway }) => `  ${trunk}: { gateways: [${gateway}] }\n`);
  const routes = far.map(
    ({ trunk, dial }) => `      - { dial: ${dial}, to: [{ trunk: ${trunk} }], transfers: both }\n`,
  );
  const transferable = '      - { dial: 75xxx, to: [{ trunk: lab }], transfers: both }\n';
  return config
    .replace('trunks:\n', `trunks:\n${trunks.join('')}`)
    .replace('    routes:\n', `    routes:\n${routes.join('')}${transferable}`);
}
