/** The test's end of an agent: network operations done inside a namespace. */
import type { Namespace } from "./lab.ts";
import type { LoggedProcess } from "./process.ts";
import type { AgentOperations } from "./agent/operations.ts";

const MAIN = new URL("./agent/main.ts", import.meta.url).pathname;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

type Argument<Name extends keyof AgentOperations> = Parameters<
  AgentOperations[Name]
>[0];
type Result<Name extends keyof AgentOperations> = Awaited<
  ReturnType<AgentOperations[Name]>
>;

interface Pending {
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

/** An agent in one namespace; it ends with the lab. */
export class Agent {
  readonly namespace: Namespace;
  readonly #pending = new Map<number, Pending>();
  #process: LoggedProcess | undefined;
  #lastId = 0;

  private constructor(namespace: Namespace) {
    this.namespace = namespace;
  }

  /** Starts an agent and waits until it answers. */
  static async start(namespace: Namespace, name = "agent"): Promise<Agent> {
    const agent = new Agent(namespace);
    const ready = agent.#expect(0);
    agent.#process = namespace.spawn(name, denoRun(MAIN), {
      stdin: "piped",
      onLine: (line) => agent.#take(line),
    });
    void agent.#process.ended.then(() => agent.#fail());
    await ready;
    return agent;
  }

  /**
   * Does one operation; see the functions in `agent/`.
   * @throws Error with the agent's message.
   */
  async call<Name extends keyof AgentOperations>(
    operation: Name,
    argument: Argument<Name>,
  ): Promise<Result<Name>> {
    const id = ++this.#lastId;
    const result = this.#expect<Result<Name>>(id);
    await this.#process!.writeLine(JSON.stringify({ id, operation, argument }));
    return await result;
  }

  #expect<T>(id: number): Promise<T> {
    return new Promise((resolve, reject) =>
      this.#pending.set(id, { resolve, reject })
    );
  }

  /** The agent is gone: nothing it was asked for will be answered. */
  #fail(): void {
    const error = new Error(`the agent ended\n${this.#process!.tail()}`);
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
  }

  #take(line: string): void {
    const { id, result, error } = JSON.parse(line);
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (error === undefined) pending?.resolve(result as never);
    else pending?.reject(new Error(`${this.namespace.name}: ${error}`));
  }
}

/** The command line that runs a script of the project with its import map. */
export function denoRun(script: string, ...args: readonly string[]): string[] {
  return [
    Deno.execPath(),
    "run",
    "-A",
    "--quiet",
    "--config",
    CONFIG,
    script,
    ...args,
  ];
}
