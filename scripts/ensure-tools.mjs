// Finds the programs and data outside npm that some tests use. Where it can (Debian or Ubuntu, as root) it installs the
// missing ones; elsewhere it prints one line with the tests that will be skipped. Runs before `npm test`.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const onPath = name => (process.env.PATH ?? '').split(delimiter).some(folder => existsSync(join(folder, name)))

/** Whether Debian's Python, or else the one on the path, holds a module; asks without paying for its import. */
function pythonFinds(module) {
  // A folder without __init__.py, such as the one the test data alone creates, has no origin.
  const probe = `import importlib.util as u, sys; s = u.find_spec('${module}'); sys.exit(s is None or s.origin is None)`
  return ['/usr/bin/python3', 'python3'].some(
    python => spawnSync(python, ['-c', probe], { stdio: 'ignore' }).status === 0,
  )
}

const tools = [
  {
    debianPackage: 'chromium',
    found: () => ['chromium', 'chromium-browser', 'google-chrome'].some(onPath),
    tests: 'training in a real browser',
  },
  {
    debianPackage: 'python3-onnx',
    found: () => pythonFinds('onnx'),
    tests: 'exported models pass the ONNX checker',
  },
  {
    debianPackage: 'libonnx-testdata',
    found: () => existsSync('/usr/lib/python3/dist-packages/onnx/backend/test/data/node'),
    tests: "ONNX's own node tests",
  },
  {
    debianPackage: 'dataset-fashion-mnist',
    found: () => existsSync('/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz'),
    tests: 'reading and training on Fashion-MNIST',
  },
]

// With package names as arguments only those are looked for, as `npm start` does for its data.
const wanted = process.argv.slice(2)
const missingTools = () =>
  tools.filter(tool => (wanted.length === 0 || wanted.includes(tool.debianPackage)) && !tool.found())

function aptInstall(packages) {
  const apt = (...args) =>
    spawnSync('apt-get', args, {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    }).status === 0
  console.log(`Installing Debian packages: ${packages.join(' ')} …`)
  // A failed update may still leave a usable package list, so the install decides.
  apt('update', '-qq')
  apt('install', '-y', '-qq', '--no-install-recommends', ...packages)
}

let missing = missingTools()
if (missing.length > 0 && process.getuid?.() === 0 && onPath('apt-get')) {
  aptInstall(missing.map(tool => tool.debianPackage))
  missing = missingTools()
}
if (missing.length > 0) {
  const list = missing.map(tool => `${tool.debianPackage} (${tool.tests})`).join(', ')
  if (process.env.CI) {
    // A build server must not turn green by skipping.
    console.error(`Missing test tools, which CI needs: ${list}. Install them and run again.`)
    process.exit(1)
  }
  if (wanted.length === 0) console.log(`Tests that will be skipped, by the missing tool: ${list}.`)
}
