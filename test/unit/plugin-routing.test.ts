// The routing plugin: patterns, the choice of a route, and what it answers.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type {
  CallSource,
  ConnectTarget,
  Directory,
  IncomingCall,
  Party,
  RedirectAnswer,
  RouteAnswer,
} from '../../core/plugin-api.js';
import { checkRoutes } from '../../plugins/routing/check-routes.js';
import { compileDialPattern } from '../../core/plugin-api.js';
import { referCall } from '../../plugins/routing/refer-call.js';
import { redirectCall } from '../../plugins/routing/redirect-call.js';
import { compileRoutes, routeCall } from '../../plugins/routing/route-call.js';
import { routingConfig } from '../../plugins/routing/route-config.js';

const directory: Directory = {
  flows: ['reception'],
  webhooks: [],
  limits: {
    maxSetupSeconds: 0,
    maxCallSeconds: 0,
    rtpTimeoutSeconds: 0,
    rtpTimeoutOnHoldSeconds: 0,
    strayGraceSeconds: 5,
  },
  domain: 'a.test',
  file: path => path,
  e164: number => (number.startsWith('00') ? `+${number.slice(2)}` : undefined),
  address: text => text,
  trunks: [
    { name: 'lab', gateways: ['192.0.2.1:5060', '192.0.2.2:5060'] },
    { name: 'inbound', gateways: [] },
  ],
  subscribers: [{ name: '1001' }, { name: '1002' }],
};
const contacts: Record<string, string[]> = { '1001': ['sip:1001@192.0.2.11', 'sip:1001@192.0.2.12'] };
const location = { contacts: (subscriber: string): string[] => contacts[subscriber] ?? [] };

function call(dialled: string, source: CallSource = { kind: 'subscriber', subscriber: '1001' }): IncomingCall {
  return {
    id: 'c1',
    sipCallId: 'x@y',
    source,
    dialled,
    callerNumber: '1001',
    callerName: 'alice',
    privacy: [],
    headers: {},
  };
}

function route(routes: unknown[], dialled: string, source?: CallSource): RouteAnswer | undefined {
  const { routes: parsed } = routingConfig.parse({ routes });
  return routeCall(call(dialled, source), compileRoutes(parsed), { directory, location });
}

