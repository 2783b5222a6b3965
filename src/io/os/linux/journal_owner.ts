/**
 * Who a process is, so that another one can tell whether it still runs.
 * Source: proc_pid_stat(5), namespaces(7).
 */

import type { ProcessIdentity } from "../journal_format.ts";

/** Who this process is. */
export function currentProcess(): ProcessIdentity {
  return {
    processId: Deno.pid,
    // Clock ticks between boot and its start.
    startTime: startTimeOf(Deno.pid) ?? "",
    boot: Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim(),
    processes: Deno.readLinkSync("/proc/self/ns/pid"),
    network: Deno.readLinkSync("/proc/self/ns/net"),
  };
}

/** Whether a process of this boot and process namespace still runs. */
export function isAlive(process: ProcessIdentity): boolean {
  return startTimeOf(process.processId) === process.startTime;
}

/** When a process started; undefined where there is none, or only its corpse. */
function startTimeOf(processId: number): string | undefined {
  try {
    return parseStartTime(Deno.readTextFileSync(`/proc/${processId}/stat`));
  } catch {
    return undefined;
  }
}

/**
 * Field 22 of a /proc/PID/stat text; undefined for a zombie or other text. The
 * second field, the program's name, may hold spaces and parentheses.
 */
export function parseStartTime(stat: string): string | undefined {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state] = fields;
  const dead = state === "Z" || state === "X";
  return dead ? undefined : fields[22 - 3];
}
