// Colours for a terminal; plain text anywhere else.

export type Colour = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

/** SGR parameters of ECMA-48. */
const codes: Readonly<Record<Colour, number>> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 };

export type Style = (colour: Colour, text: string) => string;

export function terminalStyle(colours: boolean): Style {
  return (colour, text) => (colours ? `\u001b[${codes[colour]}m${text}\u001b[0m` : text);
}

/** A node's or a call's state in its colour. */
export function styleState(style: Style, state: string): string {
  if (state === 'up' || state === 'active') return style('green', state);
  if (state === 'dead') return style('red', state);
  if (state === 'suspect' || state === 'draining') return style('yellow', state);
  return state;
}
