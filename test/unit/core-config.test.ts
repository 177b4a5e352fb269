// The config: what a good file means, and how each kind of mistake is told.
import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { changedParts, knownParts } from '../../core/config/changed-parts.js';
import { formatProblem, type ConfigProblem } from '../../core/config/config-problem.js';
import { directoryOf, type HoldfastConfig } from '../../core/config/holdfast-config.js';
import { configSchema } from '../../core/config/config-schema.js';
import { loadConfig } from '../../core/config/load-config.js';
import { HoldfastError } from '../../core/errors.js';

let folder: string;
before(async () => void (folder = await mkdtemp(join(tmpdir(), 'holdfast-config-'))));
after(() => rm(folder, { recursive: true, force: true }));

async function load(text: string | Buffer, env: Record<string, string> = {}, subnet?: string): Promise<HoldfastConfig> {
  const file = join(folder, 'test.yaml');
  await writeFile(file, text);
  return loadConfig(file, { env, ...(subnet === undefined ? {} : { subnet }) });
}

/** Each problem without its folder, e.g. `test.yaml:2:1: farm: …`. */
async function problems(text: string | Buffer, env: Record<string, string> = {}): Promise<string[]> {
  try {
    await load(text, env);
  } catch (error) {
    assert.ok(HoldfastError.is(error, 'CONFIG_INVALID'), String(error));
    const all = error.details.problems as ConfigProblem[];
    assert.equal(error.message, all.map(formatProblem).join('\n'));
    return all.map(problem => formatProblem(problem).replace(`${folder}/`, ''));
  }
  return [];
}

const least = 'domain: a.test\nplugins: {}\n';

