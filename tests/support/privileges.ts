/**
 * Whether this machine lets a test make network namespaces and has the programs
 * that it needs. On a user's machine a test that can't run is skipped with the
 * reason in its name; where CI=true it fails instead.
 */
import { cachedWine } from "../../scripts/wine/recipe.ts";
import { runCommand } from "./process.ts";
import { cachedWireguardGo } from "./wireguard_go_package.ts";

/** What a test needs besides namespaces: a program, a TUN device, Wine, true root. */
export type Need =
  | { readonly program: string }
  | "tun"
  | "wireguard-go"
  | "wine"
  | "root";

/** Programs that every lab uses. */
const LAB_PROGRAMS = ["unshare", "nsenter", "setpriv", "ip"];
const MINGW = "x86_64-w64-mingw32-gcc";
const PACKAGES: Record<string, string> = {
  [MINGW]: "gcc-mingw-w64-x86-64",
  ip: "iproute2",
  ping: "iputils-ping",
  danted: "dante-server",
  dig: "dnsutils",
  nc: "netcat-openbsd",
  nft: "nftables",
  wg: "wireguard-tools",
  unshare: "util-linux",
  nsenter: "util-linux",
  setpriv: "util-linux",
  tinyproxy: "tinyproxy-bin",
};

/**
 * Says what is missing for a lab with these needs.
 * @returns one line for a person, undefined where nothing is missing.
 */
export async function missingForLab(
  needs: readonly Need[],
): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return "network namespaces need Linux";
  const programs = [
    ...LAB_PROGRAMS,
    ...needs.flatMap((need) => typeof need === "object" ? [need.program] : []),
    // What Windows programs of tests are built by.
    ...needs.includes("wine") ? [MINGW] : [],
  ];
  for (const program of programs) {
    if (!await hasProgram(program)) {
      return `${program} is missing: apt-get install ${
        PACKAGES[program] ?? program
      }`;
    }
  }
  return await missingNamespaces() ?? await missingDevices(needs);
}

async function missingNamespaces(): Promise<string | undefined> {
  const asRoot = Deno.uid() === 0;
  const unshare = asRoot
    ? ["unshare", "--net", "--mount"]
    : ["unshare", "--user", "--map-root-user", "--net", "--mount"];
  const { code, stderr } = await runCommand(
    [...unshare, "mount", "-t", "tmpfs", "lab", "/run"],
    { exit: "any" },
  );
  if (code === 0) return undefined;
  const why = stderr.trim().split("\n")[0];
  return asRoot
    ? `namespaces are not allowed here (${why}): run where root has CAP_SYS_ADMIN`
    : `unprivileged user namespaces are not allowed here (${why}): run as root`;
}

async function missingDevices(
  needs: readonly Need[],
): Promise<string | undefined> {
  if (needs.includes("root") && Deno.uid() !== 0) return "needs root";
  if (needs.some(isTcpdump) && Deno.uid() !== 0) {
    // It gives up its rights by setgroups, which a user namespace forbids.
    return "tcpdump needs root";
  }
  if (needs.includes("tun")) {
    try {
      (await Deno.open("/dev/net/tun", { read: true, write: true })).close();
    } catch (error) {
      return error instanceof Deno.errors.NotFound
        ? "there is no /dev/net/tun: modprobe tun"
        : "/dev/net/tun may not be opened: run as root";
    }
  }
  if (needs.includes("wireguard-go") && !await cachedWireguardGo()) {
    return "wireguard-go is missing: deno run -A scripts/peers.ts";
  }
  if (needs.includes("wine") && !await cachedWine()) {
    return "Wine is missing: deno task wine";
  }
  return undefined;
}

function isTcpdump(need: Need): boolean {
  return typeof need === "object" && need.program === "tcpdump";
}

async function hasProgram(name: string): Promise<boolean> {
  const directories = (Deno.env.get("PATH") ?? "").split(":");
  for (const directory of [...directories, "/usr/sbin", "/sbin"]) {
    const found = await Deno.stat(`${directory}/${name}`).then(
      (s) => s.isFile,
      () => false,
    );
    if (found) return true;
  }
  return false;
}
