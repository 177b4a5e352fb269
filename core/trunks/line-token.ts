// The token in our Contact at a trunk that we register with: the same on every start of the farm, and known only to the trunk.
import { createHmac } from 'node:crypto';

export function lineToken(key: string, trunk: string): string {
  return createHmac('sha256', key).update(trunk).digest('hex').slice(0, 32);
}
