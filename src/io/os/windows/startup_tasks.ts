/** Tasks of the Task Scheduler, by the system's own `schtasks`. */
import { join } from "node:path";
import {
  type InstalledTask,
  type RunCommand,
  type StartupTask,
  StartupTaskError,
  type StartupTasks,
  type StartupTaskState,
} from "../../ports/startup_tasks.ts";
import { runCommand } from "../../run_command.ts";
import { journalDirectories } from "./journal.ts";
import { Security } from "./security.ts";
import { systemFolder } from "./system_folders.ts";
import { writableByOthers } from "./writable_by_others.ts";
import {
  decodeTaskFile,
  encodeUtf16,
  formatTaskXml,
  taskCommand,
  taskEnabled,
} from "./task_xml.ts";

/** The folder of ours in the Task Scheduler. */
const FOLDER = "sluice";
const END_MS = 1000;

/** What a test puts in the system's place. */
export interface SchedulerPlace {
  /** Where the scheduler keeps the XML of each task. */
  readonly tasks: string;
  /** DOMAIN\\user, who asks. */
  readonly user: string;
  readonly run: RunCommand;
  /** Where the XML lies until the scheduler has read it; the temporary folder where undefined. */
  readonly drafts: () => string | undefined;
  /** How long a program that is ended may take to be gone, in ms. */
  readonly endMs: number;
}

/** See the module header. */
export function openStartupTasks(
  place: Partial<SchedulerPlace> = {},
): StartupTasks {
  const domain = Deno.env.get("USERDOMAIN");
  const user = Deno.env.get("USERNAME") ?? "";
  return new SchedulerTasks({
    tasks: place.tasks ?? join(systemFolder(), "Tasks"),
    user: place.user ?? (domain === undefined ? user : `${domain}\\${user}`),
    run: place.run ?? runOfSystem,
    drafts: place.drafts ?? closedFolder,
    endMs: place.endMs ?? END_MS,
  });
}

/**
 * Where nobody without an administrator's rights can change what a task is to
 * run, as he could in the temporary folder of his own.
 */
function closedFolder(): string | undefined {
  using security = new Security();
  const [folder] = journalDirectories();
  if (!security.isElevated() || folder === undefined) return undefined;
  return security.closedFolder(folder) === undefined ? folder : undefined;
}

/** The system's own, never one that lies elsewhere on the path. */
function runOfSystem(
  program: string,
  args: readonly string[],
): ReturnType<RunCommand> {
  return runCommand(join(systemFolder(), `${program}.exe`), args);
}

class SchedulerTasks implements StartupTasks {
  constructor(readonly place: SchedulerPlace) {}

  format(task: StartupTask): string {
    return formatTaskXml(task, { name: this.place.user });
  }

  writableByOthers(path: string): string | undefined {
    return writableByOthers(path);
  }

  async install(task: StartupTask): Promise<InstalledTask> {
    const xml = this.format(task);
    const old = await this.#read(task.name);
    const path = await Deno.makeTempFile({
      dir: this.place.drafts(),
      prefix: "sluice-",
      suffix: ".xml",
    });
    try {
      await Deno.writeFile(path, encodeUtf16(xml));
      const name = taskName(task.name);
      await this.#schtasks("/Create", "/TN", name, "/XML", path, "/F");
    } finally {
      await Deno.remove(path).catch(() => {});
    }
    const now = await this.#read(task.name);
    return {
      change: old === undefined
        ? "created"
        : now === undefined || old === now
        ? "unchanged"
        : "replaced",
      place: taskName(task.name),
      notes: [],
    };
  }

  async start(name: string): Promise<void> {
    await this.#schtasks("/Run", "/TN", taskName(name));
  }

  async uninstall(name: string): Promise<boolean> {
    if (await this.#read(name) === undefined) return false;
    const task = taskName(name);
    // One that does not run can't be ended: that is no failure.
    const { success } = await this.place
      .run("schtasks", ["/End", "/TN", task]);
    const { endMs } = this.place;
    if (success) await new Promise((resolve) => setTimeout(resolve, endMs));
    await this.#schtasks("/Delete", "/TN", task, "/F");
    return true;
  }

  async status(name: string): Promise<StartupTaskState> {
    const xml = await this.#read(name);
    if (xml === undefined) return { kind: "absent" };
    return {
      kind: "installed",
      place: taskName(name),
      command: taskCommand(xml) ?? "",
      enabled: taskEnabled(xml),
      // schtasks says it in the words of the system's language only.
      running: undefined,
    };
  }

  /** The scheduler's own file of a task; undefined where there is none. */
  async #read(name: string): Promise<string | undefined> {
    const path = join(this.place.tasks, FOLDER, name);
    try {
      return decodeTaskFile(await Deno.readFile(path));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      const denied = error instanceof Deno.errors.PermissionDenied ||
        error instanceof Deno.errors.NotCapable;
      throw new StartupTaskError(
        denied ? "denied" : "failed",
        denied ? "the tasks of this system may not be read" : String(error),
        { cause: error },
      );
    }
  }

  async #schtasks(...args: readonly string[]): Promise<void> {
    const result = await this.place.run("schtasks", args).catch((error) => {
      throw new StartupTaskError("unsupported", "there is no schtasks", {
        cause: error,
      });
    });
    if (result.success) return;
    // In other languages than English it is `failed`, with the words of the system.
    const denied = /denied|80070005|ERROR: Access/i.test(result.text);
    throw new StartupTaskError(
      denied ? "denied" : "failed",
      `schtasks ${args[0]}: ${result.text}`,
    );
  }
}

function taskName(name: string): string {
  return `\\${FOLDER}\\${name}`;
}
