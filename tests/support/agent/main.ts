/**
 * The agent: a process inside a namespace that does network operations there
 * for the test outside. One JSON object per line: in `{id, operation, argument}`,
 * out `{id, result}` or `{id, error}`.
 */
import { operations } from "./operations.ts";

interface Request {
  readonly id: number;
  readonly operation: keyof typeof operations;
  readonly argument: never;
}

async function answer(request: Request): Promise<void> {
  let reply: object;
  try {
    const result = await operations[request.operation](request.argument);
    reply = { id: request.id, result: result ?? null };
  } catch (error) {
    reply = {
      id: request.id,
      error: error instanceof Error ? error.message : String(error),
    };
  }
  console.log(JSON.stringify(reply));
}

if (import.meta.main) {
  console.log(JSON.stringify({ id: 0, result: "ready" }));
  let rest = "";
  for await (
    const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())
  ) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) void answer(JSON.parse(line));
  }
  Deno.exit(0);
}
