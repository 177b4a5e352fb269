// Text in a config file, where YAML may have made a number of it.
import { z } from 'zod';

/** Text that YAML may have taken for a number, such as a dialled number or a secret of digits. */
export const text = z.union([z.string(), z.number().transform(String)]);
