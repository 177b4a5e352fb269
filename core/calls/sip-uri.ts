// SIP URIs as Request-URIs of legs: made so that no user part can be read as anything else.

/** `sip:user@host`, for a host or `host:port`. RFC 3261 §25.1: `user` is unreserved, escaped, or one of & = + $ , ; ? / */
export function sipUri(user: string, host: string): string {
  const escaped = encodeURIComponent(user).replace(/%(26|3D|2B|24|2C|3B|3F|2F)/g, one => decodeURIComponent(one));
  return `sip:${escaped}@${host}`;
}
