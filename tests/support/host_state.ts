/** What a program may have changed on its host, to compare before and after. */
import type { Namespace } from "./lab.ts";

/** Links, addresses, routes, rules and files, as sorted lines. */
export async function hostState(namespace: Namespace): Promise<string[]> {
  const lines: string[] = [];
  const commands = [
    ["ip", "-oneline", "link"],
    ["ip", "-oneline", "address"],
    ["ip", "route", "show", "table", "all"],
    ["ip", "-6", "route", "show", "table", "all"],
    ["ip", "rule"],
    ["ip", "-6", "rule"],
    ["find", "/run/wireguard", "/run/sluice", "-not", "-type", "d"],
    ["cat", "/etc/resolv.conf"],
  ];
  for (const command of commands) {
    const { stdout } = await namespace.run(command, { exit: "any" });
    // Duplicate address detection ends when it ends, whoever runs meanwhile.
    const settled = stdout.replaceAll(/ (tentative|optimistic)\b/g, "");
    lines.push(...settled.split("\n").filter((line) => line !== ""));
  }
  return lines.sort();
}
