// The one base class of our errors and the closed list of their codes: a code is never reused for another meaning.

/** Every code a HoldfastError can bear, by area. */
export type ErrorCode =
  // config and command line
  | 'CONFIG_INVALID'
  | 'CONFIG_UNREADABLE'
  | 'RELOAD_INCOMPLETE'
  | 'USAGE'
  // plugins
  | 'PLUGIN_INVALID'
  | 'PLUGIN_NOT_FOUND'
  | 'PLUGIN_TIMEOUT'
  | 'PLUGIN_FAILED'
  | 'SERVICE_MISSING'
  // store
  | 'STORE_CONFLICT'
  | 'STORE_FAILED'
  // hosts and processes
  | 'HOST_FAILED'
  | 'PROCESS_NOT_READY'
  | 'BALANCER_FAILED'
  | 'FARM_BUSY'
  | 'ADDRESS_TAKEN'
  // asterisk (ARI)
  | 'ARI_TIMEOUT'
  | 'ARI_UNREACHABLE'
  | 'ARI_REFUSED'
  | 'ARI_INVALID_REPLY'
  // kamailio (JSON-RPC, lists, tables)
  | 'RPC_TIMEOUT'
  | 'RPC_REFUSED'
  | 'RPC_INVALID_REPLY'
  | 'DISPATCHER_REFUSED'
  | 'DISPATCHER_DRIFT'
  | 'BAN_REFUSED'
  // rtpengine (ng)
  | 'NG_TIMEOUT'
  | 'NG_REFUSED'
  | 'NG_INVALID_REPLY'
  // calls
  | 'CALL_NOT_FOUND'
  | 'CALL_NOT_TRANSFERRED'
  | 'CALL_REFUSED'
  | 'NO_CALL_NODE'
  | 'NO_CONFERENCE_NODE'
  // rooms
  | 'CONFERENCE_NOT_FOUND'
  | 'PARTICIPANT_NOT_FOUND'
  | 'CONFERENCE_REFUSED'
  // flows
  | 'FLOW_NOT_FOUND'
  | 'FETCH_FAILED'
  // trace of SIP messages (HEP)
  | 'TRACE_UNAVAILABLE'
  // HOMER, a trace source
  | 'HOMER_UNREACHABLE'
  | 'HOMER_REFUSED'
  | 'HOMER_INVALID_REPLY'
  // webhook of call records
  | 'WEBHOOK_UNREACHABLE'
  | 'WEBHOOK_REFUSED'
  // daemon control socket
  | 'DAEMON_UNREACHABLE'
  | 'DAEMON_REFUSED';

/** What an error may carry beside its message: the place, and what to do about it. */
export interface ErrorContext {
  readonly cause?: unknown;
  /** Plain values that name the place (node, call id, file, …), for the log line. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** What the reader can do about it, as a sentence. */
  readonly remedy?: string;
}

/** An error with a code of the closed list; the message names the place, the remedy says what to do. */
export class HoldfastError extends Error {
  override readonly name = 'HoldfastError';
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;
  readonly remedy: string | undefined;

  constructor(code: ErrorCode, message: string, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.code = code;
    this.details = context.details ?? {};
    this.remedy = context.remedy;
  }

  /** True when `error` is ours, and bears `code` if one is asked for. */
  static is(error: unknown, code?: ErrorCode): error is HoldfastError {
    return error instanceof HoldfastError && (code === undefined || error.code === code);
  }
}

/** The message of whatever was thrown, for a log line or a wrapping error. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
