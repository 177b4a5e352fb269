// Reads a config file's YAML into plain values, with `${ENV}` and `file:` secrets filled in, and remembers where each value stands.
import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, Scalar, type Document, type Pair } from 'yaml';
import { HoldfastError, messageOf } from '../errors.js';
import { didYouMean, formatPath, type ConfigPath, type ConfigProblem } from './config-problem.js';

export interface ConfigSource {
  readonly file: string;
  /** Maps, lists, texts, numbers, booleans and nulls. */
  readonly value: unknown;
  readonly problems: readonly ConfigProblem[];
  /** Things that work but should be otherwise, one sentence each. */
  readonly warnings: readonly string[];
  /** A problem at the value of `path`, or at its closest parent that exists; `atKey` points at its key. */
  problem(path: ConfigPath, message: string, hint?: string, atKey?: boolean): ConfigProblem;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads and parses `file`, or `text` in its place. Throws CONFIG_UNREADABLE when it cannot be read; everything else is in `problems`. */
export function readConfigSource(file: string, env: Environment, text?: string): ConfigSource {
  let bytes: Buffer;
  try {
    if (text === undefined && statSync(file).size > mostBytes) throw new Error(`it has more than ${mostBytes} bytes`);
    bytes = text === undefined ? readFileSync(file) : Buffer.from(text);
  } catch (error) {
    throw new HoldfastError('CONFIG_UNREADABLE', `cannot read the config file ${file}: ${messageOf(error)}`, {
      cause: error,
      remedy: 'name a file that exists and that you may read, for example examples/local.yaml',
    });
  }
  return new SourceReader(file, bytes, env).read();
}

/** Keys whose text may be `file:PATH`, wherever they stand. */
const secretKeys = new Set(['secret', 'password']);
/** A file this deep or this large after its aliases are followed is an attack or a mistake. */
const mostValues = 100_000;
/** A larger one is no config, and would be read for seconds by a daemon that has calls. */
const mostBytes = 4 * 1024 * 1024;
/** `{` and `}` of `${NAME}` mean something in YAML's flow style, so the parser is shown these in their place. */
const [openMask, closeMask] = ['\ue000', '\ue001'];

class SourceReader {
  readonly #file: string;
  readonly #bytes: Buffer;
  readonly #env: Environment;
  readonly #lines = new LineCounter();
  readonly #problems: ConfigProblem[] = [];
  readonly #warnings: string[] = [];
  readonly #places = new Map<string, { readonly key: number; readonly value: number }>();
  #values = 0;

  constructor(file: string, bytes: Buffer, env: Environment) {
    this.#file = file;
    this.#bytes = bytes;
    this.#env = env;
  }

  read(): ConfigSource {
    const value = this.#parse();
    return {
      file: this.#file,
      value,
      problems: this.#problems,
      warnings: this.#warnings,
      problem: (path, message, hint, atKey) => this.#problem(this.#offset(path, atKey), path, message, hint),
    };
  }

  #parse(): unknown {
    const text = this.#decode();
    if (text === undefined) return undefined;
    const masked = text.replace(/\$\{([^{}\s]*)\}/g, `$${openMask}$1${closeMask}`);
    const document = parseDocument(masked, { lineCounter: this.#lines, prettyErrors: false, uniqueKeys: false });
    for (const { pos, message, code } of [...document.errors, ...document.warnings]) {
      this.#problems.push(this.#problem(pos[0], [], plainWords[code] ?? unmask(message)));
    }
    if (this.#problems.length > 0) return undefined;
    if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) {
      this.#problems.push(this.#problem(0, [], 'the file is empty', 'copy examples/local.yaml to begin with'));
      return undefined;
    }
    return this.#convert(document.contents, document, [], 0);
  }

  #decode(): string | undefined {
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(this.#bytes);
    } catch {
      const upTo = Buffer.from(new TextDecoder().decode(this.#bytes).split('\ufffd', 1)[0] ?? '').toString();
      const line = upTo.split('\n').length;
      const column = upTo.length - upTo.lastIndexOf('\n');
      this.#problems.push({ file: this.#file, line, column, path: '', message: 'the file is not UTF-8 text' });
      return undefined;
    }
  }

  #convert(node: unknown, document: Document, path: ConfigPath, depth: number): unknown {
    if (++this.#values > mostValues || depth > 50) {
      throw new HoldfastError('CONFIG_INVALID', `${this.#file}: more than ${mostValues} values, or nested too deep`);
    }
    if (isAlias(node)) {
      const target = node.resolve(document);
      if (target !== undefined) return this.#convert(target, document, path, depth + 1);
      this.#problems.push(
        this.#problem(node.range?.[0] ?? 0, path, `there is no anchor "&${node.source}" before this`),
      );
      return undefined;
    }
    if (isMap(node)) {
      const entries = node.items.map(pair => this.#entry(pair, document, path, depth));
      this.#refuseTwice(node.items, entries);
      return Object.fromEntries(entries);
    }
    if (isSeq(node)) {
      return node.items.map((item, i) => {
        this.#remember([...path, i], item, item);
        return this.#convert(item, document, [...path, i], depth + 1);
      });
    }
    return isScalar(node) ? this.#scalar(node, path) : null;
  }

  #entry({ key, value }: Pair, document: Document, path: ConfigPath, depth: number): [string, unknown] {
    // A number as a key (`1001:`, `0900:`) is a name here, as it was written.
    const name = isScalar(key)
      ? key.type === 'PLAIN' && key.source !== undefined
        ? key.source
        : String(key.value)
      : '?';
    const at = [...path, unmask(name)];
    this.#remember(at, key, value ?? key);
    return [unmask(name), this.#convert(value, document, at, depth + 1)];
  }

  /** By name, as it is taken: the parser compares each key with all others, and takes `1001` and `'1001'` for two. */
  #refuseTwice(pairs: readonly Pair[], entries: readonly (readonly [string, unknown])[]): void {
    const names = new Set<string>();
    entries.forEach(([name], i) => {
      if (names.has(name))
        this.#problems.push(this.#problem(rangeStart(pairs[i]?.key) ?? 0, [], 'this key is there twice'));
      names.add(name);
    });
  }

