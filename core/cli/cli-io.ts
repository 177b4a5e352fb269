// The command line's doors to the outside: terminal, environment, signals. Tests put their own in place.
import { createInterface } from 'node:readline';

export interface CliIo {
  out(text: string): void;
  err(text: string): void;
  /** True where somebody can be asked. */
  readonly interactive: boolean;
  readonly colours: boolean;
  /** Width of the terminal; undefined where lines may be of any length. */
  readonly columns?: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Asks one question; undefined when `signal` aborts or the input ends. */
  ask(question: string, signal: AbortSignal): Promise<string | undefined>;
  /** Calls `listener` at Ctrl-C and at SIGTERM, instead of dying, until the returned function is called. */
  onInterrupt(listener: (signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP') => void): () => void;
}

export function processIo(): CliIo {
  // A reader that goes away (`holdfast calls | head`) is no error.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0);
    });
  }
  return {
    out: text => void process.stdout.write(text),
    err: text => void process.stderr.write(text),
    interactive: process.stdin.isTTY && process.stdout.isTTY,
    ...(process.stdout.isTTY ? { columns: process.stdout.columns } : {}),
    colours: process.stdout.isTTY && process.env['NO_COLOR'] === undefined && process.env['TERM'] !== 'dumb',
    env: process.env,
    ask: askOnTerminal,
    onInterrupt: listener => {
      const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
      for (const name of signals) process.on(name, listener);
      return () => signals.forEach(name => process.off(name, listener));
    },
  };
}

function askOnTerminal(question: string, signal: AbortSignal): Promise<string | undefined> {
  return new Promise(resolve => {
    const lines = createInterface({ input: process.stdin, output: process.stdout });
    const finish = (answer: string | undefined): void => {
      resolve(answer);
      lines.close();
    };
    // With a readline open, Ctrl-C comes as its event and not as the process's signal.
    lines.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
    lines.once('close', () => resolve(undefined));
    signal.addEventListener('abort', () => finish(undefined), { once: true });
    lines.question(question, answer => finish(answer));
  });
}
