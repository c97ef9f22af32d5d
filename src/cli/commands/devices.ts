import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { type Command, Option } from 'commander'
import { backend, compile, type DeviceInfo, type Tensor } from '../../core/index.ts'
import { printTable } from '../table.ts'
import { UserError } from '../user-error.ts'

/** Longest wait for a device's driver. */
const PATIENCE_MS = 30_000

/** Runs a program of one addition. @throws what the device says when it cannot be opened or does not add */
async function runOnce(device: string): Promise<void> {
  const increment = compile((x: Tensor) => x.add(1), { device })
  const { data } = await increment(new Float32Array([1, 2]))
  await increment.release()
  if (data[0] !== 2 || data[1] !== 3) throw new UserError(`${device}: 1 + 1 gives ${data[0]}`)
}

/** Opens a device in a process of its own: drivers print what they like, and may take their process down with them. */
async function tried(device: DeviceInfo): Promise<DeviceInfo> {
  if (!device.available || device.name === 'cpu') return device
  try {
    await promisify(execFile)(process.execPath, [process.argv[1], 'devices', '--try', device.name], {
      timeout: PATIENCE_MS,
    })
    return { ...device, detail: 'opens and computes' }
  } catch (error) {
    const { stderr = '' } = error as { stderr?: string }
    const reason =
      stderr
        .split('\n')
        .findLast(line => line.startsWith('tenet: '))
        ?.slice('tenet: '.length) ?? 'its driver ended the process or did not answer'
    return { ...device, available: false, detail: `bundled, but does not open: ${reason}` }
  }
}

/** The part of a native error that is for people: behind the source location and the condition that failed. */
const spoken = (message: string): string =>
  /was false\. (.*)/s.exec(message)?.[1].split('\n')[0] ?? message.split('\n')[0]

export function addDevices(program: Command): void {
  program
    .command('devices')
    .description('list the devices that can run programs, each tried with a small one')
    .option('--json', 'print one JSON document')
    .addOption(new Option('--try <device>', 'run a program of one addition there').hideHelp())
    .addHelpText('after', '\nExample:\n  tenet devices')
    .action(async ({ json = false, try: device }: { json?: boolean; try?: string }) => {
      if (device !== undefined) {
        await runOnce(device).catch((error: Error) => {
          throw new UserError(spoken(error.message))
        })
        return
      }
      const devices = await Promise.all((await backend().list()).map(tried))
      if (json) console.log(JSON.stringify({ devices }))
      else
        printTable(
          ['device', 'available', ''],
          devices.map(d => [d.name, d.available ? 'yes' : 'no', d.detail]),
        )
    })
}
