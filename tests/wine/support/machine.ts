/**
 * A Windows machine for a test: Wine with a prefix of its own inside a network
 * namespace of a lab. Its programs share one wineserver, so that they see each
 * other's processes and sockets; it ends with the lab, with all that runs in it.
 */
import {
  LOADER,
  unshareCommand,
  windowsPath,
  wineEnvironment,
} from "../../../scripts/wine/place.ts";
import { wineDenoDirectory } from "../../../scripts/wine/deno_directory.ts";
import { copyPrefix, programDirectory } from "../../../scripts/wine/prefix.ts";
import { cachedWine } from "../../../scripts/wine/recipe.ts";
import type { Namespace } from "../../support/lab.ts";
import {
  type CommandOptions,
  type CommandResult,
  LoggedProcess,
  runCommand,
} from "../../support/process.ts";
import type { SluiceHost } from "../../support/sluice.ts";
import { waitFor } from "../../support/wait.ts";

const PROJECT = new URL("../../..", import.meta.url).pathname;
/** Arguments of the Windows Deno: types are checked outside. */
const DENO_ARGUMENTS = ["-A", "--no-check", "--cached-only"] as const;

/** What a machine has. */
export interface MachineOptions {
  /** Files that lie beside deno.exe, such as a built stand-in. */
  readonly beside?: readonly string[];
  /** Variables for all its programs. */
  readonly env?: Readonly<Record<string, string>>;
}

let machines = 0;

/** A running machine. */
export class WineMachine implements SluiceHost {
  readonly namespace: Namespace;
  /** Its prefix: `drive_c` is in it. */
  readonly prefix: string;
  /** The deno.exe with the files beside it. */
  readonly deno: string;
  readonly #env: Record<string, string>;
  readonly #initPid: number;
  readonly #enter: readonly string[];

  private constructor(
    namespace: Namespace,
    directory: string,
    deno: string,
    initPid: number,
    env: Record<string, string>,
  ) {
    this.namespace = namespace;
    this.prefix = `${directory}/prefix`;
    this.deno = deno;
    this.#env = env;
    this.#initPid = initPid;
    this.#enter = [...namespace.lab.enterNamespace(initPid), "--pid"];
  }

  /** Starts one in a namespace, of the Wine that is in the cache. */
  static async start(
    namespace: Namespace,
    options: MachineOptions = {},
  ): Promise<WineMachine> {
    const wine = await cachedWine();
    if (wine === undefined) throw new Error("Wine is missing: deno task wine");
    const directory = `${namespace.lab.directory}/windows${++machines}`;
    await Deno.mkdir(directory);
    await copyPrefix(wine, `${directory}/prefix`);
    const deno = await programDirectory(
      wine,
      `${directory}/program`,
      options.beside ?? [],
    );
    const holder = namespace.spawn("wine", [
      ...unshareCommand(wine),
      "read",
      "end",
    ], { stdin: "piped" });
    const initPid = await waitFor(
      "Wine's place",
      () => inner(wine.usr, holder),
    );
    const machine = new WineMachine(
      namespace,
      directory,
      deno,
      initPid,
      wineEnvironment({
        prefix: `${directory}/prefix`,
        env: {
          DENO_DIR: windowsPath(await wineDenoDirectory()),
          ...options.env,
        },
      }),
    );
    await machine.#boot();
    return machine;
  }

  /** Starts a program without waiting for anything. */
  spawn(
    name: string,
    command: readonly string[],
    options: MachineProgramOptions = {},
  ): WineProgram {
    return this.#spawn(name, [LOADER, ...command], options);
  }

  /** Starts a script by the Windows Deno. */
  spawnScript(
    name: string,
    script: readonly string[],
    options: MachineProgramOptions = {},
  ): WineProgram {
    return this.spawn(name, this.denoRun(...script), options);
  }

  /** Starts `sluice ARGS`. */
  spawnSluice(
    args: readonly string[],
    options: MachineProgramOptions & {
      readonly timers?: Readonly<Record<string, number>>;
    } = {},
  ): WineProgram {
    const { timers, env } = options;
    const timersEnv = timers && { SLUICE_TEST_TIMERS: JSON.stringify(timers) };
    return this.spawnScript(
      `sluice ${args[0]}`,
      [`${PROJECT}main.ts`, ...args],
      { ...options, env: { ...timersEnv, ...env } },
    );
  }

