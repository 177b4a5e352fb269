// The command line's end of the control socket: one connection for one operation.
import { connect } from 'node:net';
import { HoldfastError, messageOf } from '../errors.js';
import { fromErrorShape, LineReader, maxReplyBytes, replyMessage } from './messages.js';
import { operationTable, type OperationName, type ParamsOf, type ResultOf } from './operations.js';

export interface CallOptions {
  /** Shows the lines that a long operation sends meanwhile. */
  readonly progress?: (line: string) => void;
  /** How long to wait for the answer. Default: the daemon's own deadline and two seconds. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Asks the daemon. Throws DAEMON_UNREACHABLE (nobody answers, no permission) or the error that the daemon answered. */
export async function callDaemon<Op extends OperationName>(
  socketPath: string,
  op: Op,
  params: ParamsOf<Op>,
  options: CallOptions = {},
): Promise<ResultOf<Op>> {
  const result = await exchange(socketPath, op, params, options);
  const checked = operationTable[op].result.safeParse(result);
  if (!checked.success) {
    const issue = checked.error.issues[0];
    const where = issue ? ` (${issue.path.join('.')}: ${issue.message})` : '';
    throw new HoldfastError('DAEMON_REFUSED', `the daemon's answer to ${op} has an unknown form${where}`, {
      remedy:
        'daemon and command line are of different versions: end the daemon and start it again, which keeps the calls (docs/operating.md)',
    });
  }
  // As it came: fields that this version does not know are the reader's, too.
  return result as ResultOf<Op>;
}

function exchange(socketPath: string, op: OperationName, params: unknown, options: CallOptions): Promise<unknown> {
  const timeoutMs = options.timeoutMs ?? operationTable[op].deadlineMs + 2_000;
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    const reader = new LineReader(maxReplyBytes);
    const fail = (error: unknown): void => {
      socket.destroy();
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', stop);
      reject(error instanceof Error ? error : new Error(String(error)));
    };
    const stop = (): void => fail(new HoldfastError('DAEMON_UNREACHABLE', `${op} was given up`));
    const timer = setTimeout(() => {
      fail(
        new HoldfastError('DAEMON_UNREACHABLE', `the daemon did not answer ${op} within ${timeoutMs} ms`, {
          remedy:
            'look at its log; where it hangs, kill its process: the next one takes up the calls, which holdfast down would end',
        }),
      );
    }, timeoutMs);
    options.signal?.addEventListener('abort', stop, { once: true });
    socket.once('connect', () => socket.write(`${JSON.stringify({ id: 1, op, params })}\n`));
    socket.on('error', error => fail(connectFailure(socketPath, error)));
    socket.once('close', () => fail(new HoldfastError('DAEMON_UNREACHABLE', `the daemon ended during ${op}`)));
    socket.on('data', chunk => {
      try {
        const lines = reader.push(chunk);
        if (!lines) throw new HoldfastError('DAEMON_REFUSED', 'the answer of the daemon is too long');
        for (const line of lines) {
          const reply = replyMessage.parse(JSON.parse(line));
          if ('progress' in reply) options.progress?.(reply.progress);
          else if ('error' in reply) throw fromErrorShape(reply.error);
          else {
            clearTimeout(timer);
            options.signal?.removeEventListener('abort', stop);
            resolve(reply.result);
            socket.destroy();
            return;
          }
        }
      } catch (error) {
        fail(HoldfastError.is(error) ? error : new HoldfastError('DAEMON_REFUSED', `no answer: ${messageOf(error)}`));
      }
    });
  });
}

export function connectFailure(socketPath: string, error: Error): HoldfastError {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'EACCES' || code === 'EPERM') {
    return new HoldfastError('DAEMON_UNREACHABLE', `no permission to talk to the daemon (${socketPath})`, {
      cause: error,
      remedy: 'run as the user that started the farm, normally root: for example with sudo',
    });
  }
  const down = code === 'ENOENT' || code === 'ECONNREFUSED';
  return new HoldfastError('DAEMON_UNREACHABLE', down ? `no daemon is up here (${socketPath})` : messageOf(error), {
    cause: error,
    details: { socketPath, code, down },
    remedy:
      'start it with: holdfast up, which takes up servers and calls that are still there (or name the right farm with --subnet or --state)',
  });
}
