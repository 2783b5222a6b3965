import assert from "node:assert/strict";
import { CommanderError } from "commander";
import { ExitCode, reportError, UserError } from "../../src/cli/errors.ts";
import { LockTimeoutError } from "../../src/config/file_lock.ts";
import { ConfigError } from "../../src/config/problems.ts";
import { PeerError } from "../../src/control/peer_error.ts";

const problem = (line: number) => ({
  file: "a.yaml",
  line,
  column: 3,
  path: "x.y",
  message: "is wrong",
});

Deno.test("each kind of error, its message and its exit code", () => {
  const cases: [unknown, string, number][] = [
    [
      new UserError("no root", "run with sudo"),
      "error: no root\n  run with sudo",
      1,
    ],
    [new UserError("bad", undefined, ExitCode.Usage), "error: bad", 2],
    [new PeerError("no peer", "look"), "error: no peer\n  look", 1],
    [new ConfigError([problem(2)]), "error: a.yaml:2:3: x.y: is wrong", 2],
    [
      new ConfigError([problem(2), problem(4)]),
      "error: a.yaml:2:3: x.y: is wrong\nerror: a.yaml:4:3: x.y: is wrong\n2 problems; nothing was done",
      2,
    ],
    [new LockTimeoutError("busy"), "error: busy\n  try again in a moment", 1],
    [new CommanderError(0, "help", ""), "", 0],
    [new CommanderError(1, "unknown", ""), "", 2],
    [new Deno.errors.BrokenPipe("x"), "", 1],
    [
      new TypeError("surprise"),
      "error: surprise\n  --log-level debug shows where it comes from",
      1,
    ],
    ["text", "error: text\n  --log-level debug shows where it comes from", 1],
  ];
  for (const [error, text, exitCode] of cases) {
    assert.deepEqual(reportError(error), { text, exitCode });
  }
});
