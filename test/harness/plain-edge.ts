// What the edge is told of everybody outside where a test says nothing else: nobody is known to it.
import type { EdgeState } from '../../core/ports/edge.js';

export const plainEdge: Omit<EdgeState, 'nodes' | 'engines' | 'fenced'> = {
  sources: [],
  lines: [],
  logins: [],
  gateways: [],
  allowed: [],
  emergency: ['112', '911'],
  defence: { strangerRate: 10, strangerRegisters: 50, mostFailures: 5, banSeconds: 60 },
  subscribers: [],
  policies: [],
  defaultPolicy: 'any',
  transfers: false,
};
