// Receives digits: a menu with choices, or a number into a variable; with time-outs, further tries and a terminator.
import { z } from 'zod';
import { defineAction, type FlowScene, type FlowTurn } from '../flow-facts.js';
import { answering, filledItems, itemsOf, label, mediaItems, text, variableName, way } from './parts.js';

const digitText = text.pipe(z.string().regex(/^[0-9A-D*#]+$/, 'must be digits: 0-9, A-D, * and #'));

const step = z
  .strictObject({
    prompt: mediaItems.optional().describe('What is played first.'),
    invalidPrompt: mediaItems.optional().describe('Played before a further try, after digits that fit nothing.'),
    timeoutPrompt: mediaItems.optional().describe('Played before a further try, after no digits.'),
    choices: z
      .record(digitText, label)
      .optional()
      .describe('A menu: what may be pressed, and the label where the flow goes on.'),
    variable: variableName.optional().describe('Where the digits are kept; default: `digits`.'),
    accept: z
      .array(text)
      .min(1)
      .optional()
      .describe('The only digits that are right, e.g. a PIN; may have variables. All others are invalid.'),
    minDigits: z.int().min(1).max(64).default(1).describe('With fewer they are invalid. Not for a menu.'),
    maxDigits: z
      .int()
      .min(1)
      .max(64)
      .optional()
      .describe('With so many it is done at once. Not for a menu. Default: 64.'),
    terminator: z
      .union([z.literal('none'), z.string().regex(/^[0-9A-D*#]$/, 'must be one digit, or none')])
      .default('#')
      .describe('Ends the digits, and is none of them; `none`: only time and number do.'),
    firstDigitSeconds: z
      .number()
      .positive()
      .max(300)
      .default(5)
      .describe('How long to wait for the first digit, from the end of the prompt.'),
    interDigitSeconds: z.number().positive().max(60).default(3).describe('How long to wait for each further one.'),
    retries: z.int().min(0).max(20).default(2).describe('How often the caller may try again.'),
    interruptible: z
      .boolean()
      .default(true)
      .describe('Whether digits end the prompt. Where they do not, those pressed during it are lost.'),
    onTimeout: label
      .optional()
      .describe('Where to go on when nothing was pressed in the last try; default: the step below.'),
    onInvalid: label.optional().describe('Where to go on when the last try was invalid; default: the step below.'),
  })
  .check(({ value, issues }) => {
    const { choices, accept, maxDigits, minDigits } = value;
    const wrong = (path: string, message: string): void => {
      issues.push({ code: 'custom', path: [path], message, input: value });
    };
    if (choices !== undefined && accept !== undefined)
      wrong('accept', 'is not for a menu, whose choices say what is right');
    if (choices !== undefined && Object.keys(choices).length === 0) wrong('choices', 'has none');
    if (maxDigits !== undefined && maxDigits < minDigits) wrong('maxDigits', `is less than minDigits (${minDigits})`);
  });
type Step = z.infer<typeof step>;

interface State {
  readonly phase: 'prompt' | 'digits';
  readonly digits: string;
  /** With the present one. */
  readonly tries: number;
}

export const digitsReceive = defineAction<Step, State>({
  name: 'digits_receive',
  summary:
    'Receives digits (RFC 4733 or SIP INFO): a menu with `choices`, or a number into a `variable`. Answers the caller first.',
  step,
  exits: ({ choices, onTimeout, onInvalid }) => ({
    labels: [
      ...Object.entries(choices ?? {}).map(([digits, name]) => ({ path: ['choices', digits], label: name })),
      ...Object.entries({ onTimeout, onInvalid }).flatMap(([key, name]) =>
        name === undefined ? [] : [{ path: [key], label: name }],
      ),
    ],
    next: choices === undefined || onTimeout === undefined || onInvalid === undefined,
  }),
  sounds: ({ prompt, invalidPrompt, timeoutPrompt }) =>
    Object.entries({ prompt, invalidPrompt, timeoutPrompt }).map(([key, items]) => ({
      path: [key],
      items: itemsOf(items),
    })),
  begin: (given, scene) => ({ ...answering(scene.answered), ...prompted(given, [], 1, scene) }),
  hear(given, state, event, scene) {
    if (event.type === 'played') return waiting(given, state);
    if (event.type === 'timeout')
      return state.digits === '' ? nothing(given, state, scene) : judged(given, state, scene);
    if (event.type !== 'digit') return undefined;
    if (state.phase === 'prompt' && !given.interruptible) return undefined;
    return pressed(given, state, event.digit, scene);
  },
});

/** Plays `before` and the prompt, and waits for the first digit. */
function prompted(
  given: Step,
  before: ReturnType<typeof filledItems>,
  tries: number,
  scene: FlowScene,
): FlowTurn<State> {
  const items = [...before, ...filledItems(given.prompt, scene.text)];
  const state: State = { phase: 'prompt', digits: '', tries };
  return items.length === 0 ? waiting(given, state) : { state, play: { items }, timer: null };
}

function waiting({ firstDigitSeconds, interDigitSeconds }: Step, state: State): FlowTurn<State> {
  const seconds = state.digits === '' ? firstDigitSeconds : interDigitSeconds;
  return { state: { ...state, phase: 'digits' }, timer: { seconds, forCaller: true } };
}

function pressed(given: Step, state: State, digit: string, scene: FlowScene): FlowTurn<State> {
  const silent: Pick<FlowTurn<State>, 'play'> = state.phase === 'prompt' ? { play: 'stop' } : {};
  // Where a menu has the terminator for a choice, it is one.
  if (digit === given.terminator && !Object.keys(given.choices ?? {}).some(choice => choice.includes(digit))) {
    return { ...silent, ...(state.digits === '' ? nothing(given, state, scene) : judged(given, state, scene)) };
  }
  const next: State = { ...state, digits: state.digits + digit };
  return { ...silent, ...(mayGoOn(given, next.digits) ? waiting(given, next) : judged(given, next, scene)) };
}

/** More digits could still make something else of them. */
function mayGoOn({ choices, maxDigits = 64 }: Step, digits: string): boolean {
  if (choices === undefined) return digits.length < maxDigits;
  return Object.keys(choices).some(choice => choice.length > digits.length && choice.startsWith(digits));
}

function judged(given: Step, state: State, scene: FlowScene): FlowTurn<State> {
  const { choices, accept, minDigits, variable = 'digits' } = given;
  const { digits } = state;
  const variables = { [variable]: digits };
  if (choices !== undefined) {
    const chosen = Object.hasOwn(choices, digits) ? choices[digits] : undefined;
    return chosen === undefined
      ? again(given, state, given.invalidPrompt, given.onInvalid, scene)
      : { go: { label: chosen }, variables };
  }
  const isRight = accept === undefined ? digits.length >= minDigits : accept.some(one => scene.text(one) === digits);
  return isRight ? { go: 'next', variables } : again(given, state, given.invalidPrompt, given.onInvalid, scene);
}

function nothing(given: Step, state: State, scene: FlowScene): FlowTurn<State> {
  return again(given, state, given.timeoutPrompt, given.onTimeout, scene);
}

/** Another try, or the way of one who has none left: without the digits of a try that failed. */
function again(
  given: Step,
  { tries }: State,
  said: Step['prompt'],
  otherwise: string | undefined,
  scene: FlowScene,
): FlowTurn<State> {
  if (tries <= given.retries) return prompted(given, filledItems(said, scene.text), tries + 1, scene);
  return { go: way(otherwise), variables: { [given.variable ?? 'digits']: '' } };
}
