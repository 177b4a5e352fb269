// From names of trunks to the places where a call may be connected.
import { sipUri } from 'holdfast/plugin-api';

/**
 * The gateways of these trunks, in their order; a trunk that the config does not have has none.
 * @param {readonly string[]} names
 * @param {string} number
 * @param {import('holdfast/plugin-api').Directory['trunks']} trunks
 */
export function targetsOf(names, number, trunks) {
  return names.flatMap(name => {
    const gateways = trunks.find(trunk => trunk.name === name)?.gateways ?? [];
    return gateways.map(gateway => ({ uri: sipUri(number, gateway), trunk: name }));
  });
}
