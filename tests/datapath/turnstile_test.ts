import assert from "node:assert/strict";
import { Turnstile, TURNSTILE_WORKERS } from "../../src/datapath/turnstile.ts";
import type { TurnstileSetup } from "./turnstile_program.ts";

/** Runs so many workers to their end. @returns the log and what each says. */
async function runWorkers(
  workers: number,
  numbers: number,
  turnstile = new SharedArrayBuffer(Turnstile.byteLength),
) {
  const shared = {
    turnstile,
    cells: new SharedArrayBuffer(64),
    log: new SharedArrayBuffer(numbers * 4),
  };
  const program = import.meta.resolve("./turnstile_program.ts");
  const answers = await Promise.all(
    Array.from({ length: workers }, (_, i) => {
      const worker = new Worker(program, { type: "module" });
      const answer = Promise.withResolvers<
        { meetings: number; taken: number }
      >();
      worker.onmessage = ({ data }) => {
        worker.terminate();
        answer.resolve(data);
      };
      worker.onerror = (event) => answer.reject(new Error(event.message));
      worker.postMessage(
        { ...shared, seed: i + 1, workers } satisfies TurnstileSetup,
      );
      return answer.promise;
    }),
  );
  return { log: new Int32Array(shared.log), answers };
}

function assertInOrder(
  { log, answers }: Awaited<ReturnType<typeof runWorkers>>,
): void {
  const wrong = log.findIndex((number, i) => number !== i);
  assert.equal(wrong, -1, `${log[wrong]} stands in the place of ${wrong}`);
  assert.deepEqual(
    answers.map(({ meetings }) => meetings),
    answers.map(() => 0),
  );
}

Deno.test("turnstile: four threads keep the order of what they took", async () => {
  const result = await runWorkers(4, 20_000);
  assertInOrder(result);
  // Without work for all of them the test would say nothing.
  const busy = result.answers.filter(({ taken }) => taken > 0).length;
  assert.ok(busy > 1, `${busy} of four threads had work`);
});

Deno.test("turnstile: as many threads as there are turns", async () => {
  assertInOrder(await runWorkers(TURNSTILE_WORKERS, 2_000));
});

Deno.test("turnstile: tickets go on behind 2^31", async () => {
  const buffer = new SharedArrayBuffer(Turnstile.byteLength);
  const turnstile = new Turnstile(buffer);
  // Cells: lock, next ticket, the turns.
  const cells = new Int32Array(buffer);
  const first = 0x7fff_fff0;
  cells[1] = first;
  turnstile.pass(first - 1);
  assertInOrder(await runWorkers(3, 1_000, buffer));
  assert.equal(turnstile.draw(), (first + 1_000) | 0);
});

Deno.test("turnstile: one thread never waits for itself", () => {
  const turnstile = new Turnstile(new SharedArrayBuffer(Turnstile.byteLength));
  for (let i = 0; i < 100; i++) {
    turnstile.enter();
    const ticket = turnstile.draw();
    assert.equal(ticket, i);
    if (i % 2 === 0) turnstile.leave();
    turnstile.await(ticket);
    turnstile.pass(ticket);
    if (i % 2 === 1) turnstile.leave();
  }
});
