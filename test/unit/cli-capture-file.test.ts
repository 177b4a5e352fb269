// A capture is written whole, or not at all, and where it cannot be it is said what to do.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { writeCaptureFile } from '../../core/cli/capture-file.js';
import { HoldfastError } from '../../core/errors.js';

describe('a capture', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'holdfast-capture-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const refused = (path: string): [message: string, remedy: string] => {
    try {
      writeCaptureFile(path, Buffer.from('new'));
    } catch (error) {
      assert.ok(HoldfastError.is(error, 'HOST_FAILED'));
      return [error.message, error.remedy ?? ''];
    }
    throw new Error('it was written');
  };

  test('is for its owner only, also in the place of an older one, and a link stays one', () => {
    const [file, link] = [join(folder, 'a.pcap'), join(folder, 'link')];
    writeFileSync(file, 'old', { mode: 0o644 });
    symlinkSync(file, link);
    writeCaptureFile(link, Buffer.from('new'));
    assert.equal(readFileSync(file, 'utf8'), 'new');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(folder).sort(), ['a.pcap', 'link']);
  });

  test('goes into a device as it is', () => {
    writeCaptureFile('/dev/null', Buffer.from('new'));
    assert.ok(statSync('/dev/null').isCharacterDevice());
  });

  test('to a folder that is not there, to a folder, or below a file, leaves nothing and says what to do', () => {
    const missing = join(folder, 'gone', 'a.pcap');
    const [message, remedy] = refused(missing);
    assert.equal(message, `cannot write ${missing}: there is no folder ${join(folder, 'gone')}`);
    assert.match(remedy, /^make it with mkdir -p /);
    assert.match(refused(folder).join(), /it is a folder,name a file in it: --pcap .*call\.pcap$/);
    writeFileSync(join(folder, 'file'), 'old');
    assert.match(refused(join(folder, 'file', 'a.pcap')).join(), /file is no folder,name a file in a folder$/);
    assert.deepEqual(readdirSync(folder), ['file']);
  });

  test('where nothing may be written says so', () => {
    // Not by root either.
    assert.match(
      refused('/sys/a.pcap').join(),
      /nothing can be written in \/sys \(\w+\),name a file in a folder that you/,
    );
  });
});
