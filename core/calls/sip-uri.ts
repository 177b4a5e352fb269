// SIP URIs as Request-URIs of legs: made so that no user part can be read as anything else.

/** `sip:user@host`, for a host or `host:port`. RFC 3261 §25.1: `user` is unreserved, escaped, or one of & = + $ , ; ? / */
export function sipUri(user: string, host: string): string {
  const escaped = encodeURIComponent(user).replace(/%(26|3D|2B|24|2C|3B|3F|2F)/g, one => decodeURIComponent(one));
  return `sip:${escaped}@${host}`;
}

/** User part of a `sip:` or `sips:` URI as it was meant, without parameters (RFC 3261 §19.1.1); empty where there is none. */
export function userOf(uri: string): string {
  const user = /^sips?:([^@;?]+)(?:;[^@]*)?@/i.exec(uri)?.[1] ?? '';
  try {
    return decodeURIComponent(user);
  } catch {
    return user;
  }
}

/** The same URI with another user part. */
export function withUser(uri: string, user: string): string {
  return uri.replace(
    /^sips?:[^@]*@.*$/is,
    whole => `${whole.slice(0, whole.indexOf(':'))}${sipUri(user, whole.slice(whole.indexOf('@') + 1)).slice(3)}`,
  );
}