describe('a config file', () => {
  test('of the least size has every default', async () => {
    const config = await load(least);
    assert.equal(config.farm.subnet, '127.40.0.0/24');
    assert.deepEqual(config.farm.sizes, { kamailio: 3, call: 2, conference: 2, registrar: 2, rtpengine: 2 });
    assert.equal(config.farm.plan.publicVip, '127.40.0.100');
    assert.equal(config.log.level, 'info');
    assert.equal(config.cdr.file, 'cdr.jsonl');
    assert.deepEqual(config.plugins, []);
  });

  test('is frozen all through', async () => {
    const config = await load(`${least}trunks: {lab: {sources: [.1], gateways: [.2]}}`);
    assert.throws(() => (config.trunks[0]!.sources as string[]).push('x'), TypeError);
    assert.throws(() => ((config as { domain: string }).domain = 'x'), TypeError);
  });

  test('writes addresses out against the subnet, which the command line may change', async () => {
    const text = `${least}farm: {subnet: 127.40.0.0/24, publicVip: 192.0.2.9, homer: .240}
trunks: {lab: {sources: [.200-.202, 10.1.0.0/30, 192.0.2.7], gateways: [.208, ".209:5070", sip.example.com]}}`;
    const config = await load(text, {}, '127.55.0.0/24');
    assert.equal(config.farm.plan.publicVip, '192.0.2.9');
    assert.equal(config.farm.plan.privateVip, '127.55.0.101');
    assert.equal(config.farm.homer, '127.55.0.240:9060');
    assert.deepEqual(config.trunks[0]?.sources, [
      ...['127.55.0.200', '127.55.0.201', '127.55.0.202'],
      ...['10.1.0.0', '10.1.0.1', '10.1.0.2', '10.1.0.3', '192.0.2.7'],
    ]);
    const [, , name] = config.trunks[0].gateways;
    assert.deepEqual(directoryOf(config).trunks[0]?.gateways, [
      '127.55.0.208:5060',
      '127.55.0.209:5070',
      'sip.example.com:5060',
    ]);
    assert.deepEqual(name, {
      address: 'sip.example.com:5060',
      priority: 3,
      weight: 1,
      srv: '_sip._udp.sip.example.com',
    });
    assert.equal(directoryOf(config).address('.208:5062'), '127.55.0.208:5062');
  });

  test('keeps numbers that are names and secrets as they were written', async () => {
    const config = await load(`${least}subscribers:\n  0800: {secret: 0123}\n  1001: {secret: 5, name: alice}\n`);
    assert.deepEqual(
      config.subscribers.map(({ name, secret }) => [name, secret]),
      [
        ['1001', '5'],
        ['0800', '0123'],
      ],
    );
  });

  test('takes ${ENV} in block and in flow style, as text or number, and $${ for the text itself', async () => {
    const text = `domain: \${DOMAIN}\nfarm: {kamailio: \${N}}\nplugins: {x: {a: "\${N}", b: $\${N}, c: pre-\${N}}}`;
    const config = await load(text, { DOMAIN: 'env.test', N: '4' });
    assert.equal(config.domain, 'env.test');
    assert.equal(config.farm.sizes.kamailio, 4);
    assert.deepEqual(config.plugins[0]?.config, { a: '4', b: '${N}', c: 'pre-4' });
  });

  test('takes file: secrets beside itself, and warns when others can read one', async () => {
    await writeFile(join(folder, 'one.secret'), 'from-file\n', { mode: 0o600 });
    await writeFile(join(folder, 'two.secret'), 'seen by all', { mode: 0o600 });
    await chmod(join(folder, 'two.secret'), 0o644);
    const config = await load(
      `${least}subscribers: {a: {secret: "file:one.secret"}, b: {secret: "file:two.secret"}, c: {secret: x, name: "file:no"}}`,
    );
    assert.deepEqual(
      config.subscribers.map(({ secret }) => secret),
      ['from-file', 'seen by all', 'x'],
    );
    assert.equal(config.subscribers[2]?.displayName, 'file:no');
    assert.equal(config.warnings.length, 1);
    assert.match(config.warnings[0]!, /subscribers\.b\.secret.*mode 644/);
  });

  test('takes a webhook for call records, and warns when they would go unencrypted', async () => {
    const of = (url: string): string => `${least}cdr: {webhook: {url: "${url}", secret: \${KEY}, timeoutSeconds: 2.5}}`;
    const env = { KEY: '0123456789abcdef' };
    const config = await load(of('https://billing.example.com/cdr'), env);
    const webhook = { url: 'https://billing.example.com/cdr', secret: '0123456789abcdef', timeoutMs: 2500 };
    assert.deepEqual(config.cdr, { file: 'cdr.jsonl', webhook });
    assert.deepEqual(config.warnings, []);
    assert.deepEqual((await load(of('http://127.0.0.1:8000/'), env)).warnings, []);
    assert.deepEqual((await load(of('http://billing.example.com/'), env)).warnings, [
      'cdr.webhook.url: call records go to billing.example.com unencrypted: use https',
    ]);
    const notices = `${least}webhooks: {crm: {url: "http://crm.example.com/", secret: "\${KEY}"}}`;
    assert.deepEqual((await load(notices, env)).warnings, [
      'webhooks.crm.url: notices of flows go to crm.example.com unencrypted: use https',
    ]);
  });

  test('takes an address or a socket for metrics, and none where none is named', async () => {
    const of = async (listen: string): Promise<unknown> => (await load(`${least}metrics: {listen: ${listen}}`)).metrics;
    assert.deepEqual(await of('.2'), { host: '127.40.0.2', port: 9464 });
    assert.deepEqual(await of('"10.9.8.7:9000"'), { host: '10.9.8.7', port: 9000 });
    assert.deepEqual(await of('unix:metrics.sock'), { socket: 'metrics.sock' });
    assert.equal((await load(least)).metrics, undefined);
  });

  test('follows aliases', async () => {
    const config = await load(`domain: a.test\nplugins:\n  a: &same {x: 1}\n  b: *same\n`);
    assert.deepEqual(config.plugins[1]?.config, { x: 1 });
  });

  test('keeps plugins in their order, with from apart and an empty block as {}', async () => {
    const config = await load(`domain: a.test\nplugins:\n  zeta:\n  alpha: {from: ./a, k: 1}\n`);
    assert.deepEqual(
      config.plugins.map(({ name, from, config: block }) => ({ name, from, block })),
      [
        { name: 'zeta', from: undefined, block: {} },
        { name: 'alpha', from: './a', block: { k: 1 } },
      ],
    );
  });
});

