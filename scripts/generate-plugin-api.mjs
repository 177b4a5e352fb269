// Writes docs/plugin-api.md from the types of `holdfast/plugin-api` and `holdfast/testing` and their comments; `--check` only says
// whether it is in step. Reads the sources as text: what they say is what is documented, in their order.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import ts from 'typescript';

const root = join(import.meta.dirname, '..');
const target = join(root, 'docs/plugin-api.md');

/** Headings of the files that may be in it. */
const headings = {
  'core/plugin-api.ts': 'Plugins, hooks, events, services',
  'core/plugins/plugin-facts.ts': 'The config, phones, problems',
  'core/calls/call-facts.ts': 'Calls',
  'core/flows/flow-facts.ts': 'Actions of flows',
  'core/calls/connect-steps.ts': 'Whom to connect to',
  'core/calls/target-config.ts': 'Targets in configs',
  'core/calls/leg-headers.ts': 'Headers',
  'core/calls/sip-uri.ts': 'URIs',
  'core/calls/dial-pattern.ts': 'Dial patterns',
  'core/calls/call-control-facts.ts': 'Calls that are up',
  'core/conferences/conference-facts.ts': 'Rooms',
  'core/recovery/recovery-facts.ts': 'Recoveries',
  'core/ports/trace-source.ts': 'Trace sources',
  'core/ports/edge.ts': 'Codecs',
  'core/errors.ts': 'Errors',
  'core/testing/test-host.ts': 'The test host',
  'core/testing/facts.ts': 'Facts for tests',
};

function parse(file) {
  return ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
}

/** Every exported declaration that a module gives away, of its own and passed on, as {name, node, file}, in order. */
function exportsOf(file) {
  return parse(file).statements.flatMap(node => {
    if (ts.isExportDeclaration(node)) return passedOn(node, file);
    if (!node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) return [];
    if (ts.isVariableStatement(node)) {
      return node.declarationList.declarations.map(one => ({ name: one.name.text, node: one, doc: docOf(node), file }));
    }
    return [{ name: node.name.text, node, doc: docOf(node), file }];
  });
}

function passedOn(node, file) {
  const from = node.moduleSpecifier.text;
  const names = node.exportClause?.elements.map(element => element.name.text);
  if (!from.startsWith('.')) return names.map(name => ({ name, node, doc: docOf(node), file }));
  const theirs = exportsOf(resolve(dirname(file), from.replace(/\.js$/, '.ts')));
  if (names === undefined) return theirs;
  return names.map(name => theirs.find(one => one.name === name) ?? fail(`${file}: ${from} does not export ${name}`));
}

function docOf(node) {
  const comments = (node.jsDoc ?? []).map(({ comment }) => ts.getTextOfJSDocComment(comment) ?? '');
  return (comments.at(-1) ?? '').replace(/\s*\n\s*/g, ' ').trim();
}

/** A piece of source as one line, without comments and without `readonly`, which goes without saying. */
function line(node) {
  const text = node.getText().replace(/\/\*\*.*?\*\//gs, '');
  return text
    .replace(/\breadonly /g, '')
    .replace(/\s+/g, ' ')
    .replace(/\( /g, '(')
    .replace(/,? \)/g, ')')
    .replace(/;? }/g, ' }')
    .replace(/;$/, '')
    .trim();
}

const isHidden = member =>
  member.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.PrivateKeyword) ||
  member.name?.kind === ts.SyntaxKind.PrivateIdentifier;

/** A class's member as its user sees it: without its body. */
function signature(member) {
  if (member.body === undefined) return line(member).replace(/ = .*|override /g, '');
  return head(member)
    .replace(/\b(async|override) /g, '')
    .replace(/^get (\w+)\(\)/, '$1');
}

function membersOf(node) {
  const members = node.members.filter(member => !isHidden(member));
  return members.map(member => ({
    text: ts.isClassDeclaration(node) ? signature(member) : line(member),
    doc: docOf(member),
  }));
}

