// Cuts a stream into netstrings (`<length>:<bytes>,`), the framing of baresip's control connection.

export class Netstrings {
  readonly #onText: (text: string) => void;
  #rest = Buffer.alloc(0);

  constructor(onText: (text: string) => void) {
    this.#onText = onText;
  }

  push(data: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, data]);
    for (let text = this.#next(); text !== undefined; text = this.#next()) this.#onText(text);
  }

  #next(): string | undefined {
    const colon = this.#rest.indexOf(':');
    if (colon < 0) return undefined;
    const length = Number(this.#rest.subarray(0, colon).toString());
    if (!Number.isInteger(length)) throw new Error(`not a netstring: ${this.#rest.toString().slice(0, 80)}`);
    const end = colon + 1 + length;
    if (this.#rest.length <= end) return undefined;
    const text = this.#rest.subarray(colon + 1, end).toString();
    this.#rest = this.#rest.subarray(end + 1);
    return text;
  }
}
