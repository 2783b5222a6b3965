/** Tasks of the Task Scheduler as XML and as files. */
import assert from "node:assert/strict";
import { openStartupTasks } from "../../../../src/io/os/windows/startup_tasks.ts";
import {
  decodeTaskFile,
  encodeUtf16,
  formatTaskXml,
  quoteArgument,
  taskCommand,
  taskEnabled,
} from "../../../../src/io/os/windows/task_xml.ts";
import type { StartupTask } from "../../../../src/io/ports/startup_tasks.ts";

const TASK: StartupTask = {
  name: "sluice-server",
  description: "a <gateway> & more",
  program: "C:\\Program Files\\sluice\\sluice.exe",
  arguments: ["server", "-c", "C:\\Program Files\\sluice\\server.yaml"],
  directory: "C:\\Program Files\\sluice",
  at: "boot",
  mode: "server",
};
const USER = { name: "HOST\\ann" };

/** Takes a command line apart as the C runtime documents it. */
function splitArguments(line: string): string[] {
  const found: string[] = [];
  let i = 0;
  while (i < line.length) {
    while (line[i] === " ") i++;
    if (i >= line.length) break;
    let quoted = false, text = "";
    for (; i < line.length && (quoted || line[i] !== " "); i++) {
      let slashes = 0;
      while (line[i] === "\\") slashes++, i++;
      if (line[i] === '"') {
        text += "\\".repeat(slashes >> 1);
        if (slashes % 2 === 1) text += '"';
        else quoted = !quoted;
      } else {
        text += "\\".repeat(slashes);
        if (i < line.length && (quoted || line[i] !== " ")) text += line[i];
        else i--;
      }
    }
    found.push(text);
  }
  return found;
}

for (
  const argument of [
    "plain",
    "with space",
    'quote"d',
    "back\\slash",
    "ends with slash\\",
    'slash\\"quote',
    "two\\\\",
    "a b\\\\",
    "",
  ]
) {
  Deno.test(`the argument ${JSON.stringify(argument)} comes back whole`, () => {
    const line = ["first", argument, "last"].map(quoteArgument).join(" ");
    assert.deepEqual(splitArguments(line), ["first", argument, "last"]);
  });
}

Deno.test("at boot it is SYSTEM's, at logon the user's, always with highest privileges", () => {
  const boot = formatTaskXml(TASK, USER);
  assert.match(boot, /<BootTrigger>/);
  assert.match(boot, /<UserId>S-1-5-18<\/UserId><RunLevel>HighestAvailable/);
  const logon = formatTaskXml({ ...TASK, at: "logon" }, USER);
  assert.match(logon, /<LogonTrigger>.*<UserId>HOST\\ann<\/UserId>/);
  assert.match(logon, /<LogonType>InteractiveToken<.*HighestAvailable/);
  assert.doesNotMatch(logon, /S-1-5-18/);
});

Deno.test("no time limit, on battery too, again after a failure", () => {
  const xml = formatTaskXml(TASK, USER);
  for (
    const setting of [
      "<ExecutionTimeLimit>PT0S<",
      "<DisallowStartIfOnBatteries>false<",
      "<StopIfGoingOnBatteries>false<",
      "<RestartOnFailure><Interval>PT1M<",
      "<MultipleInstancesPolicy>IgnoreNew<",
    ]
  ) assert.ok(xml.includes(setting), setting);
});

Deno.test("what it starts is read back from the XML", () => {
  const xml = formatTaskXml(TASK, USER);
  assert.equal(
    taskCommand(xml),
    '"C:\\Program Files\\sluice\\sluice.exe" server -c ' +
      '"C:\\Program Files\\sluice\\server.yaml"',
  );
  assert.ok(xml.includes("a &lt;gateway&gt; &amp; more"));
  assert.equal(taskCommand("<Task></Task>"), undefined);
});

Deno.test("a disabled task is told from an enabled one", () => {
  const xml = formatTaskXml(TASK, USER);
  assert.equal(taskEnabled(xml), true);
  const off = xml.replace(
    /(<AllowStartOnDemand>[^]*?<Enabled>)true/,
    "$1false",
  );
  assert.equal(taskEnabled(off), false);
});

Deno.test("files are UTF-16 with a mark, and read in either encoding", () => {
  const text = "<Task>Gerät 網</Task>";
  const bytes = encodeUtf16(text);
  assert.deepEqual([...bytes.subarray(0, 4)], [0xff, 0xfe, 0x3c, 0]);
  assert.equal(decodeTaskFile(bytes), text);
  assert.equal(decodeTaskFile(bytes.subarray(2)), text);
  assert.equal(decodeTaskFile(new TextEncoder().encode(text)), text);
});

Deno.test("schtasks is asked, and what it keeps is told", async () => {
  const directory = await Deno.makeTempDir();
  const asked: string[] = [];
  let given: Uint8Array = new Uint8Array();
  const tasks = openStartupTasks({
    tasks: directory,
    user: USER.name,
    endMs: 0,
    drafts: () => undefined,
    run: async (program, args) => {
      const line = [program, ...args].map((word) => word.split("/").at(-1));
      asked.push(line.filter((word) => !word!.endsWith(".xml")).join(" "));
      if (args[0] === "/Create") {
        given = await Deno.readFile(args[args.indexOf("/XML") + 1]);
        await Deno.mkdir(`${directory}/sluice`, { recursive: true });
        await Deno.writeFile(`${directory}/sluice/sluice-server`, given);
      }
      if (args[0] === "/Delete") {
        await Deno.remove(`${directory}/sluice/sluice-server`);
      }
      return { success: true, text: "" };
    },
  });
  try {
    assert.equal((await tasks.install(TASK)).change, "created");
    assert.equal(decodeTaskFile(given), tasks.format(TASK));
    assert.equal((await tasks.install(TASK)).change, "unchanged");
    const other = { ...TASK, arguments: ["client"] };
    assert.equal((await tasks.install(other)).change, "replaced");
    const state = await tasks.status(TASK.name);
    assert.ok(state.kind === "installed");
    assert.equal(state.place, "\\sluice\\sluice-server");
    assert.equal(state.enabled, true);
    await tasks.start(TASK.name);
    assert.equal(await tasks.uninstall(TASK.name), true);
    assert.equal(await tasks.uninstall(TASK.name), false);
    assert.deepEqual(await tasks.status(TASK.name), { kind: "absent" });
    assert.deepEqual(asked.slice(3), [
      "schtasks Run TN \\sluice\\sluice-server",
      "schtasks End TN \\sluice\\sluice-server",
      "schtasks Delete TN \\sluice\\sluice-server F",
    ]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
