// One HTTP request on a pool of connections, its answer read whole: no stream and no signal for each, as undici's request() makes.
import type { Dispatcher } from 'undici';

export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
}

/** Rejects with `new ExchangeTimeout()` once `timeoutMs` have passed since the call, waiting for a connection included. */
export async function exchange(
  pool: Dispatcher,
  request: Dispatcher.DispatchOptions,
  timeoutMs: number,
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => pool.dispatch(request, new Exchange(resolve, reject, timeoutMs)));
}

export class ExchangeTimeout extends Error {
  override readonly name = 'ExchangeTimeout';
}

class Exchange implements Dispatcher.DispatchHandler {
  readonly #resolve: (answer: HttpAnswer) => void;
  readonly #reject: (error: Error) => void;
  readonly #late: NodeJS.Timeout;
  #controller: Dispatcher.DispatchController | undefined;
  #timedOut: ExchangeTimeout | undefined;
  #status = 0;
  #chunks: Buffer[] = [];

  constructor(resolve: (answer: HttpAnswer) => void, reject: (error: Error) => void, timeoutMs: number) {
    this.#resolve = resolve;
    this.#reject = reject;
    this.#late = setTimeout(() => {
      this.#timedOut = new ExchangeTimeout();
      this.#controller?.abort(this.#timedOut);
      reject(this.#timedOut);
    }, timeoutMs);
  }

  /** One that has waited too long for a connection is not sent any more. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#timedOut) controller.abort(this.#timedOut);
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number): void {
    this.#status = status;
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    clearTimeout(this.#late);
    const [first] = this.#chunks;
    const body = first === undefined ? '' : this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks);
    this.#resolve({ status: this.#status, text: body.toString() });
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    clearTimeout(this.#late);
    this.#reject(error);
  }
}
