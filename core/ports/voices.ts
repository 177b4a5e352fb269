// The ways in which a server can be asked whether it lives: plain values, so that who asks needs to know no protocol.

interface VoiceBase {
  /** As a reason names it, e.g. `SIP`. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly everyMs: number;
  /**
   * Silent for this part of the limit that makes a server dead, it makes the server suspect all by itself; never, where the
   * server does its work without it.
   */
  readonly suspectAfter: number;
}

/** Question and answer in one UDP datagram each, or over one TCP connection that stays open. */
export interface WordVoice extends VoiceBase {
  readonly via: 'udp' | 'tcp';
  /** `{id}` stands for a word that is another one each time, and that the answer repeats. */
  readonly question: string;
}

/** HTTP GET on a connection that stays open; an answer is 200. */
export interface HttpVoice extends VoiceBase {
  readonly via: 'http';
  readonly path: string;
  /** `user:password` */
  readonly auth: string;
  /** Beside it the daemon holds an event stream to the server, which must be open. */
  readonly hasStream: boolean;
}

export type Voice = WordVoice | HttpVoice;
