/**
 * Network namespaces for a test: made by it, wired by it, gone with it.
 *
 * A namespace is held by a `cat` whose standard input is a pipe from the test;
 * it has no name on the machine, and when the test ends in whatever way the
 * pipe closes and the kernel takes the namespace back. Processes inside get
 * SIGKILL when their parent goes. Each namespace also has its own /run, so that
 * interface names, sockets and journals of two labs never meet.
 *
 * Works as root, or as a user inside an unprivileged user namespace.
 */
import {
  type CommandOptions,
  type CommandResult,
  LoggedProcess,
  runCommand,
} from "./process.ts";
import { waitFor } from "./wait.ts";

const HOLD = [
  "mount -t tmpfs -o mode=755 lab /run",
  "mkdir -p /run/wireguard",
  "mount -t sysfs lab /sys 2>/dev/null || true",
  // Addresses are usable at once: nobody else is there to have them already.
  "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad",
  "ip link set lo up",
  "echo held",
  "exec cat",
].join("\n");

const DIRECTORY_PREFIX = "sluice-lab-";
const LEFTOVER = /^sluice-lab-([0-9]+)-/;

/** One end of a link. */
export interface LinkEnd {
  readonly namespace: Namespace;
  /** Name of the interface in its namespace. */
  readonly name: string;
  /** Addresses with their prefix lengths, e.g. "192.0.2.1/24". */
  readonly addresses: readonly string[];
}

/** Settings of a command that runs in a namespace. */
export interface SpawnOptions {
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  readonly stdin?: "piped" | "null";
  readonly onLine?: (line: string) => void;
  /** More arguments for setpriv, e.g. "--reuid=65534". */
  readonly setpriv?: readonly string[];
}

/** One network and mount namespace. */
export class Namespace {
  readonly name: string;
  readonly lab: Lab;
  readonly #holder: LoggedProcess;

  constructor(lab: Lab, name: string, holder: LoggedProcess) {
    this.lab = lab;
    this.name = name;
    this.#holder = holder;
  }

  /** The process that keeps the namespace: its id names it to `ip`. */
  get holderPid(): number {
    return this.#holder.pid;
  }

  /** The command line that runs `command` inside. */
  enter(command: readonly string[], setpriv: readonly string[] = []): string[] {
    return [
      ...this.lab.enterNamespace(this.holderPid),
      "setpriv",
      "--pdeathsig",
      "KILL",
      ...setpriv,
      "--",
      ...command,
    ];
  }

  /** Runs a command inside to its end; see {@linkcode runCommand}. */
  run(
    command: readonly string[],
    options: CommandOptions & { readonly setpriv?: readonly string[] } = {},
  ): Promise<CommandResult> {
    return runCommand(this.enter(command, options.setpriv), options);
  }

  /** Starts a long-running command inside; the lab stops it at its end. */
  spawn(
    name: string,
    command: readonly string[],
    options: SpawnOptions = {},
  ): LoggedProcess {
    const process = new LoggedProcess(
      `${this.name}/${name}`,
      this.enter(command, options.setpriv),
      options,
    );
    this.lab.adopt(process);
    return process;
  }

  /** Runs lines of `ip`, e.g. "route add default via 10.2.0.2". */
  async ip(...lines: string[]): Promise<void> {
    await this.run(["ip", "-batch", "-"], { input: lines.join("\n") + "\n" });
  }

  /** Sets a sysctl, e.g. ("net.ipv4.ip_forward", 1). */
  async sysctl(key: string, value: string | number): Promise<void> {
    // Written by a shell of its own: /proc/sys/net shows the opener's namespace.
    const path = `/proc/sys/${key.replaceAll(".", "/")}`;
    await this.run(["sh", "-c", `echo '${value}' > ${path}`]);
  }

  /** Names of its interfaces, lo left out. */
  async interfaces(): Promise<string[]> {
    const { stdout } = await this.run(["ip", "-json", "link"]);
    const links: { ifname: string }[] = JSON.parse(stdout);
    return links.map((link) => link.ifname).filter((name) => name !== "lo");
  }

  /** Whether an interface is up and has its carrier, as routes see it. */
  async isUp(name: string): Promise<boolean> {
    const { stdout } = await this.run(["ip", "-json", "link", "show", name]);
    const [link]: { operstate: string }[] = JSON.parse(stdout);
    return link.operstate === "UP";
  }

  /** True where one ping to `address` is answered within 400 ms. */
  async reaches(address: string): Promise<boolean> {
    const { code } = await this.run([
      "ping",
      "-n",
      "-c",
      "1",
      "-W",
      "0.4",
      address,
    ], {
      exit: "any",
    });
    return code === 0;
  }

