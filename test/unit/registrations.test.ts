// What is read of a registrar's contacts, and the small decisions around them.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { dialledUri } from '../../core/calls/dialled-uri.js';
import { HoldfastError } from '../../core/errors.js';
import type { Binding } from '../../core/registrations/bindings.js';
import { readContact, type HeldContact } from '../../core/registrations/contact-fields.js';
import { silentLogger } from '../../core/log.js';
import { due, KeepAlive } from '../../core/registrations/keep-alive.js';
import {
  heardChange,
  reconcile,
  type Change,
  type KnownContact,
  type Sides,
} from '../../core/registrations/reconcile.js';
import { numbersBelow } from '../../kamailio/cfg-registrations.js';

const uri = 'sip:1002@10.0.0.5:5060;transport=udp';

function contact(path: string, over: Readonly<Record<string, string>> = {}): HeldContact | undefined {
  const fields: Readonly<Record<string, string>> = {
    uri,
    path,
    expiration_time: '1800000000',
    user_agent: 'phone 1',
    ...over,
  };
  return readContact(Object.entries(fields).map(([attribute, value]) => ({ attribute, value })));
}

describe("A registrar's contact", () => {
  it('without a Path is reached by its URI', () => {
    assert.deepEqual(contact(''), {
      ...{ uri, expiresMs: 1_800_000_000_000, pathHeader: '', path: [], q: 1, flow: null, connection: null },
      ...{ callId: '', userAgent: 'phone 1' },
    });
  });

  it('behind NAT is reached over our own entry, and others before it', () => {
    const own = '<sip:127.40.0.101:5060;lr;hfn=192.0.2.7~40000>';
    const found = contact(`${own},"a, b" <sip:p@192.0.2.9;lr;x=y>;ob`);
    assert.deepEqual(found?.path, [own, '<sip:p@192.0.2.9;lr;x=y>']);
    assert.equal(found.flow, '192.0.2.7:40000');
    assert.equal(found.connection, null);
  });

  it('on a connection is reached by the Kamailio that has it', () => {
    const found = contact('<sip:127.40.0.101:5060;lr;hfn=192.0.2.7~40000~tls~2~s1764137000~17>');
    assert.equal(found?.flow, '192.0.2.7:40000');
    assert.equal(found.connection, 'tls~2~s1764137000~17');
    assert.equal(found.path.length, 1);
  });

  it('has the q of its own Contact, whatever the order of its parameters', () => {
    const contacts = encodeURIComponent(
      `"x" <sip:1002@10.0.0.5:5060;a=b;transport=udp>;q=0.3, <sip:1002@10.0.0.6>;q=0.9`,
    );
    const found = contact(`<sip:127.40.0.101:5060;lr;hfc=${contacts}>`);
    assert.deepEqual([found?.q, found?.path], [0.3, []]);
    for (const broken of ['%', encodeURIComponent(`<${uri}>;q=7`), encodeURIComponent(`<${uri}>;q=x`)]) {
      assert.equal(contact(`<sip:127.40.0.101:5060;lr;hfc=${broken}>`)?.q, 1);
    }
    const both = contact(`<sip:127.40.0.101:5060;lr;hfn=192.0.2.7~4;hfc=${contacts}>`);
    assert.deepEqual([both?.q, both?.path], [0.3, ['<sip:127.40.0.101:5060;lr;hfn=192.0.2.7~4>']]);
  });

  it('that never ends or has no URI is none of a phone', () => {
    assert.equal(contact('', { expiration_time: '0' }), undefined);
    assert.equal(contact('', { uri: '' }), undefined);
  });
});

