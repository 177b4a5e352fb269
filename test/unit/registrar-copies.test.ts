// Every registrar holds every binding, whatever comes, goes and is refreshed at the same moment.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { beforeEach, describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { HoldfastError } from '../../core/errors.js';
import { silentLogger } from '../../core/log.js';
import type { AriEvent, AsteriskFarm, AsteriskListener, ObjectFields } from '../../core/ports/asterisk.js';
import { Bindings, type Binding } from '../../core/registrations/bindings.js';
import { RegistrarCopies } from '../../core/registrations/registrar-copies.js';
import { openMemoryStore } from '../../core/store/memory-store.js';
import { waitFor } from '../harness/wait-for.js';

const subscriber = '1001';
const uri = 'sip:1001@192.0.2.7:5060';
const id = `${subscriber};@${createHash('md5').update(uri).digest('hex')}`;
const startSeconds = Math.ceil(Date.now() / 1000);
const soon = (seconds: number): number => startSeconds + seconds;

/** A registrar with one subscriber, whose events and answers come when the test lets them. */
class FakeRegistrar {
  readonly contacts = new Map<string, ObjectFields>();
  listener: AsteriskListener | undefined;
  /** What is asked waits while there is one. */
  held: Promise<void> | undefined;
  refuses = false;
  readonly ari = {
    asterisk: {
      getObject: async ({ objectType, id: asked }: { objectType: string; id: string }): Promise<ObjectFields> => {
        const found = objectType === 'aor' ? this.#aor() : this.contacts.get(asked);
        await this.held;
        if (found) return found;
        throw new HoldfastError('ARI_REFUSED', 'not found', { details: { status: 404 } });
      },
      updateObject: async ({ id: written, fields }: { id: string; fields: ObjectFields }): Promise<void> => {
        await this.held;
        if (this.refuses) throw new HoldfastError('ARI_REFUSED', 'no', { details: { status: 400 } });
        this.contacts.set(written, fields);
        this.tell('NonQualified');
      },
      deleteObject: async ({ id: gone }: { id: string }): Promise<void> => {
        await this.held;
        if (!this.contacts.delete(gone)) throw new HoldfastError('ARI_REFUSED', '', { details: { status: 404 } });
        this.tell('Removed');
      },
    },
  };

  connect(startupTime: string): void {
    this.listener?.connected({ channels: [], bridges: [], startupTime });
  }

  registers(expires: number): void {
    const fields = { uri, expiration_time: String(expires), path: '', user_agent: '' };
    this.contacts.set(
      id,
      Object.entries(fields).map(([attribute, value]) => ({ attribute, value })),
    );
    this.tell('NonQualified');
  }

  takesBack(): void {
    this.contacts.delete(id);
    this.tell('Removed');
  }

  get expires(): number | undefined {
    const fields = this.contacts.get(id);
    return fields && Number(fields.find(({ attribute }) => attribute === 'expiration_time')?.value);
  }

  tell(status: string): void {
    const info = { aor: subscriber, uri, contact_status: status };
    this.listener?.event({ type: 'ContactStatusChange', contact_info: info } as AriEvent);
  }

  #aor(): ObjectFields {
    return [...this.contacts.values()].flatMap(fields =>
      fields.filter(({ attribute }) => attribute === 'uri').map(({ value }) => ({ attribute: 'contact', value })),
    );
  }
}

/** Whose store takes its time, as the real one. */
class SlowBindings extends Bindings {
  puts = 0;

  override async put(one: Binding): Promise<void> {
    this.puts += 1;
    await super.put(one);
    await turn();
  }

  override async remove(key: string): Promise<void> {
    await super.remove(key);
    for (let i = 0; i < 5; i++) await turn();
  }
}

