// What is made from the help for shells and readers: completion, tried in real shells on a terminal, and the manual page.
import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { commands } from '../../core/cli/commands.js';
import { describeCompletion } from '../../core/cli/completion.js';
import { formatBashCompletion } from '../../core/cli/completion-bash.js';
import { formatZshCompletion } from '../../core/cli/completion-zsh.js';
import { formatManPage } from '../../core/cli/man-page.js';
import { waitFor } from '../harness/wait-for.js';

const completion = describeCompletion(commands);
const shells = [
  { name: 'bash', start: 'bash --norc --noprofile -i', init: '', script: formatBashCompletion(completion) },
  {
    name: 'zsh',
    start: 'zsh -f -i',
    init: 'autoload -Uz compinit; compinit -u -D; setopt no_beep',
    script: formatZshCompletion(completion),
  },
];

/** Instead of the program: says what it was given, and has a farm of three nodes, a call and two rooms. */
const fake = `holdfast() {
  if [[ $1 != complete ]]; then printf 'GIVEN'; printf ' <%s>' "$@"; printf ' END\\n'; return; fi
  printf '%s ' "$@" >>asked; echo >>asked
  case $2 in nodes) printf '%s\\n' kamailio-1 call-1 call-2 ;; calls) echo 1m85e2qacqcfkeb09 ;;
    rooms) printf '%s\\n' 8001 sales ;; participants) [[ $3 == 8001 ]] && printf '%s\\n' 1m85e2qacqd0aa111 1m85e2qacqd0bb222 ;; esac
}`;

