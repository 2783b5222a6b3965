import assert from "node:assert/strict";
import { workerChoice } from "../../src/cli/overrides.ts";
import {
  MAX_WORKERS,
  planWorkers,
  type WorkerChoice,
} from "../../src/cli/worker_plan.ts";
import { UserError } from "../../src/cli/errors.ts";
import { serverSchema } from "../../src/config/server_schema.ts";

Deno.test("workers: auto is one for both directions on one core, else one for each", () => {
  const both = [{ role: "both", workers: 1 }];
  const each = (workers: number) => [
    { role: "open", workers },
    { role: "seal", workers },
  ];
  const plans: [WorkerChoice, number, unknown][] = [
    ["auto", 1, both],
    ["auto", 2, each(1)],
    ["auto", 64, each(1)],
    ["single", 8, both],
    [1, 1, each(1)],
    [4, 2, each(4)],
  ];
  for (const [choice, cores, plan] of plans) {
    assert.deepEqual(planWorkers(choice, cores), plan, `${choice} of ${cores}`);
  }
});

Deno.test("workers: the config takes auto, single and 1 to 16", () => {
  const parse = (workers: unknown) =>
    serverSchema.safeParse({ datapath: { workers } });
  for (const workers of ["auto", "single", 1, MAX_WORKERS]) {
    assert.equal(parse(workers).data?.datapath.workers, workers);
  }
  for (const workers of [0, MAX_WORKERS + 1, 1.5, -1, "4", "many", null]) {
    const { error } = parse(workers);
    assert.match(
      error?.issues[0].message ?? "",
      /^must be auto, single, or a number from 1 to 16$/,
      `${workers}`,
    );
  }
});

Deno.test("workers: SLUICE_WORKERS wins over the config", () => {
  const choose = (text: string): WorkerChoice => {
    Deno.env.set("SLUICE_WORKERS", text);
    try {
      return workerChoice(2);
    } finally {
      Deno.env.delete("SLUICE_WORKERS");
    }
  };
  assert.deepEqual(["", "auto", "single", "3", "16"].map(choose), [
    ...[2, "auto", "single", 3, 16],
  ]);
  for (const text of ["0", "17", "two", "1.5"]) {
    assert.throws(() => choose(text), UserError, text);
  }
});
