/**
 * What Windows does and Linux doesn't: packets from an address leave by its own
 * interface, whatever the routes say (the strong host model). Sockets that are
 * to leave by an interface get an address of it from the stand-in for ws2_32.
 */
import { windowsPath } from "../../../scripts/wine/place.ts";
import type { Namespace } from "../../support/lab.ts";
import { buildForWindows } from "./standins.ts";

const STANDINS = new URL("../standins/", import.meta.url).pathname;
/** Tables and priorities of rules: one for each interface. */
const FIRST_TABLE = 1000;

interface Link {
  readonly ifindex: number;
  readonly ifname: string;
  readonly addr_info: { family: string; local: string; scope: string }[];
}

/** Builds the stand-in. @returns variables of a machine that has it. */
export async function strongHostEnv(): Promise<Record<string, string>> {
  const path = await buildForWindows({
    name: "ws2.dll",
    sources: [`${STANDINS}ws2.c`, `${STANDINS}ws2.def`],
    libraries: ["ws2_32", "iphlpapi"],
    flags: ["-D_WIN32_WINNT=0x0A00"],
  });
  return { SLUICE_TEST_WS2_32: windowsPath(path) };
}

/** Gives each interface that there is the routes of its own addresses. */
export async function makeStrongHost(namespace: Namespace): Promise<void> {
  const { stdout } = await namespace.run(["ip", "-json", "address"]);
  const links: Link[] = JSON.parse(stdout);
  for (const { ifindex, ifname, addr_info } of links) {
    const addresses = addr_info.filter(({ scope }) => scope === "global");
    const table = FIRST_TABLE + ifindex;
    for (const family of ["inet", "inet6"]) {
      const own = addresses.filter((address) => address.family === family);
      if (own.length === 0) continue;
      const flag = family === "inet" ? "-4" : "-6";
      const routes = await namespace.run(
        ["ip", flag, "route", "show", "dev", ifname],
      );
      const lines = routes.stdout.split("\n").map((line) => line.trim())
        .filter((line) => line !== "");
      const commands = [
        ...lines.map((line) =>
          `route add ${line} dev ${ifname} table ${table}`
        ),
        ...own.map(({ local }) =>
          `rule add from ${local} lookup ${table} priority ${table}`
        ),
      ];
      await namespace.run(["ip", flag, "-batch", "-"], {
        input: commands.join("\n") + "\n",
      });
    }
  }
}
