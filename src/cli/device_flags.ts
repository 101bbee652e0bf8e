// The flags that choose where a command computes: --device, --dtype and --threads.
import { type Command, Option } from 'commander';
import { DEVICES, type DeviceName, DTYPES, type DtypeName, READING_DTYPES } from '../backends/open.ts';
import { count } from './numbers.ts';

export interface DeviceFlags {
  readonly device: DeviceName;
  readonly dtype: DtypeName;
  readonly threads?: number;
}

export function withDeviceOptions(command: Command): Command {
  return withOptions(command, DTYPES, 'auto is bfloat16 on a card, float32 on the CPU');
}

/** For commands that train nothing. */
export function withReadingDeviceOptions(command: Command): Command {
  const help = 'auto is bfloat16 on a card, float32 on the CPU; int8 is for the CPU, and faster there';
  return withOptions(command, READING_DTYPES, help);
}

function withOptions(command: Command, dtypes: readonly DtypeName[], dtypeHelp: string): Command {
  return command
    .addOption(
      new Option('--device <name>', 'where to compute; auto takes an NVIDIA card that can be used')
        .choices(DEVICES)
        .default('auto'),
    )
    .addOption(new Option('--dtype <name>', dtypeHelp).choices(dtypes).default('auto'))
    .option('--threads <n>', 'CPU threads; by default one a core', count);
}
