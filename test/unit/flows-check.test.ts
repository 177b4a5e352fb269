// What is said of a flow that is wrong: file, line, column, and what was probably meant.
import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { HoldfastError } from '../../core/errors.js';
import { unusedFlows } from '../../core/flows/read-flows.js';
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
      'a circle in which nothing waits',
      '- { action: play, items: { silence: 1 } }\n- { action: variable_set, label: a, set: { b: c } }\n- { action: condition, if: x, is: y, then: a }\n- { action: hangup }',
      /^6:48: .*\[2\]\.then: the flow runs in a circle from here to step 2, and no step of it waits for anything \(add a sleep/,
    ],
    [
      'a wrong key of one of several kinds',
      '- { action: play, items: [{ silence: 1 }, { tone: "440", secs: 3 }] }',
      /items\[1\]\.seconds: is missing\n.*items\[1\]\.secs: unknown key \(known here: sound, tone, seconds, silence\)$/,
    ],
    [
      'a value of no kind that is wanted',
      '- { action: play, items: a, interruptible: { a: 1 } }',
      /interruptible: must be true or false or text, is a map/,
    ],
    [
      'a pattern beside a word',
      '- { action: digits_receive, terminator: "##" }',
      /terminator: must be one digit, or none/,
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

describe('a flow that nothing leads to', () => {
  test('is named; one that any plugin names in its block is not', () => {
    const flows = ['day', 'night', 'menu'].map(name => ({ name }));
    const plugins = [
      { name: 'routing', config: { routes: [{ dial: '9', flow: 'day' }] } },
      { name: 'calendar', config: { nights: { '2026-12-24': ['night'] } } },
    ];
    assert.deepEqual(unusedFlows({ flows, plugins } as unknown as Parameters<typeof unusedFlows>[0]), [
      'nothing in the config leads to the flow menu',
    ]);
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