describe('a mistake in a config file is told with file, line, column and a hint', () => {
  const cases: Record<string, readonly [text: string | Buffer, ...expected: string[]]> = {
    'an unknown key': [
      `${least}farm:\n  kamalio: 3\n`,
      'test.yaml:4:3: farm.kamalio: unknown key (did you mean "kamailio"?)',
    ],
    'an unknown key that resembles none': [
      `${least}log: {colour: red}\n`,
      'test.yaml:3:7: log.colour: unknown key (known here: level, file)',
    ],
    'an unknown key inside a record': [
      `${least}subscribers:\n  "1001": {secret: a, nmae: alice}\n`,
      'test.yaml:4:23: subscribers.1001.nmae: unknown key (did you mean "name"?)',
    ],
    'a wrong type': [`${least}farm: {kamailio: three}\n`, 'test.yaml:3:18: farm.kamailio: must be a number, is text'],
    'a list where a map belongs': [`- a\n`, 'test.yaml:1:1: must be a map (key: value), is a list'],
    'missing keys': [`farm: {}\n`, 'test.yaml:1:1: domain: is missing', 'test.yaml:1:1: plugins: is missing'],
    'a missing key in a block': [
      `${least}subscribers:\n  alice: {name: a}\n`,
      'test.yaml:4:3: subscribers.alice.secret: is missing',
    ],
    'a word that is not in the list': [
      `${least}log: {level: inof}\n`,
      'test.yaml:3:14: log.level: must be one of debug, info, warn, error, silent (did you mean "info"?)',
    ],
    'too many nodes': [`${least}farm: {kamailio: 10}\n`, 'test.yaml:3:18: farm.kamailio: at most 9 nodes fit'],
    'no nodes': [`${least}farm: {call: 0}\n`, 'test.yaml:3:14: farm.call: must be at least 1'],
    'a subnet that is none': [
      `${least}farm: {subnet: 127.40.0.0/16}\n`,
      'test.yaml:3:16: farm.subnet: must be a /24 network, for example 127.40.0.0/24',
    ],
    'an address that is none': [
      `${least}trunks: {lab: {sources: [.200, .300, 1.2.3], gateways: [".1:99999"]}}\n`,
      'test.yaml:3:32: trunks.lab.sources[1]: ".300" is not an IPv4 address',
      'test.yaml:3:38: trunks.lab.sources[2]: "1.2.3" is not an IPv4 address',
      'test.yaml:3:57: trunks.lab.gateways[0]: ".1:99999" is not an address:port',
    ],
    'one address in two trunks': [
      `${least}trunks:\n  a: {sources: [.1-.9]}\n  b: {sources: [.7]}\n`,
      'test.yaml:5:17: trunks.b.sources[0]: overlaps a source of trunk a: a call must be of one trunk',
    ],
    'a webhook without a usable URL or secret': [
      `${least}cdr:\n  webhook: {url: ftp://x.test/, secret: short}\n`,
      'test.yaml:4:18: cdr.webhook.url: must be an http:// or https:// URL',
      'test.yaml:4:41: cdr.webhook.secret: must have at least 16 characters',
    ],
    'a password in the URL of a webhook': [
      `${least}cdr:\n  webhook: {url: "https://me:pw@x.test/", secret: 0123456789abcdef}\n`,
      'test.yaml:4:18: cdr.webhook.url: must bear no user and password: what is sent is known by its signature',
    ],
    'a password in the URL of a webhook for notices': [
      `${least}webhooks: {crm: {url: "https://me:pw@x.test/", secret: 0123456789abcdef}}\n`,
      'test.yaml:3:23: webhooks.crm.url: must bear no user and password: what is sent is known by its signature',
    ],
    'metrics on an address that anybody reaches': [
      `${least}metrics: {listen: "203.0.113.9:9464"}\n`,
      'test.yaml:3:19: metrics.listen: 203.0.113.9 is not a private address: anybody could read how you are doing',
    ],
    'metrics on a socket elsewhere': [
      `${least}metrics: {listen: unix:../x}\n`,
      'test.yaml:3:19: metrics.listen: "../x" is not the name of a socket, as in unix:metrics.sock',
    ],
    'metrics on the daemon’s own socket': [
      `${least}metrics: {listen: unix:control.sock}\n`,
      'test.yaml:3:19: metrics.listen: "control.sock" is another socket of the daemon\'s: name one of its own, as in unix:metrics.sock',
    ],
    'files outside the state folder': [
      `${least}cdr: {file: /var/x}\nrecordings: ../x\n`,
      'test.yaml:3:13: cdr.file: "/var/x" is not a path below the farm\'s state folder (name it from there, or make it a link there)',
      'test.yaml:4:13: recordings: "../x" is not a path below the farm\'s state folder (name it from there, or make it a link there)',
    ],
    'a trunk that no call could use': [
      `${least}trunks: {a: {}}\n`,
      'test.yaml:3:13: trunks.a: has neither sources, gateways, login nor register: no call could use it',
    ],
    'a registration with nobody': [
      `${least}trunks: {a: {register: {user: us}}}\n`,
      'test.yaml:3:24: trunks.a.register: there is nobody to register with (name a registrar, or gateways)',
    ],
    'a registration of nobody': [
      `${least}trunks: {a: {gateways: [sip.example.net], register: {}}}\n`,
      'test.yaml:3:53: trunks.a.register: says no user, and there are no credentials (name a user)',
    ],
    'a login of two': [
      `${least}subscribers: {"1001": {secret: a}}\ntrunks: {a: {login: {username: 1001, secret: b}}}\n`,
      'test.yaml:4:32: trunks.a.login.username: is that of subscriber 1001 too: a call must be of one of them',
    ],
    'a duplicate key': ['domain: a\ndomain: b\n', 'test.yaml:2:1: this key is there twice'],
    'a key twice, once in quotes': [
      "subscribers:\n  1001: { name: a, secret: b }\n  '1001': { name: c, secret: d }\n",
      'test.yaml:3:3: this key is there twice',
    ],
    'a tab': ['domain: a\nfarm:\n\tcall: 2\n', 'test.yaml:3:1: a tab cannot indent in YAML: use spaces'],
    'an empty file': ['', 'test.yaml:1:1: the file is empty (copy examples/local.yaml to begin with)'],
    'a file of comments': ['# x\n', 'test.yaml:1:1: the file is empty (copy examples/local.yaml to begin with)'],
    'a file that is not UTF-8': [
      Buffer.from([0x61, 0x3a, 0x20, 0x31, 0x0a, 0x62, 0xff, 0xfe]),
      'test.yaml:2:2: the file is not UTF-8 text',
    ],
    'two documents': ['a: 1\n---\nb: 2\n', 'test.yaml:2:1: a second document begins here: one file is one config'],
    'an environment variable that is not set': [
      `domain: \${DOMIAN}\nplugins: {}\n`,
      'test.yaml:1:9: domain: the environment variable DOMIAN is not set (did you mean "DOMAIN"?)',
    ],
    'an alias without an anchor': [
      'domain: *nowhere\nplugins: {}\n',
      'test.yaml:1:9: domain: there is no anchor "&nowhere" before this',
    ],
    'a name that is none': [
      `${least}subscribers: {"a b": {secret: x}}\n`,
      'test.yaml:3:15: subscribers."a b": a name is letters, digits, and _ . + - (at most 64)',
    ],
  };
  for (const [name, [text, ...expected]] of Object.entries(cases)) {
    test(name, async () => assert.deepEqual(await problems(text, { DOMAIN: 'x.test' }), expected));
  }

  test('a secret whose file is not there, without the secret in any message', async () => {
    const [problem] = await problems(`${least}subscribers: {a: {secret: "file:none.secret"}}\n`);
    assert.match(problem!, /^test\.yaml:3:27: subscribers\.a\.secret: cannot read the secret: ENOENT/);
  });

  test('every mistake at once, in the order of the file', async () => {
    const all = await problems(`${least}log: {level: x}\nfarm: {kamailio: a, cal: 2}\n`);
    assert.deepEqual(
      all.map(problem => problem.split(':').slice(1, 3).join(':')),
      ['3:14', '4:18', '4:21'],
    );
  });

  test('limits that contradict each other, or what an RTPEngine keeps, are told', async () => {
    assert.deepEqual(await problems(`${least}limits: {rtpTimeoutSeconds: 600, rtpTimeoutOnHoldSeconds: 60}`), [
      'test.yaml:3:59: limits.rtpTimeoutOnHoldSeconds: 60 is less than rtpTimeoutSeconds (600): ' +
        'a phone on hold would be ended before one that is not (raise it, or 0 for never)',
    ]);
    assert.equal((await problems(`${least}limits: {maxSetupSeconds: 300}`)).length, 1);
  });

  test('a file that expands without end is refused', async () => {
    const levels = Array.from({ length: 12 }, (_, i) =>
      i === 0
        ? 'a0: &a0 [x, x, x, x]'
        : `a${i}: &a${i} [${Array(8)
            .fill(`*a${i - 1}`)
            .join(', ')}]`,
    );
    await assert.rejects(load(levels.join('\n')), (error: unknown) => HoldfastError.is(error, 'CONFIG_INVALID'));
  });

  test('a file that is not there is CONFIG_UNREADABLE', () => {
    assert.throws(
      () => loadConfig(join(folder, 'none.yaml'), { env: {} }),
      (error: unknown) => HoldfastError.is(error, 'CONFIG_UNREADABLE') && error.remedy !== undefined,
    );
  });

  test('a file so large that reading it would keep the daemon is not read', async () => {
    const file = join(folder, 'large.yaml');
    await writeFile(file, `domain: a.test\nplugins: {}\n${'#'.repeat(5_000_000)}\n`);
    assert.throws(() => loadConfig(file, { env: {} }), {
      code: 'CONFIG_UNREADABLE',
      message: /more than 4194304 bytes/,
    });
  });
});

