/**
 * Programs that send leak probes: this program, and `ping`, as files of the
 * names that rules are about.
 */
import { basename, dirname, extname, join } from "node:path";
import type { Arrival } from "./leaktest_message.ts";
import { type ProbeJob, readLines } from "./leaktest_prober.ts";
import { UserError } from "./errors.ts";

/** What turns a leak test into a prober; see leaktest_prober.ts. */
export const PROBER_FLAG = "--prober";
/** Of programs, where they have one. */
const EXTENSION = ".exe";

/** The name of a program's file: Windows starts what is called so. */
export function programName(name: string): string {
  return isNamedByExtension() && extname(name) === "" ? name + EXTENSION : name;
}

/** Whether programs here are what is named so, and not what has that mode. */
function isNamedByExtension(): boolean {
  return Deno.execPath().endsWith(EXTENSION);
}

/** Whether there is a ping that carries what it is given. */
export function canPing(): boolean {
  return findPing() !== undefined;
}

/** A prober that waits for its go. */
export interface Prober extends AsyncDisposable {
  readonly processId: number;
  /** Sends the probes. */
  go(): Promise<Arrival[]>;
}

/** A folder with programs of other names. */
export class ProbePrograms implements AsyncDisposable {
  readonly #folder: string;
  readonly #made = new Map<string, Promise<string>>();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Makes the folder, which only its owner may read. */
  static async create(): Promise<ProbePrograms> {
    return new ProbePrograms(await Deno.makeTempDir({ prefix: "leaktest-" }));
  }

  /** Starts this program under a name, with a job to do. */
  async startProber(name: string, job: ProbeJob): Promise<Prober> {
    const path = await this.#copy(Deno.execPath(), name);
    const own = Deno.build.standalone
      ? []
      : ["run", "-A", "--no-check", "--unstable-net", Deno.mainModule];
    const child = new Deno.Command(path, {
      args: [...own, "leaktest", PROBER_FLAG],
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const input = child.stdin.getWriter();
    const output = readLines(child.stdout);
    const send = (line: string) =>
      input.write(new TextEncoder().encode(line + "\n"));
    await send(JSON.stringify(job));
    return {
      processId: child.pid,
      go: async () => {
        await send("go");
        const { value } = await output.next();
        return value === undefined ? [] : JSON.parse(value);
      },
      [Symbol.asyncDispose]: async () => {
        await input.close().catch(() => {});
        await output.return(undefined);
        await child.status;
      },
    };
  }

  /**
   * Pings once under a name.
   * @param pattern what it carries, in hexadecimal.
   * @returns false where there is no ping to do so.
   */
  async ping(
    name: string,
    { address, pattern }: { address: string; pattern: string },
  ): Promise<boolean> {
    const ping = findPing();
    if (ping === undefined) return false;
    const path = await this.#copy(ping, name);
    await new Deno.Command(path, {
      args: ["-n", "-c", "2", "-i", "0.3", "-W", "1", "-p", pattern, address],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).output();
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true });
  }

  /** A file of that name with the program in it, made once. */
  #copy(program: string, name: string): Promise<string> {
    const path = join(this.#folder, basename(program), name);
    const made = this.#made.get(path) ?? linkProgram(program, path);
    this.#made.set(path, made);
    return made;
  }
}

/**
 * A link where that is possible, else a copy. To Windows the links of a program
 * that runs are one: known by one name, and not to be removed.
 */
async function linkProgram(program: string, path: string): Promise<string> {
  await Deno.mkdir(dirname(path), { recursive: true });
  if (isNamedByExtension()) {
    await copyProgram(program, path);
    return path;
  }
  try {
    await Deno.link(program, path);
  } catch {
    await copyProgram(program, path);
  }
  return path;
}

async function copyProgram(program: string, path: string): Promise<void> {
  try {
    await Deno.copyFile(program, path);
    if (!isNamedByExtension()) await Deno.chmod(path, 0o700);
  } catch (cause) {
    throw new UserError(
      `can't make a program ${path}: ${(cause as Error).message}`,
      "set TMPDIR to a folder with room, from which programs may run",
      undefined,
      { cause },
    );
  }
}

function findPing(): string | undefined {
  for (const folder of ["/usr/bin", "/bin", "/usr/sbin", "/sbin"]) {
    try {
      return Deno.realPathSync(`${folder}/ping`);
    } catch {
      continue;
    }
  }
  return undefined;
}
