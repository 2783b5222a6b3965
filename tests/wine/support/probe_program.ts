/** Programs on a Windows machine under names of their own that ask whom the internet sees. */
import { windowsPath } from "../../../scripts/wine/place.ts";
import { ECHO_PORT, PLACES } from "../../support/client_lab.ts";
import { OUTSIDE } from "../../support/gateway_net.ts";
import type { LoggedProcess } from "../../support/process.ts";
import { waitFor } from "../../support/wait.ts";
import type { WineMachine } from "./machine.ts";
import type { ProbeAnswer, ProbeQuestion } from "./way_probe.ts";

const SCRIPT = new URL("./way_probe.ts", import.meta.url).pathname;
const LAUNCHER = new URL("./launcher.ts", import.meta.url).pathname;
const OPTIONS = ["-A", "--no-check", "--cached-only", "--unstable-net"];

/** On a busy machine an answer takes a while; the lack of one is seen sooner. */
const PATIENCE_MS = 12_000;
/** For questions that nothing is to come back to. */
export const IN_VAIN = { patienceMs: 4000 } as const;

/** A program where nothing comes back. */
export const NOTHING: ProbeAnswer = { tcp: null, udp: null, dns: null };

/** A program that is seen by one address, whatever it asks by. */
export function seenAs(address: string): ProbeAnswer {
  return { tcp: address, udp: address, dns: address };
}

/** A copy of the Windows Deno that asks when it is told to; it ends with the lab. */
export class ProbeProgram {
  readonly process: LoggedProcess;

  private constructor(process: LoggedProcess) {
    this.process = process;
  }

  /** Starts `NAME.exe` and waits until it can be asked. */
  static async start(
    machine: WineMachine,
    name: string,
  ): Promise<ProbeProgram> {
    return await ProbeProgram.#spawn(
      machine,
      name,
      scriptBy(await copyOfDeno(machine, name), SCRIPT),
    );
  }

  /** The same by another program, `PARENT.exe`, which `process` is then; this one outlives it. */
  static async startBy(
    parent: string,
    machine: WineMachine,
    name: string,
  ): Promise<ProbeProgram> {
    const programs = [parent, name].map((each) => copyOfDeno(machine, each));
    const [launcher, program] = await Promise.all(programs);
    return await ProbeProgram.#spawn(machine, parent, [
      ...scriptBy(launcher, LAUNCHER),
      ...scriptBy(windowsPath(program), SCRIPT),
    ]);
  }

  static async #spawn(
    machine: WineMachine,
    name: string,
    command: readonly string[],
  ): Promise<ProbeProgram> {
    const process = machine.spawn(name, command, { stdin: "piped" });
    await process.waitForLine(/^ready/, { timeoutMs: 30_000 });
    return new ProbeProgram(process);
  }

  /** Asks in the internet, by its resolver, unless told otherwise. */
  async ask(question: Partial<ProbeQuestion> = {}): Promise<ProbeAnswer> {
    const answers = () =>
      this.process.lines.filter((line) => line.startsWith("{"));
    const before = answers().length;
    await this.process.writeLine(JSON.stringify({
      ...{ address: OUTSIDE.first, port: ECHO_PORT, resolver: PLACES.dns },
      patienceMs: PATIENCE_MS,
      ...question,
    }));
    await waitFor("an answer", () => answers().length > before, {
      timeoutMs: 20_000,
    });
    return JSON.parse(answers()[before]);
  }
}

/** The command line of a script by a program that is a Deno. */
function scriptBy(program: string, script: string): string[] {
  return [program, "run", ...OPTIONS, "--quiet", script];
}

/** The Windows Deno under another name, its path outside. */
async function copyOfDeno(machine: WineMachine, name: string): Promise<string> {
  const program = machine.deno.replace(/deno\.exe$/, `${name}.exe`);
  await Deno.copyFile(machine.deno, program);
  return program;
}
