// Texts with placeholders, such as `<sip:{callerNumber}@example.net>` or `{header x-account}`.

const placeholder = /\{([^{}]*)\}/g;
const known = /^(callerNumber|callerName|dialled|header [\w-]+)$/;

/**
 * The placeholders of a text that mean nothing.
 * @param {string} text
 */
export function unknownIn(text) {
  return [...text.matchAll(placeholder)].map(([whole, name = '']) => (known.test(name) ? '' : whole)).filter(Boolean);
}

/**
 * The text with the call's own words in it; a header that the call does not have is empty.
 * @param {string} text
 * @param {import('holdfast/plugin-api').OutgoingLeg} leg
 */
export function fillIn(text, { call, callerNumber, callerName }) {
  /** @type {Record<string, string>} */
  const words = { callerNumber, callerName, dialled: call.dialled };
  return text.replace(placeholder, (_, /** @type {string} */ name) => {
    const [, header] = /^header (.*)$/.exec(name) ?? [];
    return (header === undefined ? words[name] : call.headers[header.toLowerCase()]?.[0]) ?? '';
  });
}
