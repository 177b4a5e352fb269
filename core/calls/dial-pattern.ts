// Patterns of dialled numbers: `x` a digit, `z` 1-9, `n` 2-9, `[2-5]` a class, `.` at the end one or more of anything, `!` zero or more.

/** Tells whether a dialled number (user part of the Request-URI) fits. */
export type DialPattern = (dialled: string) => boolean;

/** Where a pattern is wrong, in words. */
export class DialPatternError extends Error {}

/**
 * Compiles a pattern. Everything else in it stands for itself, upper and lower case apart (RFC 3261 §19.1.4); `=` in front
 * takes all that follows literally, for names with an x, z or n in them. Throws DialPatternError.
 */
export function compileDialPattern(pattern: string): DialPattern {
  if (pattern === '' || pattern === '=') throw new DialPatternError('a dial pattern cannot be empty');
  if (pattern.startsWith('=')) {
    const literal = pattern.slice(1);
    return dialled => dialled === literal;
  }
  const [, body = '', wildcard = ''] = /^(.*?)([.!]?)$/s.exec(pattern) ?? [];
  const tail = { '': '', '.': '.+', '!': '.*' }[wildcard] ?? '';
  const expression = new RegExp(`^${compileBody(pattern, body)}${tail}$`, 's');
  return dialled => expression.test(dialled);
}

const classes: Readonly<Record<string, string>> = { x: '[0-9]', z: '[1-9]', n: '[2-9]' };

function compileBody(pattern: string, body: string): string {
  let expression = '';
  for (let i = 0; i < body.length; i++) {
    const character = body.charAt(i);
    if (character === '[') {
      const end = body.indexOf(']', i);
      expression += compileClass(pattern, body.slice(i + 1, end === -1 ? i + 1 : end));
      i = end;
      continue;
    }
    if (character === '.' || character === '!') {
      throw new DialPatternError(`in "${pattern}" the ${character} is not at the end: write =… to match it literally`);
    }
    expression += classes[character.toLowerCase()] ?? escape(character);
  }
  return expression;
}

/** `2-5`, `13579`, `0-24*`: single characters and ranges of them. */
function compileClass(pattern: string, members: string): string {
  const parts = members.match(/([0-9A-Za-z])-([0-9A-Za-z])|[0-9A-Za-z+*#_]/g) ?? [];
  if (members === '' || parts.join('') !== members) {
    throw new DialPatternError(`in "${pattern}" a [class] must be closed, and of digits, letters, + * # _ and ranges`);
  }
  for (const part of parts) {
    if (part.length === 3 && part.charAt(0) > part.charAt(2)) {
      throw new DialPatternError(`in "${pattern}" the range ${part} runs backwards`);
    }
  }
  return `[${parts.map(part => (part.length === 3 ? part : escape(part))).join('')}]`;
}

function escape(character: string): string {
  return character.replace(/[\\^$.*+?()[\]{}|/#-]/, '\\$&');
}
