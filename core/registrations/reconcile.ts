// What is to become of one contact where a registrar and the daemon know of it, or only one of them does. Pure.

/** As much of a contact as decides: what ends later was granted later. */
export interface KnownContact {
  readonly expiresMs: number;
  readonly pathHeader: string;
}

/** `take` the registrar's word, `forget` it everywhere, or have the registrar hold what `ours` says of it, if anything. */
export type Verdict = 'take' | 'forget' | 'ours';

export interface Sides {
  /** What the registrar holds. */
  readonly held: KnownContact | undefined;
  /** What the daemon keeps, and whether this registrar took its last REGISTER. */
  readonly bound: (KnownContact & { readonly isOwn: boolean }) | undefined;
  /** When the registration would have ended that a phone has taken back. */
  readonly removedExpiresMs: number | undefined;
  /** True where the registrar is another process than when the daemon last knew what it held. */
  readonly restarted: boolean;
}

/** Asked of each contact after a time in which nothing was heard of the registrar. */
export function reconcile({ held, bound, removedExpiresMs = 0, restarted }: Sides): Verdict {
  if (held) return held.expiresMs > (bound?.expiresMs ?? removedExpiresMs) ? 'take' : 'ours';
  // Its own, and gone from a process that has lived on: the phone has taken it back. A new process has only lost it.
  return bound?.isOwn && !restarted ? 'forget' : 'ours';
}

export interface Change {
  /** The registrar's contact now. */
  readonly held: KnownContact | undefined;
  /** What we last knew it to hold. */
  readonly before: KnownContact | undefined;
  readonly bound: KnownContact | undefined;
  readonly nowMs: number;
}

/** An Asterisk looks for what has ended once in a while. */
export const soonMs = 2_000;

/** Asked of a contact that a registrar says has changed, while we listen. */
export function heardChange({ held, before, bound, nowMs }: Change): Verdict {
  if (held) return before && isSame(held, before) ? 'ours' : 'take';
  if (!before || !bound) return 'ours';
  // A copy that ran out says nothing of a registration that was made longer elsewhere.
  const ranOut = before.expiresMs <= nowMs + soonMs;
  return ranOut && bound.expiresMs > nowMs + soonMs ? 'ours' : 'forget';
}

export function isSame(one: KnownContact, other: KnownContact): boolean {
  return one.expiresMs === other.expiresMs && one.pathHeader === other.pathHeader;
}
