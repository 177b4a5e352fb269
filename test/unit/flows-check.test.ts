// What is said of a flow that is wrong: file, line, column, and what was probably meant.
import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { HoldfastError } from '../../core/errors.js';
import { TestHost } from '../../core/testing/index.js';
import { formatWav } from '../harness/wav.js';

async function complaints(flow: string): Promise<string> {
  const config = `plugins: { routing: {} }\nflows:\n  reception:\n${flow.replace(/^/gm, '    ')}\n`;
  try {
    await TestHost.check({ folder: '/tmp', config });
    return '';
  } catch (error) {
    if (!HoldfastError.is(error, 'CONFIG_INVALID')) throw error;
    return error.message.replaceAll('/tmp/test.yaml:', '');
  }
}

describe('holdfast check of flows', () => {
  const cases: readonly (readonly [what: string, flow: string, said: RegExp])[] = [
    [
      'an unknown action',
      '- { action: plya, items: a }',
      /^4:17: flows\.reception\[0\]\.action: there is no action "plya" \(did you mean "play"\?\)$/,
    ],
    ['a missing field', '- action: goto', /^4:7: flows\.reception\[0\]\.to: is missing$/],
    [
      'an unknown key',
      '- { action: sleep, seconds: 1, secnds: 2 }',
      /^4:36: .*secnds: unknown key \(did you mean "seconds"\?\)$/,
    ],
    ['a missing action', '- { label: a }', /^4:\d+: .*action: is missing$/],
    [
      'an unknown label',
      '- { action: answer, label: start }\n- { action: goto, to: strat }',
      /^5:27: flows\.reception\[1\]\.to: no step of this flow has the label "strat" \(did you mean "start"\?\)$/,
    ],
    [
      'a label in a menu',
      '- { action: digits_receive, choices: { "1": sales } }',
      /^4:\d+: flows\.reception\[0\]\.choices\.1: no step .*"sales" \(no step has a label\)$/,
    ],
    [
      'a label twice',
      '- { action: answer, label: a }\n- { action: answer, label: a }',
      /^5:\d+: .*step 1 has the label "a" already$/,
    ],
    [
      'an unreachable step',
      '- action: hangup\n- action: answer\n- action: answer',
      /^5:\d+: flows\.reception\[1\]: nothing leads to this step \(give it a label/,
    ],
    [
      'a value that does not fit',
      '- { action: sleep, seconds: soon }',
      /^4:\d+: .*seconds: must be a number, is text$/,
    ],
    [
      'an unknown subscriber',
      '- { action: connect, to: [{ subscriber: "1009" }] }',
      /there is no subscriber "1009" \(there are: 1001, 1002, 1003\)$/,
    ],
    [
      'a sound that is not there',
      '- { action: play, items: welcome }',
      /^4:\d+: .*there is no sound "welcome" \(say in `sounds`/,
    ],
    ['a sound that would leave the folder', '- { action: play, items: ../etc/passwd }', /a sound is a path/],
    ['a flow that is no list', '{ action: answer }', /must be a list/],
    ['an empty flow', '[]', /at least 1 entries/],
    [
      'keys that do not go together',
      '- { action: digits_receive, choices: { "1": a }, accept: ["1"] }\n- { action: answer, label: a }',
      /accept: is not for a menu/,
    ],
  ];
  for (const [what, flow, said] of cases) {
    test(`${what} is named with its place`, async () => {
      assert.match(await complaints(flow), said);
    });
  }

  test('a flow that is right is taken, variables in it are left alone', async () => {
    assert.equal(
      await complaints(
        '- { action: variable_set, set: { a: "${caller}" } }\n- { action: play, items: { tone: "440", seconds: 1 } }',
      ),
      '',
    );
  });

  test('a route that names no flow that there is says which there are', async () => {
    const config =
      'flows: { reception: [{ action: answer }] }\nplugins: { routing: { routes: [{ dial: x, flow: receptoin }] } }';
    await assert.rejects(
      TestHost.check({ folder: '/tmp', config }),
      /routes\[0\]\.flow: there is no flow "receptoin" \(there are: reception\)/,
    );
  });
});

describe('holdfast check of sounds', () => {
  const cases: readonly (readonly [what: string, file: Buffer, mode: number, said: RegExp])[] = [
    ['garbage', Buffer.from('this is no sound at all, whatever its name may say'), 0o644, /it is no WAV file/],
    ['an empty file', Buffer.alloc(0), 0o644, /welcome\.wav is empty/],
    ['a file that the nodes cannot read', formatWav(new Int16Array(80)), 0o600, /chmod a\+r/],
    ['44.1 kHz', at44kHz(formatWav(new Int16Array(80))), 0o644, /1 channels of 16 bit at 44100 Hz/],
  ];
  for (const [what, file, mode, said] of cases) {
    test(`${what} is told at its line`, async () => {
      const folder = await mkdtemp(join(tmpdir(), 'holdfast-sounds-'));
      try {
        await writeFile(join(folder, 'welcome.wav'), file);
        await chmod(join(folder, 'welcome.wav'), mode);
        const config = `sounds: .\nplugins: { routing: {} }\nflows: { a: [{ action: play, items: welcome }] }\n`;
        await assert.rejects(TestHost.check({ folder, config }), (error: Error) => {
          assert.match(error.message, /:3:\d+: .*the sound "welcome" cannot be played/);
          assert.match(error.message, said);
          return true;
        });
      } finally {
        await rm(folder, { recursive: true });
      }
    });
  }
});

function at44kHz(wav: Buffer): Buffer {
  wav.writeUInt32LE(44_100, 24);
  return wav;
}