  /** Runs a program to its end. */
  run(
    command: readonly string[],
    options: CommandOptions = {},
  ): Promise<CommandResult> {
    return this.#run([LOADER, ...command], options);
  }

  /** The command line of a script, to be given to `run` or `spawn`. */
  denoRun(...script: string[]): string[] {
    return [this.deno, "run", ...DENO_ARGUMENTS, "--quiet", ...script];
  }

  /** A path inside drive C: as the machine outside has it. */
  driveC(path: string): string {
    return `${this.prefix}/drive_c/${path}`;
  }

  /**
   * Starts wineserver, which would end between two programs, and the services,
   * which hold the output of the program that started them.
   */
  async #boot(): Promise<void> {
    const { WINESERVER } = this.#env;
    this.#spawn("wineserver", [WINESERVER, "--foreground", "--persistent"], {});
    const socket = await serverSocket(this.#initPid, this.prefix);
    await waitFor("wineserver", () => Deno.lstat(socket), { intervalMs: 10 });
    const boot = this.#spawn("wineboot", [LOADER, "wineboot.exe"], {});
    await waitFor("Windows to start", () => boot.status, { timeoutMs: 30_000 });
  }

  #spawn(
    name: string,
    command: readonly string[],
    options: MachineProgramOptions,
  ): WineProgram {
    const program = new WineProgram(
      `${this.namespace.name}/${name}`,
      this.#inside(command, options.cwd),
      { env: { ...this.#env, ...options.env }, stdin: options.stdin },
    );
    this.namespace.lab.adopt(program);
    return program;
  }

  /** Entering a mount namespace leaves the working directory behind. */
  #inside(command: readonly string[], cwd = PROJECT): string[] {
    return [
      ...this.#enter,
      `--wdns=${cwd}`,
      ...ENDS_WITH_PARENT,
      ...command,
    ];
  }

  #run(
    command: readonly string[],
    options: CommandOptions = {},
  ): Promise<CommandResult> {
    const { cwd, ...rest } = options;
    return runCommand(this.#inside(command, cwd), {
      ...rest,
      env: { ...this.#env, ...options.env },
    });
  }
}

/** Settings of one program. */
export interface MachineProgramOptions {
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  readonly stdin?: "piped" | "null";
}

const ENDS_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL", "--"] as const;

/** A Windows program that runs; SIGKILL ends it like the task manager does. */
export class WineProgram extends LoggedProcess {
  /** Windows knows no other signal than Ctrl+C: all but SIGKILL are that. */
  override signal(signal: Deno.Signal): void {
    // Our child is nsenter; the program is its child.
    const [pid] = signal === "SIGKILL" ? [] : childrenOf(this.pid);
    if (pid === undefined) super.signal("SIGKILL");
    else sendInterrupt(pid);
  }

  /** Ctrl+C. */
  interrupt(): void {
    this.signal("SIGINT");
  }
}

function sendInterrupt(pid: number): void {
  try {
    Deno.kill(pid, "SIGINT");
  } catch {
    // It has ended in the meantime.
  }
}

/** Where wineserver listens: named for the prefix's device and inode. */
async function serverSocket(initPid: number, prefix: string): Promise<string> {
  const { dev, ino } = await Deno.stat(prefix);
  const name = `server-${dev.toString(16)}-${ino!.toString(16)}`;
  // Inside a user namespace of a lab we are root, too.
  return `/proc/${initPid}/root/run/user/0/wine/${name}/socket`;
}

/** The first process inside, once `/usr` is Wine's. */
async function inner(
  usr: string,
  holder: LoggedProcess,
): Promise<number | undefined> {
  const [pid] = childrenOf(holder.pid);
  if (pid === undefined) return undefined;
  const mounts = await Deno.readTextFile(`/proc/${pid}/mountinfo`);
  // A bind mount shows the directory as its root.
  return mounts.includes(`${usr.slice(usr.lastIndexOf("/wine-"))} /usr `)
    ? pid
    : undefined;
}

function childrenOf(pid: number): number[] {
  try {
    const text = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`);
    return text.split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}