  /** Pings until an answer comes. */
  async waitUntilReaches(address: string, timeoutMs = 15_000): Promise<void> {
    await waitFor(
      `${this.name} to reach ${address}`,
      () => this.reaches(address),
      { timeoutMs },
    );
  }
}

/** A set of namespaces with their processes and a directory for files. */
export class Lab implements AsyncDisposable {
  /** Where the test keeps its files; removed with the lab. */
  readonly directory: string;
  readonly processes: LoggedProcess[] = [];
  readonly #holders: LoggedProcess[] = [];
  /** Outermost holder: owns the user namespace where we are not root. */
  readonly #outerPid: number | undefined;

  private constructor(directory: string, outer: LoggedProcess | undefined) {
    this.directory = directory;
    if (outer) this.#holders.push(outer);
    this.#outerPid = outer?.pid;
  }

  /** Makes an empty lab. */
  static async create(): Promise<Lab> {
    await removeLeftovers();
    const directory = await Deno.makeTempDir({
      prefix: `${DIRECTORY_PREFIX}${Deno.pid}-`,
    });
    await Deno.chmod(directory, 0o755);
    if (Deno.uid() === 0) return new Lab(directory, undefined);
    const outer = await hold("user", [
      "unshare",
      "--user",
      "--map-root-user",
      "--net",
      "--mount",
    ]);
    return new Lab(directory, outer);
  }

  /** Makes a namespace; `name` appears in error texts only. */
  async namespace(name: string): Promise<Namespace> {
    const enter = this.#outerPid === undefined
      ? []
      : this.enterNamespace(this.#outerPid);
    const holder = await hold(name, [...enter, "unshare", "--net", "--mount"]);
    this.#holders.push(holder);
    return new Namespace(this, name, holder);
  }

  /** Joins two namespaces by a veth pair with addresses; both ends carry. */
  async link(a: LinkEnd, b: LinkEnd): Promise<void> {
    await a.namespace.ip(
      `link add ${a.name} type veth peer name ${b.name} netns ${b.namespace.holderPid}`,
    );
    for (const end of [a, b]) {
      await end.namespace.ip(
        ...end.addresses.map((address) =>
          `address add ${address} dev ${end.name}${
            address.includes(":") ? " nodad" : ""
          }`
        ),
        `link set ${end.name} up`,
      );
    }
    for (const end of [a, b]) {
      await waitFor(
        `${end.name} to have its carrier`,
        () => end.namespace.isUp(end.name),
        { intervalMs: 5 },
      );
    }
  }

  /** Arguments that enter the namespaces of the process `pid`. */
  enterNamespace(pid: number): string[] {
    const user = this.#outerPid === undefined
      ? []
      : ["--user", "--preserve-credentials"];
    return ["nsenter", "--target", String(pid), ...user, "--net", "--mount"];
  }

  /** Takes a process over: it ends with the lab. */
  adopt(process: LoggedProcess): void {
    this.processes.push(process);
  }

  /** Writes a file in the lab's directory and gives its path. */
  async write(name: string, text: string, mode = 0o600): Promise<string> {
    const path = `${this.directory}/${name}`;
    await Deno.writeTextFile(path, text, { mode });
    await Deno.chmod(path, mode);
    return path;
  }

  /** What every process printed last, for a failure's text. */
  report(): string {
    return this.processes.filter((process) => process.lines.length > 0)
      .map((process) => process.tail()).join("\n");
  }

  /** Ends all processes, gives the namespaces back, removes the files. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.processes.map((process) => process.stop()));
    await Promise.all(this.#holders.reverse().map((holder) => holder.stop(0)));
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** Removes directories of labs whose test was killed. */
async function removeLeftovers(): Promise<void> {
  const parent = Deno.env.get("TMPDIR") ?? "/tmp";
  for await (const entry of Deno.readDir(parent)) {
    const pid = entry.name.match(LEFTOVER)?.[1];
    if (pid === undefined || await exists(`/proc/${pid}`)) continue;
    await Deno.remove(`${parent}/${entry.name}`, { recursive: true }).catch(
      () => {},
    );
  }
}

function exists(path: string): Promise<boolean> {
  return Deno.lstat(path).then(() => true, () => false);
}

async function hold(
  name: string,
  unshare: readonly string[],
): Promise<LoggedProcess> {
  const holder = new LoggedProcess(
    `${name}/holder`,
    [...unshare, "--propagation", "private", "sh", "-ec", HOLD],
    { stdin: "piped" },
  );
  await holder.waitForLine(/^held$/);
  return holder;
}
