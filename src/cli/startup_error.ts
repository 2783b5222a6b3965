/** Why a tunnel could not start, in words that say what to do. */
import { KillSwitchError, PortInUseError } from "../io/ports.ts";
import { type Privileges, type SystemAdvice, TunError } from "../io/ports.ts";
import { UnsupportedSystemError } from "../io/worker_platform.ts";
import { SocketInUseError } from "../control/local_server.ts";
import { UapiSocketInUseError } from "../control/uapi_server.ts";
import { UserError } from "./errors.ts";

/** The commands that need an interface. */
export type TunCommand = "server" | "connect" | "tun2socks" | "client";

const WITHOUT_TUN =
  "or set interface.tun: none to run without a TUN adapter (no host services)";

/**
 * The user's form of what opening a tunnel threw.
 * @returns the error itself where there is nothing better to say.
 */
export function startupError(
  error: unknown,
  command: TunCommand,
  advice: SystemAdvice,
): unknown {
  if (error instanceof TunError) return tunError(error, { command, advice });
  if (error instanceof PortInUseError) {
    return new UserError(
      error.message,
      command === "server"
        ? `stop that program (${advice.ports}) or set another interface.listenPort`
        : `stop that program (${advice.ports}) or leave ListenPort out of the file`,
    );
  }
  if (error instanceof UapiSocketInUseError) {
    return new UserError(
      error.message,
      "stop the other program that serves this interface, or take another name",
    );
  }
  if (error instanceof SocketInUseError) {
    return new UserError(error.message, "a client runs already: end it first");
  }
  if (error instanceof KillSwitchError) {
    return new UserError(
      `the kill switch: ${error.message}`,
      error.problem === "unsupported"
        ? `${advice.filter}, or set killSwitch.enabled: false`
        : undefined,
    );
  }
  if (error instanceof UnsupportedSystemError) {
    return new UserError(error.message);
  }
  return error;
}

/**
 * What is missing to make a TUN adapter, before anything is opened.
 * @throws {UserError}
 */
export function requireTun(
  privileges: Privileges,
  command: TunCommand,
): void {
  const { tun, netAdmin, advice } = privileges;
  if (tun.kind === "absent") {
    throw new UserError(
      `there is no ${tun.path}: ${tun.reason}`,
      orWithout(advice.driver, command),
    );
  }
  if (!netAdmin) {
    throw new UserError(
      `a TUN adapter needs the right to change interfaces (${advice.rightsName})`,
      orWithout(advice.rights, command),
    );
  }
  if (tun.kind === "denied") {
    throw new UserError(
      `${tun.path} may not be opened: ${tun.reason}`,
      orWithout(advice.rights, command),
    );
  }
}

function tunError(
  error: TunError,
  { command, advice }: {
    readonly command: TunCommand;
    readonly advice: SystemAdvice;
  },
): UserError {
  const { code, interfaceName } = error;
  switch (code) {
    case "name-taken":
      return new UserError(
        `there is an interface ${interfaceName} already`,
        command === "server"
          ? "another program has it: set another interface.name, or stop that program"
          : command === "client"
          ? "another program has it: set another capture.interface, or stop that program"
          : "another program has it: take another name with --name, or stop that program",
      );
    case "name-invalid":
      return new UserError(error.message, error.advice ?? "take another name");
    case "device-absent":
      return new UserError(
        error.message,
        orWithout(error.advice ?? advice.driver, command),
      );
    case "device-denied":
    case "not-permitted":
      return new UserError(
        error.message,
        orWithout(error.advice ?? advice.rights, command),
      );
    case "failed":
      return new UserError(
        error.message,
        error.advice ?? "--log-level debug tells more",
      );
  }
}

function orWithout(text: string, command: TunCommand): string {
  return command === "server" ? `${text}; ${WITHOUT_TUN}` : text;
}
