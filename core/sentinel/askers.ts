// Asks one voice of a server for a sign of life and listens: by datagrams, over a kept connection, or over HTTP.
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { createConnection, type Socket } from 'node:net';
import type { HttpVoice, Voice, WordVoice } from '../ports/voices.js';

export interface Hearing {
  readonly answered: () => void;
  readonly refused: () => void;
}

export interface Asker {
  ask(): void;
  close(): void;
}

/** An answer over a connection that takes longer than this is as good as none: after a cut a new one is there sooner, ms. */
const connectionDeadlineMs = 2_000;

export function askerOf(voice: Voice, from: string, hearing: Hearing): Asker {
  switch (voice.via) {
    case 'udp':
      return new DatagramAsker(voice, from, hearing);
    case 'tcp':
      return new ConnectionAsker(voice, new WordQuestions(voice.question), from, hearing);
    case 'http':
      return new ConnectionAsker(voice, new PageQuestions(voice), from, hearing);
  }
}

interface Questions {
  next(): string;
  isAnswer(data: Buffer): boolean;
}

/** The question with a new word in it each time, and what tells that an answer is to one of ours. */
class WordQuestions implements Questions {
  readonly #text: string;
  readonly #own = randomBytes(8).toString('hex');
  #asked = 0;

  constructor(text: string) {
    this.#text = text;
  }

  next(): string {
    return this.#text.replaceAll('{id}', `${this.#own}${this.#asked++}`);
  }

  isAnswer(data: Buffer): boolean {
    return data.includes(this.#own);
  }
}

/** HTTP by hand (RFC 9112): a client's request and its parser are most of what an idle daemon would do. */
class PageQuestions implements Questions {
  readonly #request: string;

  constructor({ address, port, path, auth }: HttpVoice) {
    const authorization = `Basic ${Buffer.from(auth).toString('base64')}`;
    this.#request = `GET ${path} HTTP/1.1\r\nHost: ${address}:${port}\r\nAuthorization: ${authorization}\r\n\r\n`;
  }

  next(): string {
    return this.#request;
  }

  /** The connection is ours alone, so that every 200 is to one of ours. */
  isAnswer(data: Buffer): boolean {
    return data.includes('HTTP/1.1 200 ');
  }
}

class DatagramAsker implements Asker {
  readonly #questions: Questions;
  readonly #socket: DatagramSocket;
  readonly #hearing: Hearing;

  constructor({ question, address, port }: WordVoice, from: string, hearing: Hearing) {
    this.#questions = new WordQuestions(question);
    this.#hearing = hearing;
    // Connected, so that the kernel tells of a port that nobody listens on.
    this.#socket = createSocket('udp4');
    this.#socket.on('message', data => {
      if (this.#questions.isAnswer(data)) hearing.answered();
    });
    // An ICMP error is told by whichever comes first, this or the next send.
    this.#socket.on('error', error => this.#noteRefusal(error));
    this.#socket.bind(0, from, () => this.#socket.connect(port, address));
  }

  ask(): void {
    try {
      this.#socket.send(this.#questions.next(), error => this.#noteRefusal(error));
    } catch {
      // Not connected yet.
    }
  }

  close(): void {
    this.#socket.close();
  }

  #noteRefusal(error: NodeJS.ErrnoException | null): void {
    if (error?.code === 'ECONNREFUSED') this.#hearing.refused();
  }
}

class ConnectionAsker implements Asker {
  readonly #voice: Voice;
  readonly #questions: Questions;
  readonly #from: string;
  readonly #hearing: Hearing;
  #socket: Socket | undefined;
  /** When the first question was asked that has no answer yet; 0 for none. */
  #waitingSinceMs = 0;

  constructor(voice: Voice, questions: Questions, from: string, hearing: Hearing) {
    this.#voice = voice;
    this.#questions = questions;
    this.#from = from;
    this.#hearing = hearing;
  }

  ask(): void {
    const nowMs = performance.now();
    if (this.#waitingSinceMs > 0 && nowMs - this.#waitingSinceMs > connectionDeadlineMs) this.#giveUp();
    this.#socket ??= this.#connect();
    if (this.#waitingSinceMs === 0) this.#waitingSinceMs = nowMs;
    // One that does not read must not make us keep what we would say to it.
    if (this.#socket.writableLength === 0) this.#socket.write(this.#questions.next());
  }

  close(): void {
    this.#giveUp();
  }

  #giveUp(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
    this.#waitingSinceMs = 0;
  }

  #connect(): Socket {
    const { address, port } = this.#voice;
    const socket = createConnection({ host: address, port, localAddress: this.#from, noDelay: true });
    socket.on('data', data => {
      if (!this.#questions.isAnswer(data)) return;
      this.#waitingSinceMs = 0;
      this.#hearing.answered();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') this.#hearing.refused();
    });
    socket.on('close', () => {
      if (this.#socket === socket) this.#giveUp();
    });
    return socket;
  }
}
