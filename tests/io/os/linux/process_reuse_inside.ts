/**
 * Run by process_table_test.ts in a process namespace of its own, where the next
 * process id can be chosen.
 */
import assert from "node:assert/strict";
import { openLibc } from "../../../../ffi/libc.ts";
import { openProcessTable } from "../../../../src/io/os/linux/process_table.ts";
import { copyShell, Program, TestSocket } from "./held_socket.ts";

const libc = openLibc();
/** A table that searches to the end, however slow the machine is. */
const PATIENT = { libc, searchMs: 60_000 };
const LAST_ID = "/proc/sys/kernel/ns_last_pid";

/** Starts programs until one has that process id. */
async function startAs(path: string, id: number): Promise<Program> {
  for (let attempt = 0; attempt < 50; attempt++) {
    Deno.writeTextFileSync(LAST_ID, String(id - 1));
    const program = Program.start(path);
    if (program.id === id) return program;
    // A thread was made in between.
    await program[Symbol.asyncDispose]();
  }
  throw new Error(`no process got the id ${id}`);
}

for (const lineage of ["events", "asking"] as const) {
  Deno.test(`the same id, the same port, another program (${lineage})`, async () => {
    const directory = Deno.makeTempDirSync();
    using table = openProcessTable({ ...PATIENT, lineage });
    const oldPath = copyShell(`${directory}/old`);
    const newPath = copyShell(`${directory}/new`);
    let flow;
    let port;
    let old: Program;
    {
      using socket = new TestSocket(libc, {
        protocol: "udp",
        local: "127.0.0.1:0",
      });
      port = socket.port;
      flow = socket.flow("127.0.0.1", "192.0.2.1:53");
      old = Program.start(oldPath, `${newPath} -c 'echo $$; sleep 100' & wait`);
    }
    const before = table.ownerOf(flow);
    assert.ok(before.kind === "process" && before.process.path === oldPath);
    await old.goOn();
    const child = Number(await old.print());
    assert.equal(table.process(child)?.ancestors[0].path, oldPath);
    await old[Symbol.asyncDispose]();
    // The child holds the socket too: it shall not be there any more.
    assert.equal(table.process(old.id), undefined);

    using socket = new TestSocket(libc, {
      protocol: "udp",
      local: `127.0.0.1:0`,
    });
    await using reused = await startAs(newPath, old.id);
    const after = table.ownerOf(socket.flow("127.0.0.1", "192.0.2.1:53"));
    assert.ok(after.kind === "process");
    assert.equal(after.process.processId, old.id);
    assert.equal(after.process.path, newPath);
    assert.ok(after.process.startTime >= before.process.startTime);
    assert.equal(table.process(old.id)?.path, newPath);
    assert.notEqual(port, 0);
    // The old one's child is not the new one's.
    const [parent] = table.process(child)!.ancestors;
    assert.deepEqual([parent.path, parent.ended], [oldPath, true]);
    Deno.kill(child, "SIGKILL");
    await reused[Symbol.asyncDispose]();
    Deno.removeSync(directory, { recursive: true });
  });
}

Deno.test("within one tick of the clock: ids used again 30 times in a row", async () => {
  const directory = Deno.makeTempDirSync();
  using table = openProcessTable(PATIENT);
  const paths = ["red", "blue"].map((name) =>
    copyShell(`${directory}/${name}`)
  );
  const first = Program.start(paths[0]);
  const { id } = first;
  assert.equal(table.process(id)?.path, paths[0]);
  await first[Symbol.asyncDispose]();
  for (let i = 1; i <= 30; i++) {
    await using again = await startAs(paths[i % 2], id);
    assert.equal(table.process(again.id)?.path, paths[i % 2]);
  }
  Deno.removeSync(directory, { recursive: true });
});
