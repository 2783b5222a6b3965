/** The test's end of split_tunnel_program.ts. */
import type { Namespace } from "../../../support/lab.ts";
import { denoRun } from "../../../support/agent.ts";
import type { LoggedProcess } from "../../../support/process.ts";
import type { Operations } from "./split_tunnel_program.ts";

const PROGRAM = new URL("./split_tunnel_program.ts", import.meta.url).pathname;

/** A program in a namespace that changes its network as it is told. */
export class SplitTunnelEnd {
  readonly process: LoggedProcess;
  readonly #waiting: ((line: string) => void)[] = [];

  private constructor(namespace: Namespace, directory: string) {
    this.process = namespace.spawn("split", denoRun(PROGRAM, directory), {
      stdin: "piped",
      onLine: (line) => this.#waiting.shift()?.(line),
    });
    void this.process.ended.then(() => {
      for (const take of this.#waiting.splice(0)) {
        take('{"error":"the program ended"}');
      }
    });
  }

  /** Starts it with a directory for its journal. */
  static async start(
    namespace: Namespace,
    directory: string,
  ): Promise<SplitTunnelEnd> {
    const end = new SplitTunnelEnd(namespace, directory);
    await end.#line();
    return end;
  }

  /** @throws {Error} with the program's own error. */
  async call<Name extends keyof Operations>(
    operation: Name,
    ...[argument]: Parameters<Operations[Name]>
  ): Promise<ReturnType<Operations[Name]>> {
    const line = this.#line();
    await this.process.writeLine(JSON.stringify({ operation, argument }));
    const { result, error } = JSON.parse(await line);
    if (error !== undefined) throw new Error(error);
    return result;
  }

  /** Kills it without a warning. */
  async kill(): Promise<void> {
    this.process.signal("SIGKILL");
    await this.process.ended;
  }

  #line(): Promise<string> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
