// docs/plugin-api.md is what the types and comments of the plugin API say.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { projectRoot } from '../harness/project-root.js';

test('the plugin API reference is in step with the sources', async () => {
  const script = join(projectRoot, 'scripts/generate-plugin-api.mjs');
  await assert.doesNotReject(promisify(execFile)(process.execPath, [script, '--check']));
});