describe('what a reload would change', () => {
  const parts = async (before: string, after: string): Promise<string[]> => {
    const [old, now] = [await load(`${least}${before}`), await load(`${least}${after}`)];
    return changedParts(old, now).map(({ part, needs }) => [part, ...needs].join(' '));
  };

  test('is nothing for a file that only looks different', async () => {
    assert.deepEqual(await parts('farm: {call: 2}', '# a comment\nfarm:\n  call: 2\n'), []);
  });

  test('is told by part, with what it needs', async () => {
    assert.deepEqual(await parts('', 'farm: {kamailio: 4, subnet: 127.41.0.0/24, state: /x}\nlog: {level: debug}'), [
      'farm.subnet full-restart',
      'farm.publicVip full-restart',
      'farm.privateVip full-restart',
      'farm.state full-restart',
      'log.level',
      'farm.kamailio list-reload node-start',
    ]);
  });

  test('is told by entry and key of subscribers and trunks, and by their section where there are many', async () => {
    const before = 'trunks: {a: {sources: [.9]}, b: {gateways: [.8]}}\nsubscribers: {"1": {secret: x, name: n}}';
    const after = 'trunks: {a: {sources: [.7], gateways: [.6]}}\nsubscribers: {"1": {secret: x}, "2": {secret: y}}';
    assert.deepEqual(await parts(before, after), [
      'subscribers.1.name',
      'subscribers.2 list-reload endpoint-reload',
      'trunks.a.sources list-reload',
      'trunks.a.gateways list-reload',
      'trunks.b list-reload',
    ]);
    const many = Array.from({ length: 11 }, (_, i) => `"${i}": {secret: x}`).join(', ');
    assert.deepEqual(await parts('', `subscribers: {${many}}`), ['subscribers list-reload endpoint-reload']);
  });

  test('knows every key there is', () => {
    const { farm, log, cdr, limits, registration, ...rest } = configSchema.shape;
    const inner = Object.entries({ farm, log, cdr, limits, registration }).flatMap(([section, schema]) =>
      Object.keys(schema.unwrap().shape).map(key => `${section}.${key}`),
    );
    const keys = [...inner, ...Object.keys(rest)];
    const missing = keys.filter(key => !knownParts.includes(key));
    assert.deepEqual(missing, [], 'core/config/changed-parts.ts says what a change of it needs');
  });

  test('names the plugins that changed, came, went or moved', async () => {
    const load2 = async (plugins: string): Promise<HoldfastConfig> => load(`domain: a.test\nplugins: ${plugins}\n`);
    const [a, b, c] = [
      await load2('{a: {k: 1}, b: {}}'),
      await load2('{b: {}, c: {}}'),
      await load2('{b: {}, a: {k: 1}}'),
    ];
    assert.deepEqual(
      changedParts(a, b).map(({ part }) => part),
      ['plugins.a', 'plugins.c'],
    );
    assert.deepEqual(
      changedParts(a, c).map(({ part }) => part),
      ['plugins'],
    );
  });
});