for (const { name, start, init, script } of shells) {
  describe(`completion in ${name}`, () => {
    let folder: string;
    let shell: ChildProcess;
    let screen = '';

    before(async () => {
      folder = mkdtempSync(join(tmpdir(), 'holdfast-shell-'));
      writeFileSync(join(folder, 'script'), script);
      writeFileSync(join(folder, 'fake'), fake);
      writeFileSync(join(folder, 'my farm.yaml'), '');
      // script(1) gives it a terminal: readline and zle are what is tested.
      const env = { PATH: process.env['PATH'], TERM: 'dumb', HOME: folder, PS1: '$ ' };
      shell = spawn('script', ['-qec', start, '/dev/null'], { cwd: folder, env, stdio: ['pipe', 'pipe', 'inherit'] });
      shell.stdout?.on('data', (chunk: Buffer) => (screen += chunk.toString()));
      shell.stdin?.write(`${init}\nsource ./script; source ./fake; echo LOA''DED\n`);
      await waitFor('the shell', () => screen.includes('LOADED'), { deadlineMs: 20_000, describe: () => screen });
    });
    after(async () => {
      // It writes its history at its end.
      const exited = once(shell, 'exit');
      shell.stdin?.end('\nexit\n');
      await exited;
      rmSync(folder, { recursive: true, force: true });
    });

    /** Types a line, in which \t asks for completion; the words that the program is given. */
    const typed = async (line: string): Promise<string[]> => {
      screen = '';
      shell.stdin?.write(line);
      shell.stdin?.write('\n');
      await waitFor('the command', () => /GIVEN [^\n]* END/.test(screen), {
        deadlineMs: 20_000,
        describe: () => screen,
      });
      return [...(/GIVEN ([^\n]*) END/.exec(screen)?.[1] ?? '').matchAll(/<([^>]*)>/g)].map(([, word = '']) => word);
    };

    it('completes commands, and not the internal ones', async () => {
      assert.deepEqual(await typed('holdfast undr\t'), ['undrain']);
      assert.deepEqual(await typed('holdfast superv\t'), ['superv']);
    });

    it('completes a command’s own options and those of all', async () => {
      assert.deepEqual(await typed('holdfast up --det\t'), ['up', '--detach']);
      assert.deepEqual(await typed('holdfast drain --js\t'), ['drain', '--json']);
      assert.deepEqual(await typed('holdfast down --det\t'), ['down', '--det']);
    });

    it('completes actions, then what they are about', async () => {
      assert.deepEqual(await typed('holdfast call hang\t1m\t'), ['call', 'hangup', '1m85e2qacqcfkeb09']);
      assert.deepEqual(await typed('holdfast recovery pl\tkam\t'), ['recovery', 'plan', 'kamailio-1']);
    });

    it('completes rooms and those who are in them, and what else an action is about', async () => {
      const [room, participant] = ['8001', '1m85e2qacqd0aa111'];
      assert.deepEqual(await typed('holdfast conference mute 80\t1m85e2qacqd0a\t'), [
        ...['conference', 'mute', room, participant],
      ]);
      assert.deepEqual(await typed('holdfast conference kick 8001 --subnet 127.41.0.0/24 1m85e2qacqd0a\t'), [
        ...['conference', 'kick', room, '--subnet', '127.41.0.0/24', participant],
      ]);
      assert.deepEqual(await typed('holdfast conference merge sa\t80\t'), ['conference', 'merge', 'sales', room]);
      assert.deepEqual(await typed('holdfast conference record sa\tsta\t'), ['conference', 'record', 'sales', 'start']);
      assert.deepEqual(await typed('holdfast conference lock 8001 1m\t'), ['conference', 'lock', room, '1m']);
      assert.deepEqual(await typed('holdfast conference add 8001 1002 --by 1m85e2qacqd0a\t'), [
        ...['conference', 'add', room, '1002', '--by', participant],
      ]);
    });

    it('completes the nodes of the farm that the line is about', async () => {
      assert.deepEqual(await typed('holdfast drain --subnet 127.41.0.0/24 call-\t1'), [
        ...['drain', '--subnet', '127.41.0.0/24'],
        'call-1',
      ]);
      assert.deepEqual(await typed('holdfast --state=/srv/a drain kam\t'), ['--state=/srv/a', 'drain', 'kamailio-1']);
      const asked = readFileSync(join(folder, 'asked'), 'utf8');
      assert.match(asked, /^complete nodes --subnet 127.41.0.0\/24 $/m);
      assert.match(asked, /^complete nodes --state[ =]\/srv\/a $/m);
    });

    it('completes a file with a space in its name', async () => {
      assert.deepEqual(await typed('holdfast check my\t'), ['check', 'my farm.yaml']);
      assert.deepEqual(await typed('holdfast up --config my\t'), ['up', '--config', 'my farm.yaml']);
      assert.deepEqual(await typed('holdfast up --config=./my\t'), ['up', '--config=./my farm.yaml']);
    });
  });
}

describe('the manual page', () => {
  const page = formatManPage(commands, '9.9.9', new Date('2026-11-25T12:00:00Z'));
  const read = (tool: string, ...args: readonly string[]): string =>
    execFileSync(tool, args, { input: page, encoding: 'utf8', env: { ...process.env, MANWIDTH: '100' } });

  it('is faultless in the eyes of mandoc and of groff', () => {
    assert.equal(read('mandoc', '-T', 'lint', '-W', 'warning'), '');
    assert.equal(read('groff', '-man', '-Tutf8', '-ww', '-z'), '');
  });

  it('has every command with its options, actions and examples', () => {
    const shown = read('mandoc', '-T', 'utf8', '-O', 'width=200').replace(/.\x08/g, '');
    for (const { usage, internal, summary, options = [], actions = [], examples = [] } of commands) {
      assert.equal(shown.includes(`   ${usage}\n`), internal !== true, usage);
      if (internal === true) continue;
      for (const [word] of [...options, ...actions]) assert.ok(shown.includes(word), word);
      for (const words of [summary, ...examples]) assert.ok(shown.includes(words), words);
    }
    assert.match(shown, /HOLDFAST\(8\).*\n[^]*\/var\/lib\/holdfast\/<subnet>\/[^]*holdfast 9\.9\.9 +2026-11-25/);
  });
});
