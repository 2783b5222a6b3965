/** Tasks as services of systemd. */
import { join } from "node:path";
import {
  type CommandResult,
  type InstalledTask,
  type RunCommand,
  type StartupTask,
  StartupTaskError,
  type StartupTasks,
  type StartupTaskState,
} from "../../ports/startup_tasks.ts";
import { replaceableFile } from "../../replaceable_file.ts";
import { runCommand } from "../../run_command.ts";
import { formatUnit, unitCommand } from "./systemd_unit.ts";
import { writableByOthers } from "./writable_by_others.ts";

/** Where an administrator's units lie. */
const UNITS = "/etc/systemd/system";
/** There where systemd runs the system, sd_booted(3). */
const RUNS = "/run/systemd/system";
const UNIT_MODE = 0o644;

/** What a test puts in the system's place. */
export interface SystemdPlace {
  readonly units: string;
  /** A folder that is there while systemd runs the system. */
  readonly runs: string;
  readonly run: RunCommand;
}

/** See the module header. */
export function openStartupTasks(
  place: Partial<SystemdPlace> = {},
): StartupTasks {
  return new SystemdTasks({
    units: UNITS,
    runs: RUNS,
    run: runCommand,
    ...place,
  });
}

class SystemdTasks implements StartupTasks {
  constructor(readonly place: SystemdPlace) {}

  format(task: StartupTask): string {
    return formatUnit(task);
  }

  writableByOthers(path: string): string | undefined {
    return writableByOthers(path);
  }

  async install(task: StartupTask): Promise<InstalledTask> {
    this.#requireSystemd();
    if (task.at === "logon") {
      throw new StartupTaskError(
        "unsupported",
        "systemd starts services of the system at boot, not when somebody signs in",
      );
    }
    const path = this.#path(task.name);
    const unit = formatUnit(task);
    const old = readUnit(path);
    if (old !== unit) writeUnit(path, unit);
    await this.#systemctl("daemon-reload");
    await this.#systemctl("enable", `${task.name}.service`);
    const change = old === undefined
      ? "created"
      : old === unit
      ? "unchanged"
      : "replaced";
    const restart = change === "replaced" && await this.#isActive(task.name);
    return {
      change,
      place: path,
      notes: restart
        ? [`it runs as it was: systemctl restart ${task.name}`]
        : [],
    };
  }

  async start(name: string): Promise<void> {
    this.#requireSystemd();
    await this.#systemctl("restart", `${name}.service`);
  }

  async uninstall(name: string): Promise<boolean> {
    const path = this.#path(name);
    if (readUnit(path) === undefined) return false;
    const booted = this.#booted();
    if (booted) {
      await this.#systemctl("disable", "--now", `${name}.service`);
    }
    try {
      replaceableFile(path).put({ kind: "missing" });
    } catch (error) {
      throw asTaskError(error, path);
    }
    if (booted) await this.#systemctl("daemon-reload");
    return true;
  }

  async status(name: string): Promise<StartupTaskState> {
    const path = this.#path(name);
    const unit = readUnit(path);
    if (unit === undefined) return { kind: "absent" };
    const booted = this.#booted();
    return {
      kind: "installed",
      place: path,
      command: unitCommand(unit) ?? "",
      enabled: booted ? await this.#isEnabled(name) : undefined,
      running: booted ? await this.#isActive(name) : undefined,
    };
  }

  #path(name: string): string {
    return join(this.place.units, `${name}.service`);
  }

  #booted(): boolean {
    try {
      return Deno.statSync(this.place.runs).isDirectory;
    } catch {
      return false;
    }
  }

  #requireSystemd(): void {
    if (this.#booted()) return;
    throw new StartupTaskError(
      "unsupported",
      "this system is not run by systemd",
    );
  }

  async #isActive(name: string): Promise<boolean> {
    return (await this.#ask("is-active", `${name}.service`)).success;
  }

  async #isEnabled(name: string): Promise<boolean> {
    return (await this.#ask("is-enabled", `${name}.service`)).success;
  }

  #ask(...args: readonly string[]): Promise<CommandResult> {
    return this.place.run("systemctl", args);
  }

  async #systemctl(...args: readonly string[]): Promise<void> {
    const result = await this.#ask(...args).catch((error) => {
      throw new StartupTaskError("unsupported", "there is no systemctl", {
        cause: error,
      });
    });
    if (result.success) return;
    const denied = /access denied|authentication|permission denied/i.test(
      result.text,
    );
    throw new StartupTaskError(
      denied ? "denied" : "failed",
      `systemctl ${args.join(" ")}: ${result.text}`,
    );
  }
}

function readUnit(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw asTaskError(error, path);
  }
}

function writeUnit(path: string, unit: string): void {
  try {
    const bytes = new TextEncoder().encode(unit);
    replaceableFile(path).put({ kind: "file", bytes, mode: UNIT_MODE });
  } catch (error) {
    throw asTaskError(error, path);
  }
}

function asTaskError(error: unknown, path: string): StartupTaskError {
  const denied = error instanceof Deno.errors.PermissionDenied ||
    error instanceof Deno.errors.NotCapable;
  const reason = error instanceof Error ? error.message : String(error);
  return new StartupTaskError(
    denied ? "denied" : "failed",
    denied ? `${path} may not be written` : `${path}: ${reason}`,
    { cause: error },
  );
}
