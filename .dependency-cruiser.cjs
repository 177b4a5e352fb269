/** The folder rule of ARCHITECTURE.md: who may import whom. */
const servers = ['kamailio', 'asterisk', 'rtpengine'];

module.exports = {
  forbidden: [
    {
      name: 'core-imports-no-other-folder',
      severity: 'error',
      from: { path: '^core/', pathNot: '^core/cli/compose(\\.ts$|/)' },
      to: { path: '^(plugins|kamailio|asterisk|rtpengine|test)/' },
    },
    ...servers.map(folder => ({
      name: `${folder}-imports-only-core`,
      severity: 'error',
      from: { path: `^${folder}/` },
      to: { path: `^(plugins|test|${servers.filter(other => other !== folder).join('|')})/` },
    })),
    {
      name: 'plugins-import-only-the-public-api',
      severity: 'error',
      from: { path: '^plugins/([^/]+)/' },
      to: {
        path: '^(core|plugins|kamailio|asterisk|rtpengine|test)/',
        pathNot: '^(core/plugin-api\\.ts$|plugins/$1/)',
      },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true, dependencyTypesNot: ['type-only'] } },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^dist/' },
  },
};
