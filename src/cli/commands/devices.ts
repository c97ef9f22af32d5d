import type { Command } from 'commander'
import { backend } from '../../core/index.ts'
import { printTable } from '../table.ts'

export function addDevices(program: Command): void {
  program
    .command('devices')
    .description('list the devices that can run programs')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  tenet devices')
    .action(async ({ json = false }: { json?: boolean }) => {
      const devices = await backend().list()
      if (json) console.log(JSON.stringify({ devices }))
      else
        printTable(
          ['device', 'available', ''],
          devices.map(d => [d.name, d.available ? 'yes' : 'no', d.detail]),
        )
    })
}