describe('A registrar and the daemon', () => {
  const at = (expiresMs: number, isOwn = true): KnownContact & { isOwn: boolean } => ({
    expiresMs,
    pathHeader: '',
    isOwn,
  });
  const after = (sides: Partial<Sides>): string =>
    reconcile({ held: undefined, bound: undefined, removedExpiresMs: undefined, restarted: false, ...sides });

  it('agree after a time apart: what was granted later counts, what was taken back stays so', () => {
    assert.equal(after({ held: at(5), bound: at(5) }), 'ours');
    assert.equal(after({ held: at(6), bound: at(5) }), 'take');
    assert.equal(after({ held: at(5), bound: at(6) }), 'ours');
    assert.equal(after({ held: { ...at(5), pathHeader: 'x' }, bound: at(5) }), 'ours');
    assert.equal(after({ held: at(5) }), 'take');
    assert.equal(after({ held: at(5), removedExpiresMs: 5 }), 'ours');
    assert.equal(after({ held: at(7), removedExpiresMs: 5 }), 'take');
    assert.equal(after({ bound: at(5) }), 'forget');
    assert.equal(after({ bound: at(5, false) }), 'ours');
    assert.equal(after({ bound: at(5), restarted: true }), 'ours');
  });

  it('hear of changes: of a phone, of what we wrote ourselves, of a copy that ran out', () => {
    const heard = (change: Partial<Change>): string =>
      heardChange({ held: undefined, before: undefined, bound: undefined, nowMs: 0, ...change });
    assert.equal(heard({ held: at(9e6) }), 'take');
    assert.equal(heard({ held: at(1e6), before: at(9e6), bound: at(9e6) }), 'take', 'for a shorter time');
    assert.equal(heard({ held: at(9e6), before: at(9e6), bound: at(9e6) }), 'ours');
    assert.equal(heard({ before: at(9e6), bound: at(9e6, false) }), 'forget');
    assert.equal(heard({ before: at(1), bound: at(9e6, false) }), 'ours');
    assert.equal(heard({ before: at(1), bound: at(1) }), 'forget');
    assert.equal(heard({ bound: at(9e6) }), 'ours');
  });
});

describe('The dialled URI', () => {
  it('bears the path as Route headers, and none that others put there', () => {
    assert.equal(dialledUri('sip:a@b'), 'sip:a@b');
    assert.equal(dialledUri('sip:a?b@c;x=y?Route=%3Csip:z%3E'), 'sip:a?b@c;x=y');
    assert.equal(
      dialledUri('sip:a@b', ['<sip:p;lr>', '<sip:q;lr>']),
      'sip:a@b?Route=%3Csip%3Ap%3Blr%3E&Route=%3Csip%3Aq%3Blr%3E',
    );
  });

  it('is refused where an Asterisk would cut it', () => {
    const long = ['<sip:' + 'p'.repeat(500) + ';lr>'];
    assert.throws(
      () => dialledUri('sip:a@b', long),
      (error: unknown) => HoldfastError.is(error, 'ARI_REFUSED'),
    );
  });
});

describe('Keep-alives', () => {
  const phones = Array.from(
    { length: 500 },
    (_, i) => ({ contact: `sip:${i}@10.0.0.1`, flow: i % 5 === 0 ? null : '192.0.2.1:1', connection: null }) as Binding,
  );

  it('are sent to each phone behind NAT once a period, spread over it', () => {
    const ticks = Array.from({ length: 25 }, (_, tick) => due(phones, tick, 25));
    assert.deepEqual(new Set(ticks.flat()).size, 400);
    assert.equal(ticks.flat().length, 400);
    for (const tick of ticks) assert.ok(tick.length > 4 && tick.length < 40, `${tick.length}`);
  });
});

describe('Times that are too short', () => {
  it('are told by an expression', () => {
    for (const limit of [2, 9, 10, 30, 60, 61, 100, 119, 3600]) {
      const brief = new RegExp(`^(${numbersBelow(limit)})$`);
      for (let seconds = 0; seconds < limit + 120; seconds++) {
        assert.equal(brief.test(String(seconds)), seconds > 0 && seconds < limit, `${seconds} of ${limit}`);
      }
    }
  });
});

describe('Keep-alives', () => {
  it('say so where their address is not of this machine, and keep nothing waiting', async () => {
    const options = { address: '192.0.2.1', privateVip: '192.0.2.2', domain: 'holdfast.test', log: silentLogger };
    const keepAlive = new KeepAlive({ ...options, bindings: () => [], everySeconds: () => 1 });
    await assert.rejects(keepAlive.open(), error => HoldfastError.is(error, 'ADDRESS_TAKEN'));
    keepAlive.close();
  });
});