describe('Registrars', () => {
  let bindings: SlowBindings;
  let copies: RegistrarCopies;
  let one: FakeRegistrar;
  let two: FakeRegistrar;
  let subscribers: ReadonlySet<string>;

  beforeEach(async () => {
    subscribers = new Set([subscriber]);
    const store = openMemoryStore();
    bindings = new SlowBindings({ store, log: silentLogger });
    [one, two] = [new FakeRegistrar(), new FakeRegistrar()];
    const asterisks = { node: (name: string) => (name === 'one' ? one : two) } as unknown as AsteriskFarm;
    copies = new RegistrarCopies({
      ...{ store, bindings, asterisks, log: silentLogger },
      subscribers: () => subscribers,
      presumedSeconds: () => 3600,
    });
    one.listener = copies.listener('one');
    two.listener = copies.listener('two');
    one.connect('a');
    two.connect('a');
    await synced();
  });

  const synced = (): Promise<unknown> =>
    waitFor('both to be read', async () => ['one', 'two'].every(name => copies.isSynced(name)));
  /** Waits until both hold it so long, and the daemon too; undefined where nobody is to hold it. */
  const agreed = async (expires: number | undefined): Promise<void> => {
    const all = (): readonly (number | undefined)[] => [one.expires, two.expires, boundUntil()];
    await waitFor('all to agree', async () => all().every(value => value === expires), {
      describe: async () => JSON.stringify(all()),
    });
    for (let i = 0; i < 50; i++) await turn();
    assert.deepEqual(all(), [expires, expires, expires], 'and it stays so');
  };
  const boundUntil = (): number | undefined => {
    const [binding] = bindings.list();
    return binding && binding.expiresMs / 1000;
  };

  it('have what one of them is told: a contact, its refresh, its end', async () => {
    one.registers(soon(600));
    await agreed(soon(600));
    two.registers(soon(900));
    await agreed(soon(900));
    one.takesBack();
    await agreed(undefined);
  });

  it('keep a phone that comes back at the moment that it was taken back', async () => {
    one.registers(soon(600));
    await agreed(soon(600));
    for (let i = 1; i < 20; i++) {
      one.takesBack();
      for (let turns = 0; turns < i; turns++) await turn();
      one.registers(soon(600 + i));
      await agreed(soon(600 + i));
    }
  });

  it('do not bring a contact up again that is taken back while they are still given it', async () => {
    for (let i = 1; i < 20; i++) {
      one.registers(soon(600 + i));
      for (let turns = 0; turns < i; turns++) await turn();
      one.takesBack();
      await agreed(undefined);
    }
  });

  it('do not believe what was read before they were written to', async () => {
    one.registers(soon(600));
    await agreed(soon(600));
    let release = (): void => undefined;
    two.held = new Promise(resolve => (release = resolve));
    one.takesBack();
    await waitFor('the end to be known', async () => bindings.list().length === 0);
    two.tell('NonQualified');
    release();
    two.held = undefined;
    await agreed(undefined);
    assert.equal(bindings.puts, 1);
  });

  it('hold nothing of who is no subscriber any more, though a registrar tells of a phone after the reload', async () => {
    let release = (): void => undefined;
    one.held = new Promise(resolve => (release = resolve));
    one.registers(soon(600));
    subscribers = new Set();
    await copies.forgetStrangers();
    release();
    one.held = undefined;
    await agreed(undefined);
    assert.equal(bindings.puts, 0);
  });

  it('get traffic though one of them refuses a contact', async () => {
    two.refuses = true;
    one.registers(soon(600));
    await waitFor('the binding', async () => bindings.list().length === 1);
    two.listener?.disconnected('cut');
    two.connect('a');
    await synced();
    assert.equal(two.expires, undefined);
  });

  it('that died right after a 200 have granted it, as far as anybody knows', async () => {
    one.held = Promise.reject(new HoldfastError('ARI_UNREACHABLE', 'gone'));
    one.held.catch(() => undefined);
    one.registers(soon(600));
    await waitFor('the binding', async () => bindings.list().length === 1);
    one.listener?.disconnected('gone');
    await waitFor('the other one to hold it', async () => two.expires !== undefined);
  });
});
