// The floors of the project as a rule that a machine checks: imports only go down.

/** From the ground up; floors written in one entry stand beside each other and do not import each other. */
const floors = [
  ['core'],
  ['numerics'],
  ['nn'],
  ['optim'],
  ['train'],
  ['data'],
  ['metrics'],
  ['tasks'],
  ['systems'],
  ['search'],
  ['server'],
  ['cli', 'web'],
]

const testFile = '\\.test\\.tsx?$'
const nodeRuntime = '^src/core/runtime/node[^/]*\\.ts$'

/** One rule a floor: what stands above it, or beside it, is out of reach. */
const floorRules = floors.flatMap((names, level) =>
  names.map(name => {
    const above = floors.slice(level + 1).flat()
    const beside = names.filter(other => other !== name)
    return {
      name: `floors-${name}`,
      comment: `src/${name} may import only the floors below it; move what it needs down, or the caller up.`,
      severity: 'error',
      from: { path: `^src/${name}/` },
      // The files directly in src put the floors together for the package's users, so they stand above all of them.
      to: { path: [...above, ...beside].map(other => `^src/${other}/`).concat('^src/[^/]+$') },
    }
  }),
)

module.exports = {
  forbidden: [
    ...floorRules,
    {
      name: 'unknown-floor',
      comment: 'A folder in src must be one of the floors listed in .dependency-cruiser.cjs.',
      severity: 'error',
      from: { path: '^src/[^/]+/', pathNot: `^src/(${floors.flat().join('|')})/` },
      to: {},
    },
    {
      name: 'core-without-node',
      comment: 'core also runs in browsers: only core/runtime/node*.ts may use what Node alone has.',
      severity: 'error',
      from: { path: '^src/core/', pathNot: [nodeRuntime, testFile] },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'core-without-node-packages',
      comment: 'onnxruntime-node loads a native library: only core/runtime/node*.ts may use it.',
      severity: 'error',
      from: { path: '^src/', pathNot: [nodeRuntime, testFile] },
      to: { path: '(^|/)node_modules/onnxruntime-node/' },
    },
    {
      name: 'browser-entry-without-node',
      comment: 'What the browser condition of package.json leads to must never reach the Node runtime.',
      severity: 'error',
      from: { path: '(^|/)index\\.browser\\.ts$' },
      to: { path: nodeRuntime, reachable: true },
    },
    {
      name: 'systems-by-their-entry',
      comment: 'A system is imported only by its index.ts; a piece that two systems need moves down to nn or tasks.',
      severity: 'error',
      from: { path: '^src/systems/([^/]+/[^/]+)/' },
      to: { path: '^src/systems/[^/]+/[^/]+/', pathNot: ['^src/systems/$1/', '^src/systems/[^/]+/[^/]+/index\\.ts$'] },
    },
    {
      name: 'systems-by-their-entry-from-outside',
      comment: 'The floors above, and the registry itself, import a system only by its index.ts.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/systems/[^/]+/[^/]+/' },
      to: { path: '^src/systems/[^/]+/[^/]+/', pathNot: '^src/systems/[^/]+/[^/]+/index\\.ts$' },
    },
    {
      name: 'shipped-without-tests',
      comment: 'Only tests import tests and their helpers; nothing in src imports bench, scripts or examples.',
      severity: 'error',
      from: { path: '^src/', pathNot: testFile },
      to: { path: ['^(test|bench|scripts|examples)/', testFile] },
    },
    {
      name: 'shipped-without-bench',
      comment: 'A test may use test/ helpers, and nothing else outside src.',
      severity: 'error',
      from: { path: `^src/.*${testFile}` },
      to: { path: '^(bench|scripts|examples)/' },
    },
    {
      name: 'shipped-dependencies-declared',
      comment: 'A package that src uses stands in dependencies or peerDependencies, or users will not have it.',
      severity: 'error',
      from: { path: '^src/', pathNot: [testFile, '^src/web/'] },
      to: {
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'],
        dependencyTypesNot: ['npm-peer', 'npm-optional', 'type-only'],
      },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // Types count too: a floor that knows the shape of what stands above it is not below it.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'node', 'default'],
    },
  },
}
