// Types of the parts of npm `rtpengine-client` 0.4.12 that we use: it ships none of its own.
declare module 'rtpengine-client' {
  import type { RemoteInfo } from 'node:dgram';
  import { EventEmitter } from 'node:events';

  export interface ClientOptions {
    readonly timeout: number;
    readonly rejectOnError: boolean;
    readonly localAddress?: string;
    readonly localPort?: number;
  }

  type Command = (port: number, host: string, args?: Readonly<Record<string, unknown>>) => Promise<unknown>;

  export class Client extends EventEmitter {
    constructor(options: ClientOptions);
    /** Callbacks of open requests by cookie. */
    protected messages: Map<string, unknown>;
    protected timers: Map<string, NodeJS.Timeout>;
    protected _onMessage(message: Buffer, from: RemoteInfo): void;
    ping: Command;
    statistics: Command;
    list: Command;
    query: Command;
    delete: Command;
    offer: Command;
    answer: Command;
    close(): void;
  }

  export class RtpEngineError extends Error {}
}
