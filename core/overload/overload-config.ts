// What an operator says of overload.
export interface OverloadConfig {
  /** Answers of a call node that take longer are late; 0: they never are. */
  readonly lateMs: number;
  /** Of new calls to one call node, whatever it carries. */
  readonly callsPerSecond?: number;
}