describe('a dial pattern', () => {
  const cases: readonly (readonly [pattern: string, fits: readonly string[], not: readonly string[]])[] = [
    ['7xxxx', ['70001', '79999'], ['7000', '700011', '7000a', 'x70001', '']],
    ['100[1-3]', ['1001', '1003'], ['1000', '1004', '10011']],
    ['z', ['1', '9'], ['0']],
    ['n', ['2', '9'], ['1', '0']],
    ['00.', ['001', '00abc'], ['00', '0', '100']],
    ['00!', ['00', '001'], ['0']],
    ['.', ['a', '1'], ['']],
    ['+49x.', ['+4912'], ['+49', '491', '+491']],
    ['*9#', ['*9#'], ['9', '**9#']],
    ['[1*#]x', ['15', '*5', '#5'], ['25']],
    ['Bob', ['Bob'], ['bob']],
    ['=max.benz', ['max.benz'], ['ma1.benz', 'maxxbenz']],
    ['(a|b)+', ['(a|b)+'], ['a', 'b']],
  ];
  for (const [pattern, fits, not] of cases) {
    test(`${pattern} fits what it says`, () => {
      const pattern_ = compileDialPattern(pattern);
      for (const dialled of fits) assert.ok(pattern_(dialled), dialled);
      for (const dialled of not) assert.ok(!pattern_(dialled), dialled);
    });
  }

  test('that is none says why', () => {
    for (const pattern of ['', '=', '1.2', '1!2', '[', '[]', '[1-', '[9-1]', '[^1]']) {
      assert.throws(() => compileDialPattern(pattern), /pattern|in "/, pattern);
    }
  });
});

describe('a call', () => {
  test('takes the first route that fits, in the order of the config', () => {
    const routes = [
      { dial: '9001', echo: true },
      { dial: '9xxx', room: 'dialled' },
      { dial: '.', reject: 404, reason: 'no' },
    ];
    assert.deepEqual(route(routes, '9001'), { flow: [{ action: 'echo' }], routeName: '9001' });
    assert.deepEqual(route(routes, '9002'), {
      flow: [{ action: 'conference_join', room: '9002' }],
      routeName: '9xxx',
    });
    assert.deepEqual(route(routes, '1'), { reject: 404, reason: 'no', routeName: '.' });
    assert.equal(route(routes.slice(0, 2), '1'), undefined);
  });

  test('passes over routes that its source may not use', () => {
    const lab: CallSource = { kind: 'trunk', trunk: 'lab' };
    const from = (from: unknown): unknown[] => [{ dial: '.', echo: true, from }];
    assert.ok(route(from({ trunks: ['lab'] }), '1', lab));
    assert.ok(route(from({ trunks: 'any' }), '1', lab));
    assert.equal(route(from({ trunks: ['other'] }), '1', lab), undefined);
    assert.equal(route(from({ subscribers: 'any' }), '1', lab), undefined);
    assert.ok(route(from({ subscribers: ['1001'] }), '1'));
    assert.equal(route(from({ subscribers: ['1002'] }), '1'), undefined);
    assert.equal(route(from({ trunks: 'any' }), '1'), undefined);
  });

  test('to a trunk goes to its gateways in order, with the number rewritten', () => {
    const to = [{ trunk: 'lab', strip: 2, prefix: '+', ringTimeoutSeconds: 9 }];
    assert.deepEqual(route([{ name: 'out', dial: '00.', to, ringTimeoutSeconds: 20, callerNumber: '+1' }], '0049'), {
      routeName: 'out',
      flow: [
        {
          action: 'connect',
          strategy: 'in-order',
          targets: [
            { uri: 'sip:+49@192.0.2.1:5060', trunk: 'lab', ringTimeoutSeconds: 9 },
            { uri: 'sip:+49@192.0.2.2:5060', trunk: 'lab', ringTimeoutSeconds: 9 },
          ],
          ringTimeoutSeconds: 20,
          callerNumber: '+1',
        },
      ],
    });
  });

  test('cannot leave the user part of the URI by what it dials', () => {
    const answer = route([{ dial: '.', to: [{ trunk: 'lab' }] }], 'a@evil> <b#\r\n+');
    assert.match(JSON.stringify(answer), /"sip:a%40evil%3E%20%3Cb%23%0D%0A\+@192\.0\.2\.1:5060"/);
  });

  test('to a subscriber rings all contacts at once, and is 480 where there are none', () => {
    const routes = [{ dial: '100x', to: [{ subscriber: 'dialled' }] }];
    assert.deepEqual(route(routes, '1001'), {
      routeName: '100x',
      flow: [
        {
          action: 'connect',
          strategy: 'at-once',
          targets: contacts['1001']!.map(uri => ({ uri, subscriber: '1001' })),
        },
      ],
    });
    const answer = route(routes, '1002');
    assert.ok(answer && 'reject' in answer && answer.reject === 480);
  });

  test('to a subscriber is 480 when no plugin knows contacts', () => {
    const { routes } = routingConfig.parse({ routes: [{ dial: '.', to: [{ subscriber: '1001' }] }] });
    const answer = routeCall(call('1'), compileRoutes(routes), { directory, location: undefined });
    assert.ok(answer && 'reject' in answer && answer.reject === 480);
  });

  test('to several targets goes in order, unless the route says at once', () => {
    const to = [{ subscriber: '1001' }, { uri: 'sip:op@192.0.2.9' }];
    const strategy = (extra: object): unknown => {
      const answer = route([{ dial: '.', to, ...extra }], '0');
      return answer && 'flow' in answer && answer.flow[0]?.action === 'connect' && answer.flow[0].strategy;
    };
    assert.equal(strategy({}), 'in-order');
    assert.equal(strategy({ atOnce: true }), 'at-once');
  });
});

describe('a routing config', () => {
  const problems = (routes: unknown[]): string[] =>
    checkRoutes(routingConfig.parse({ routes }), directory).map(({ path, message }) => `${path.join('.')}: ${message}`);

  test('that names a flow answers with its name', () => {
    assert.deepEqual(route([{ dial: '9', flow: 'reception', maxCallSeconds: 60 }], '9'), {
      ...{ flowName: 'reception', routeName: '9', maxCallSeconds: 60 },
    });
  });

  test('is checked for actions, patterns and names', () => {
    assert.deepEqual(
      problems([
        { dial: '1' },
        { dial: '1', echo: true, room: 'x' },
        { dial: ['1', '['], echo: true },
        {
          dial: '1',
          to: [{ trunk: 'labb' }, { subscriber: '9' }, {}, { uri: 'sip:a@b', strip: 1 }, { trunk: 'inbound' }],
        },
        { dial: '1', echo: true, from: { trunks: ['x'], subscribers: 'any' } },
      ]),
      [
        'routes.0: says nothing to do: exactly one of to, flow, room, echo, reject',
        'routes.1: says room and echo: exactly one of to, flow, room, echo, reject',
        'routes.2.dial.1: in "[" a [class] must be closed, and of digits, letters, + * # _ and ranges',
        'routes.3.to.0.trunk: there is no trunk "labb"',
        'routes.3.to.1.subscriber: there is no subscriber "9"',
        'routes.3.to.2: must name exactly one of trunk, subscriber, uri',
        'routes.3.to.3.strip: is for a trunk only',
        'routes.3.to.4.trunk: trunk inbound has no gateways',
        'routes.4.from.trunks.0: there is no trunk "x"',
      ],
    );
  });

  test('that is right has no problems', () => {
    assert.deepEqual(problems([{ dial: '7xxxx', to: [{ trunk: 'lab' }], from: { subscribers: ['1001'] } }]), []);
  });
});

describe('a redirection', () => {
  const redirected = (
    target: ConnectTarget,
    contacts: readonly string[],
    redirects?: string,
  ): RedirectAnswer | undefined => {
    const { routes } = routingConfig.parse({
      routes: [
        { dial: '100x', to: [{ subscriber: 'dialled' }], redirects },
        { dial: '7.', from: { subscribers: ['1001'] }, to: [{ trunk: 'lab' }] },
        { dial: '9', echo: true },
      ],
    });
    const question = { call: call('1001'), target, sipStatus: 302, contacts };
    return redirectCall(question, compileRoutes(routes), { directory, location });
  };
  const alice = { uri: 'sip:1001@192.0.2.11', subscriber: '1001' };
  const uris = (answer: RedirectAnswer | undefined): string[] | undefined => answer?.targets.map(({ uri }) => uri);

  test('goes where the one who redirects may call, host or not', () => {
    const answer = redirected(alice, ['sip:70@192.0.2.99', 'sip:9@a.test', 'sip:555@a.test']);
    assert.deepEqual(uris(answer), ['sip:70@192.0.2.1:5060', 'sip:70@192.0.2.2:5060']);
    assert.equal(answer?.targets[0]?.headers?.set?.['Diversion'], '<sip:1001@a.test>;reason=unknown');
    assert.deepEqual(uris(redirected({ uri: 'sip:1002@h', subscriber: '1002' }, ['sip:70@a.test'])), []);
    assert.deepEqual(uris(redirected({ uri: 'sip:x@h' }, ['sip:70@a.test'])), []);
  });

  test('goes to the Contact as it stands, or nowhere, where the route says so', () => {
    assert.deepEqual(uris(redirected(alice, ['sip:70@192.0.2.99'], 'uri')), ['sip:70@192.0.2.99']);
    assert.equal(redirected(alice, ['sip:70@192.0.2.99'], 'refuse'), undefined);
  });
});

describe('a transfer', () => {
  const referred = (
    by: Party,
    dialled: string,
    transfers?: string,
    commanded = false,
  ): readonly string[] | undefined => {
    const { routes } = routingConfig.parse({
      routes: [
        { dial: '100x', to: [{ subscriber: 'dialled' }], transfers },
        { dial: '7.', from: { subscribers: ['1001'] }, to: [{ trunk: 'lab' }] },
        { dial: '9', echo: true },
      ],
    });
    const caller: Party = { side: 'caller', peer: '5', trunk: 'lab' };
    const question = { call: call('1001'), by, transferee: caller, dialled, commanded };
    const answer = referCall(question, compileRoutes(routes), { directory, location });
    return answer?.action !== 'connect' ? undefined : answer.targets.map(({ uri }) => uri);
  };
  const callee: Party = { side: 'callee', peer: 'sip:1001@192.0.2.11', subscriber: '1001' };

  test('goes where the one who asks may call, if the route says that they may', () => {
    assert.deepEqual(referred(callee, '70', 'callee'), ['sip:70@192.0.2.1:5060', 'sip:70@192.0.2.2:5060']);
    assert.ok(referred(callee, '70', 'both'));
    const declined = [
      referred(callee, '70'),
      referred(callee, '70', 'caller'),
      referred({ ...callee, subscriber: '1002' }, '70', 'callee'),
      referred(callee, '9', 'callee'),
      referred({ side: 'callee', peer: 'sip:x@h' }, '70', 'callee'),
    ];
    assert.deepEqual(declined, [undefined, undefined, undefined, undefined, undefined]);
    assert.ok(referred(callee, '70', undefined, true), 'commanded');
  });
});
