/** `sluice tunnel`, `reload`, `pause` and `resume`: what a running client is told. */
import { Argument, Command } from "@commander-js/extra-typings";
import { elevation } from "../io/platform.ts";
import { askClient, socketOption, type SocketOptions } from "./ask_client.ts";
import { writeError } from "./output.ts";

/** `sluice tunnel up|down`. */
export function tunnelCommand(): Command {
  return new Command("tunnel")
    .description("connect and disconnect tunnels of the running client")
    .addHelpText(
      "after",
      `
A tunnel that is taken down stays so until it is taken up again, or the client
starts anew. What its flows get meanwhile is the fallback of their rules.

Examples:
  ${elevation()}sluice tunnel down work
  ${elevation()}sluice tunnel up work`,
    )
    .addCommand(directionCommand("up", "connect it, and keep it connected"))
    .addCommand(directionCommand("down", "disconnect it, and leave it so"));
}

function directionCommand(wanted: "up" | "down", summary: string) {
  return new Command(wanted)
    .description(summary)
    .addArgument(new Argument("<name>", "its name in the config"))
    .addOption(socketOption())
    .action(async (name, options) => {
      await askClient({ verb: "tunnel", name, wanted }, options);
      writeError(
        wanted === "up"
          ? `tunnel ${name} connects; sluice status shows when it is up\n`
          : `tunnel ${name} is down\n`,
      );
    });
}

/** `sluice reload`. */
export function reloadCommand(): Command<[], SocketOptions> {
  return new Command("reload")
    .description("have the running client read its config again")
    .addOption(socketOption())
    .addHelpText(
      "after",
      `
The client does so by itself when the file changes; this says what came of it. A
config with a mistake is refused with its position, and the old one stays in
force. Flows whose verdict stays the same live on.

Exit code: 0 where the config is in force, 1 where it was refused.`,
    )
    .action(async (options) => {
      const { result, lines } = await askClient({ verb: "reload" }, options);
      for (const line of lines) writeError(`${line}\n`);
      writeError(
        result === "taken"
          ? "the config is in force\n"
          : "nothing changed: the config is in force already\n",
      );
    });
}

/** `sluice pause`. */
export function pauseCommand(): Command<[], SocketOptions> {
  return new Command("pause")
    .description("let everything go direct until sluice resume")
    .addOption(socketOption())
    .addHelpText(
      "after",
      `
For a captive portal, or to find out whether sluice is at fault. No rule holds
meanwhile and the tunnels are down. The kill switch stays: what leaves is still
sent by sluice, from this machine's own address.`,
    )
    .action(async (options) => {
      await askClient({ verb: "mode", wanted: "paused" }, options);
      writeError("paused: everything goes direct; sluice resume goes on\n");
    });
}

/** `sluice resume`. */
export function resumeCommand(): Command<[], SocketOptions> {
  return new Command("resume")
    .description("end a pause: the rules hold again")
    .addOption(socketOption())
    .action(async (options) => {
      await askClient({ verb: "mode", wanted: "running" }, options);
      writeError("the rules hold again\n");
    });
}