  #scalar(scalar: Scalar, path: ConfigPath): unknown {
    const { value, source, type } = scalar;
    // A number that would be written otherwise (0800, 0x10, 1.0) is text: here it is a dialled number, not a quantity.
    if (typeof value === 'number') return String(value) === source ? value : (source ?? value);
    if (typeof value !== 'string') return value;
    const text = this.#withEnvironment(unmask(value), path);
    if (text !== unmask(value) && type === Scalar.PLAIN) {
      if (/^-?(0|[1-9]\d{0,14})$/.test(text)) return Number(text);
      if (text === 'true' || text === 'false') return text === 'true';
    }
    const key = path.at(-1);
    return typeof key === 'string' && secretKeys.has(key) && text.startsWith('file:') ? this.#secret(text, path) : text;
  }

  #withEnvironment(text: string, path: ConfigPath): string {
    return text.replace(/(\$\$|\$)\{([^}]*)\}/g, (whole, dollars: string, name: string) => {
      if (dollars === '$$') return whole.slice(1);
      // In a flow, what is in lower case is a variable of the call (core/flows/flow-text.ts).
      if (path[0] === 'flows' && /^[a-z]/.test(name)) return whole;
      const value = this.#env[name];
      if (value !== undefined) return value;
      const names = Object.keys(this.#env);
      const hint = didYouMean(name, names) ?? 'set it, or write $${…} for the text itself';
      this.#problems.push(
        this.#problem(this.#offset(path), path, `the environment variable ${name || '(no name)'} is not set`, hint),
      );
      return '';
    });
  }

  #secret(text: string, path: ConfigPath): string {
    const file = resolve(dirname(this.#file), text.slice('file:'.length).trim());
    try {
      const { mode } = statSync(file);
      if ((mode & 0o077) !== 0) {
        const bits = (mode & 0o777).toString(8);
        this.#warnings.push(
          `${formatPath(path)}: the secret in ${file} can be read by others (mode ${bits}): chmod 600 it`,
        );
      }
      const secret = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
      if (secret === '') throw new Error('the file is empty');
      return secret;
    } catch (error) {
      this.#problems.push(this.#problem(this.#offset(path), path, `cannot read the secret: ${messageOf(error)}`));
      return '';
    }
  }

  #remember(path: ConfigPath, key: unknown, value: unknown): void {
    const keyOffset = rangeStart(key) ?? 0;
    this.#places.set(JSON.stringify(path), { key: keyOffset, value: rangeStart(value) ?? keyOffset });
  }

  #offset(path: ConfigPath, atKey = false): number {
    for (let length = path.length; length > 0; length--) {
      const place = this.#places.get(JSON.stringify(path.slice(0, length)));
      if (place) return atKey || length < path.length ? place.key : place.value;
    }
    return 0;
  }

  #problem(offset: number, path: ConfigPath, message: string, hint?: string): ConfigProblem {
    const { line, col } = this.#lines.linePos(offset);
    // linePos says 0:0 for a file without any line.
    const place = { file: this.#file, line: Math.max(1, line), column: Math.max(1, col), path: formatPath(path) };
    return { ...place, message, ...(hint === undefined ? {} : { hint }) };
  }
}

const plainWords: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: 'a tab cannot indent in YAML: use spaces',
  MULTIPLE_DOCS: 'a second document begins here: one file is one config',
};

function rangeStart(node: unknown): number | undefined {
  return (node as { range?: readonly number[] | null } | null)?.range?.[0];
}

function unmask(text: string): string {
  return text.replaceAll(openMask, '{').replaceAll(closeMask, '}');
}