/** T of a constant that is a `ServiceToken<T>`. */
function serviceOf(node) {
  const { initializer } = ts.isVariableDeclaration(node) ? node : {};
  return initializer && ts.isCallExpression(initializer) ? initializer.typeArguments?.[0] : undefined;
}

/** The head of a declaration, for those that have no members to list. */
function declaration({ name, node }) {
  if (ts.isVariableDeclaration(node)) {
    if (node.type) return `const ${name}: ${line(node.type)}`;
    const service = serviceOf(node);
    return service ? `const ${name}: ServiceToken<${line(service)}>` : `const ${name} = ${line(node.initializer)}`;
  }
  if (ts.isFunctionDeclaration(node)) return head(node).replace(/^export /, '');
  return node
    .getText()
    .replace(/^export /, '')
    .replace(/\breadonly /g, '');
}

/** A function or method without its body. */
function head(node) {
  return line({ getText: () => node.getText().slice(0, node.body.getStart() - node.getStart()) });
}

function entry(one, known) {
  const { name, node, doc } = one;
  if (doc === '') fail(`${relative(root, one.file)}: ${name} has no doc comment`);
  // A service and its type have names that differ in one letter's case: their anchors must differ in more.
  const parts = [`### ${name}${serviceOf(node) ? ', a service' : ''}`, doc];
  if (ts.isExportDeclaration(node)) return parts.join('\n\n');
  if (ts.isInterfaceDeclaration(node) || ts.isClassDeclaration(node)) {
    const more = node.heritageClauses?.map(clause => line(clause)).join(' ');
    if (more) parts.push(`\`${more}\``);
    parts.push(
      membersOf(node)
        .map(member => item(member, name, known))
        .join('\n'),
    );
  } else {
    parts.push(`\`\`\`ts\n${declaration(one)}\n\`\`\``);
  }
  return parts.join('\n\n');
}

function item({ text, doc }, owner, known) {
  const types = [...new Set(text.match(/\b[A-Z]\w+/g) ?? [])].filter(type => known.has(type) && type !== owner);
  const links = types.map(type => `[${type}](#${type.toLowerCase()})`).join(', ');
  return `- \`${text}\`${doc === '' ? '' : `: ${doc}`}${links === '' ? '' : ` → ${links}`}`;
}

function fail(message) {
  throw new Error(message);
}

/** The entries of a module, under a heading for each file. */
function part(file) {
  const all = exportsOf(join(root, file));
  const known = new Set(allNames());
  const files = [...new Set(all.map(one => one.file))].sort((a, b) => order(a) - order(b));
  return files.map(path => {
    const name = relative(root, path);
    const heading = headings[name] ?? fail(`scripts/generate-plugin-api.mjs: no heading for ${name}`);
    const entries = all.filter(one => one.file === path).map(one => entry(one, known));
    return [`## ${heading}`, ...entries].join('\n\n');
  });
}

const order = path => Object.keys(headings).indexOf(relative(root, path));

function allNames() {
  return ['core/plugin-api.ts', 'core/testing/index.ts'].flatMap(file =>
    exportsOf(join(root, file)).map(({ name }) => name),
  );
}

function document() {
  const version = exportsOf(join(root, 'core/plugin-api.ts')).find(({ name }) => name === 'pluginApiVersion');
  return `# The plugin API, version ${line(version.node.initializer)}

<!-- Written by scripts/generate-plugin-api.mjs from the comments in the sources: change those, then \`npm run docs\`. -->

All that \`holdfast/plugin-api\` exports, and behind it \`holdfast/testing\`. [plugins.md](plugins.md) explains it, [plugin-tutorial.md](plugin-tutorial.md)
shows it at work. Every property is \`readonly\`, which is left out here.

${part('core/plugin-api.ts').join('\n\n')}

# holdfast/testing

What a test of a plugin imports: the daemon's own plugin host without any server.

${part('core/testing/index.ts').join('\n\n')}
`;
}

const text = document();
if (process.argv[2] === '--check') {
  if (readFileSync(target, 'utf8') === text) process.exit(0);
  console.error('docs/plugin-api.md is not what the sources say: run `npm run docs`');
  process.exit(1);
}
writeFileSync(target, text);
