// Reads docs/plugin-tutorial.md: the files that it has its reader write, and the commands, in their order.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { projectRoot } from './project-root.js';

export type TutorialBlock = { readonly heading: string } & (
  { readonly path: string; readonly text: string } | { readonly command: string }
);

/** A block of code is a file where a path stands behind its language, else commands for the shell. */
export async function readTutorial(): Promise<readonly TutorialBlock[]> {
  const text = await readFile(join(projectRoot, 'docs/plugin-tutorial.md'), 'utf8');
  let heading = '';
  const found = text.matchAll(/^#+ (?<title>[^\n]*)$|^```(?<language>\w+)(?: (?<path>\S+))?\n(?<body>.*?)^```$/gms);
  return [...found].flatMap(({ groups = {} }): TutorialBlock[] => {
    const { title, language, path, body = '' } = groups;
    if (title !== undefined) heading = title;
    if (path !== undefined) return [{ heading, path, text: body }];
    return language === 'sh' ? [{ heading, command: body }] : [];
  });
}
