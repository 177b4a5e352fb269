// Routing: matches source and dialled number, in config order, and answers with targets, a flow, a room, an echo or a rejection.
import { definePlugin, directory, location, pluginApiVersion, trunkGateways } from '../../core/plugin-api.js';
import { checkRoutes } from './check-routes.js';
import { redirectCall } from './redirect-call.js';
import { referCall } from './refer-call.js';
import { compileRoutes, routeCall } from './route-call.js';
import { routingConfig } from './route-config.js';
import { loadTables } from './table-files.js';

export default definePlugin({
  name: 'routing',
  apiVersion: pluginApiVersion,
  config: routingConfig,
  needs: [directory],
  wants: [location, trunkGateways],
  check: checkRoutes,
  setup({ config, hook, use, find }) {
    const routes = compileRoutes(config.routes);
    const tables = loadTables(config, use(directory));
    const facts = { directory: use(directory), tables, location: find(location), gateways: find(trunkGateways) };
    hook('route', call => routeCall(call, routes, facts));
    // A hook that is there lets transfers in at the edge.
    if (routes.some(({ config: { transfers } }) => transfers !== undefined))
      hook('refer', referral => referCall(referral, routes, facts));
    hook('redirect', redirection => redirectCall(redirection, routes, facts));
  },
});
