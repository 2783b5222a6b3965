/**
 * wireguard-go from Debian trixie (0.0.20231211 or newer: the first with
 * offloads), fetched without touching the machine's own package lists: apt runs
 * on private directories with a source list of one line. The program is static,
 * so that it runs on older releases too.
 */
import { cacheDirectory } from "./cache_directory.ts";
import { runCommand } from "./process.ts";

const SUITE = "trixie";
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
const SOURCE_FILES = [
  "/etc/apt/sources.list.d/debian.sources",
  "/etc/apt/sources.list",
];

/** Path of the fetched program; undefined where it has not been fetched. */
export async function cachedWireguardGo(): Promise<string | undefined> {
  const path = `${cacheDirectory()}/wireguard-go`;
  return await Deno.stat(path).then(() => path, () => undefined);
}

/**
 * Fetches the program where the cache lacks it.
 *
 * @returns its path.
 * @throws CommandError where apt or dpkg fail.
 */
export async function fetchWireguardGo(): Promise<string> {
  const cached = await cachedWireguardGo();
  if (cached) return cached;
  const work = await Deno.makeTempDir({ prefix: "sluice-wireguard-go-" });
  try {
    const unpacked = await downloadPackage(work);
    await Deno.mkdir(cacheDirectory(), { recursive: true });
    const path = `${cacheDirectory()}/wireguard-go`;
    await Deno.copyFile(`${unpacked}/usr/bin/wireguard-go`, `${path}.new`);
    await Deno.chmod(`${path}.new`, 0o755);
    await runCommand([`${path}.new`, "--version"]);
    await Deno.rename(`${path}.new`, path);
    return path;
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

async function downloadPackage(work: string): Promise<string> {
  await Deno.mkdir(`${work}/state/lists/partial`, { recursive: true });
  await Deno.mkdir(`${work}/cache/archives/partial`, { recursive: true });
  await Deno.writeTextFile(`${work}/state/status`, "");
  await Deno.writeTextFile(
    `${work}/sources.list`,
    `deb [signed-by=${KEYRING}] ${await debianMirror()} ${SUITE} main\n`,
  );
  const apt = [
    "apt-get",
    ...aptOption("Dir::State", `${work}/state`),
    ...aptOption("Dir::State::status", `${work}/state/status`),
    ...aptOption("Dir::Cache", `${work}/cache`),
    ...aptOption("Dir::Etc::sourcelist", `${work}/sources.list`),
    ...aptOption("Dir::Etc::sourceparts", "-"),
    ...aptOption("APT::Sandbox::User", ""),
    ...aptOption("Acquire::Languages", "none"),
    ...aptOption("Acquire::IndexTargets::deb::DEP-11::DefaultEnabled", "false"),
  ];
  await runCommand([...apt, "update"], { timeoutMs: 120_000 });
  await runCommand([...apt, "download", "wireguard-go"], {
    cwd: work,
    timeoutMs: 120_000,
  });
  for await (const entry of Deno.readDir(work)) {
    if (!entry.name.endsWith(".deb")) continue;
    await runCommand([
      "dpkg-deb",
      "-x",
      `${work}/${entry.name}`,
      `${work}/unpacked`,
    ]);
    return `${work}/unpacked`;
  }
  throw new Error("apt-get download left no package");
}

function aptOption(name: string, value: string): string[] {
  return ["-o", `${name}=${value}`];
}

/** The mirror that the machine itself uses for Debian. */
async function debianMirror(): Promise<string> {
  for (const file of SOURCE_FILES) {
    const text = await Deno.readTextFile(file).catch(() => "");
    const match = text.match(
      /^(?:URIs:|deb(?:\s+\[[^\]]*\])?)\s+(\S+\/debian\/?)(?:\s|$)/m,
    );
    if (match) return match[1];
  }
  throw new Error(`no Debian mirror in ${SOURCE_FILES.join(" or ")}`);
}
