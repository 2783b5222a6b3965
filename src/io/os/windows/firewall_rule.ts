/**
 * Rules of Windows Defender Firewall that let in what comes to listeners of
 * ours: the firewall drops what no rule lets in, and asks nobody where no window
 * is.
 *
 * By netsh: the firewall's own interface is COM. Rules have no keys but their
 * names, and several may have one: a name of ours tells port or interface.
 */
import { formatAddress } from "../../../core/wire/address.ts";
import type { InterfaceAddress } from "../../ports.ts";
import { systemFolder } from "./system_folders.ts";

/** Runs a program of the system to its end. @returns its exit code and what it said. */
export type RunProgram = (
  program: string,
  args: readonly string[],
) => { readonly code: number; readonly output: string };

/** A rule for listeners of this program. */
export interface FirewallRule {
  readonly name: string;
  readonly protocol: "UDP" | "TCP";
  /** What is let in: `localport=51820`. */
  readonly scope: string;
}

/** The firewall does not do what it is asked. */
export class FirewallError extends Error {
  override readonly name = "FirewallError";
}

/** What netsh says where no rule has that name; its words differ by language. */
const NETSH_FAILED = 1;
/** As the system's own command line has it. */
const NO_PROGRAM = 9009;

/** Datagrams to a port, from anywhere. */
export function listenerRule(port: number): FirewallRule {
  return {
    name: `sluice UDP ${port}`,
    protocol: "UDP",
    scope: `localport=${port}`,
  };
}

/** Connections to the addresses of an interface. */
export function interfaceRule(
  interfaceName: string,
  addresses: readonly InterfaceAddress[],
): FirewallRule {
  const list = addresses.map(({ words }) => formatAddress(words));
  return {
    name: `sluice TCP ${interfaceName}`,
    protocol: "TCP",
    scope: `localip=${list.join(",")}`,
  };
}

/**
 * Adds a rule, in the place of others of its name.
 * @throws {FirewallError} with what netsh says.
 */
export function addRule(run: RunProgram, rule: FirewallRule): void {
  // Adding twice would make two of them.
  removeRule(run, rule.name);
  const { code, output } = run("netsh", [
    "advfirewall",
    "firewall",
    "add",
    "rule",
    `name=${rule.name}`,
    "dir=in",
    "action=allow",
    `protocol=${rule.protocol}`,
    rule.scope,
    `program=${Deno.execPath()}`,
    "profile=any",
    "enable=yes",
  ]);
  if (code !== 0) throw failed(code, output);
}

/**
 * Removes all rules of a name.
 * @returns whether there was one.
 * @throws {FirewallError} with what netsh says.
 */
export function removeRule(run: RunProgram, name: string): boolean {
  const { code, output } = run("netsh", [
    "advfirewall",
    "firewall",
    "delete",
    "rule",
    `name=${name}`,
    "dir=in",
  ]);
  if (code === 0) return true;
  if (code === NETSH_FAILED) return false;
  throw failed(code, output);
}

/**
 * Runs a program of the system, never one that lies elsewhere on the path.
 * @param program its name: `netsh`
 */
export function runProgram(
  program: string,
  args: readonly string[],
): ReturnType<RunProgram> {
  try {
    const path = `${systemFolder()}\\${program}.exe`;
    const { code, stdout, stderr } = new Deno.Command(path, {
      args: [...args],
      stdin: "null",
    }).outputSync();
    const text = new TextDecoder();
    return { code, output: `${text.decode(stdout)}${text.decode(stderr)}` };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return { code: NO_PROGRAM, output: `there is no ${program}` };
  }
}

function failed(code: number, output: string): FirewallError {
  return new FirewallError(
    `netsh advfirewall: exit code ${code}: ${output.trim()}`,
  );
}