describe('numbers and limits', () => {
  const trunk = (text: string): string => `domain: a.test\nplugins: {}\ntrunks:\n  lab: {gateways: [.1], ${text}}\n`;

  test('that make no sense are told with their place', async () => {
    const told = async (text: string): Promise<string> => (await problems(text)).join('\n');
    assert.match(
      await told(trunk('numbers: {country: XX}')),
      /test.yaml:4:\d+: trunks.lab.numbers.country: .*no country/,
    );
    assert.match(
      await told(trunk('numbers: {format: national}')),
      /trunks.lab.numbers.format: is national, of no country/,
    );
    assert.match(
      await told(trunk('caller: {show: number}')),
      /trunks.lab.caller.show: is number, and there is no number/,
    );
    assert.match(await told(trunk('limits: {allow: [+49x]}')), /trunks.lab.limits.allow\[0\]: must be a number/);
    assert.match(await told(trunk('limits: {callsAtOnce: -1}')), /trunks.lab.limits.callsAtOnce/);
    assert.match(await told(`${least}numbers: {emergency: [help]}`), /numbers.emergency\[0\]: must be a number/);
  });

  test('of a trunk have the country of the config', async () => {
    const { trunks } = await load(`${trunk('numbers: {format: national}')}numbers: {country: DE}\n`);
    assert.deepEqual(trunks[0]?.numbers, { format: 'national', country: 'DE' });
  });
});

describe('the examples', () => {
  const example = (name: string, env: Record<string, string>): HoldfastConfig =>
    loadConfig(fileURLToPath(new URL(`../../../examples/${name}`, import.meta.url)), { env });

  test('local.yaml is the farm of the documentation', () => {
    const config = example('local.yaml', {});
    assert.equal(config.farm.plan.nodes.length, 11);
    assert.deepEqual(
      config.trunks[0]?.gateways.map(({ address }) => address),
      ['127.40.0.208:5060'],
    );
    assert.equal(config.trunks[0].sources.length, 8);
    assert.deepEqual(
      config.subscribers.map(({ name, displayName }) => `${name} ${displayName ?? ''}`),
      ['1001 alice', '1002 bob', '1003 carol'],
    );
    assert.deepEqual(
      config.plugins.map(({ name }) => name),
      ['transcoding-policy', 'conference', 'routing', 'registrar', 'session-recovery'],
    );
  });

  test('lan.yaml takes its public address from the environment', () => {
    assert.equal(example('lan.yaml', { HOLDFAST_VIP: '192.0.2.50' }).farm.plan.publicVip, '192.0.2.50');
  });
});
