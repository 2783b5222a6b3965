/**
 * A rule of Windows Defender Firewall that lets a listener's datagrams in: the
 * firewall drops what no rule lets in, and asks nobody where no window is.
 *
 * By netsh: the firewall's own interface is COM. Rules have no keys but their
 * names, and several may have one: a name of ours tells program and port.
 */

/** Runs a program to its end. @returns its exit code and what it said. */
export type RunProgram = (
  program: string,
  args: readonly string[],
) => { readonly code: number; readonly output: string };

/** A listener. */
export interface Listener {
  readonly port: number;
  /** The listening program's file. */
  readonly program: string;
}

/** What netsh says where no rule has that name; its words differ by language. */
const NETSH_FAILED = 1;

/** The rule's name. */
export function ruleName({ port }: Pick<Listener, "port">): string {
  return `sluice UDP ${port}`;
}

/**
 * Lets datagrams to a port of a program in.
 * @throws {Error} with what netsh says.
 */
export function addRule(run: RunProgram, listener: Listener): void {
  const { port, program } = listener;
  // Adding twice would make two of them.
  removeRule(run, ruleName(listener));
  const { code, output } = run(netsh(), [
    "advfirewall",
    "firewall",
    "add",
    "rule",
    `name=${ruleName(listener)}`,
    "dir=in",
    "action=allow",
    "protocol=UDP",
    `localport=${port}`,
    `program=${program}`,
    "profile=any",
    "enable=yes",
  ]);
  if (code !== 0) {
    throw new Error(`netsh advfirewall: exit code ${code}: ${output.trim()}`);
  }
}

/**
 * Removes all rules of a name.
 * @returns whether there was one.
 * @throws {Error} with what netsh says.
 */
export function removeRule(run: RunProgram, name: string): boolean {
  const { code, output } = run(netsh(), [
    "advfirewall",
    "firewall",
    "delete",
    "rule",
    `name=${name}`,
    "dir=in",
  ]);
  if (code === 0) return true;
  if (code === NETSH_FAILED) return false;
  throw new Error(`netsh advfirewall: exit code ${code}: ${output.trim()}`);
}

/** The system's own, never one that lies elsewhere on the path. */
function netsh(): string {
  return `${Deno.env.get("SystemRoot") ?? "C:\\Windows"}\\System32\\netsh.exe`;
}

/** Runs a program of the system without a window. */
export function runProgram(
  program: string,
  args: readonly string[],
): ReturnType<RunProgram> {
  const { code, stdout, stderr } = new Deno.Command(program, {
    args: [...args],
    stdin: "null",
  }).outputSync();
  const text = new TextDecoder();
  return { code, output: `${text.decode(stdout)}${text.decode(stderr)}` };
}
