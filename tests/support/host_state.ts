/** What a program may have changed on its host, to compare before and after. */
import type { Namespace } from "./lab.ts";
import { waitFor } from "./wait.ts";

/** Links, addresses, routes, rules and files, as sorted lines. */
export async function hostState(namespace: Namespace): Promise<string[]> {
  await linksSettled(namespace);
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

/**
 * A new link gets its link-local address when the system comes to it: with many
 * links made at once that takes a while, and would look like a change.
 */
async function linksSettled(namespace: Namespace): Promise<void> {
  await waitFor("the links to have their addresses", async () => {
    const links = await namespace.run(["ip", "-oneline", "link"]);
    const { stdout: addresses } = await namespace.run(
      ["ip", "-oneline", "-6", "address", "show", "scope", "link"],
    );
    for (const line of links.stdout.split("\n")) {
      const name = /^\d+: ([^@:]+).* link\/ether /.exec(line)?.[1];
      if (name === undefined || !/[<,]LOWER_UP[,>]/.test(line)) continue;
      if (new RegExp(`^\\d+: ${name}\\s`, "m").test(addresses)) continue;
      if (await usesIpv6(namespace, name)) return false;
    }
    return true;
  }, { intervalMs: 20 });
}

async function usesIpv6(namespace: Namespace, link: string): Promise<boolean> {
  const { stdout } = await namespace.run(
    ["cat", `/proc/sys/net/ipv6/conf/${link}/disable_ipv6`],
    { exit: "any" },
  );
  return stdout.trim() === "0";
}
