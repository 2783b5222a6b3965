/**
 * Packages of a newer Debian release, fetched without touching the machine's
 * own package lists: apt runs on private directories with a source list of one
 * line, from the mirror that the machine itself uses.
 */
import { runCommand } from "./process.ts";

const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
const SOURCE_FILES = [
  "/etc/apt/sources.list.d/debian.sources",
  "/etc/apt/sources.list",
];

/** apt on directories below one of the caller's own. */
export class PrivateApt {
  readonly #command: readonly string[];
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
    this.#command = [
      "apt-get",
      ...option("Dir::State", `${directory}/state`),
      ...option("Dir::State::status", `${directory}/state/status`),
      ...option("Dir::Cache", `${directory}/cache`),
      ...option("Dir::Etc::sourcelist", `${directory}/sources.list`),
      ...option("Dir::Etc::sourceparts", "-"),
      ...option("Dir::Etc::preferencesparts", "-"),
      ...option("APT::Sandbox::User", ""),
      ...option("Acquire::Languages", "none"),
      ...option("Acquire::IndexTargets::deb::DEP-11::DefaultEnabled", "false"),
    ];
  }

  /**
   * Fetches the package lists of `suite`.
   * @param directory an empty one, the caller's to remove.
   * @throws CommandError where apt fails.
   */
  static async open(directory: string, suite: string): Promise<PrivateApt> {
    await Deno.mkdir(`${directory}/state/lists/partial`, { recursive: true });
    await Deno.mkdir(`${directory}/cache/archives/partial`, {
      recursive: true,
    });
    await Deno.writeTextFile(`${directory}/state/status`, "");
    await Deno.writeTextFile(
      `${directory}/sources.list`,
      `deb [signed-by=${KEYRING}] ${await debianMirror()} ${suite} main\n`,
    );
    const apt = new PrivateApt(directory);
    await runCommand([...apt.#command, "update"], { timeoutMs: 120_000 });
    return apt;
  }

  /** Fetches one package. @returns the paths of the `.deb` files. */
  async download(name: string): Promise<string[]> {
    await runCommand([...this.#command, "download", name], {
      cwd: this.#directory,
      timeoutMs: 120_000,
    });
    return await debFiles(this.#directory);
  }

  /** Fetches packages and all that they depend on, as if nothing were installed. */
  async downloadClosure(names: readonly string[]): Promise<string[]> {
    await runCommand([
      ...this.#command,
      "install",
      "--yes",
      "--no-install-recommends",
      "--download-only",
      ...option("Binary::apt::APT::Keep-Downloaded-Packages", "true"),
      ...names,
    ], { timeoutMs: 300_000 });
    return await debFiles(`${this.#directory}/cache/archives`);
  }
}

function option(name: string, value: string): string[] {
  return ["-o", `${name}=${value}`];
}

async function debFiles(directory: string): Promise<string[]> {
  const files = [];
  for await (const { name } of Deno.readDir(directory)) {
    if (name.endsWith(".deb")) files.push(`${directory}/${name}`);
  }
  if (files.length === 0) throw new Error("apt-get left no package");
  return files.sort();
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
