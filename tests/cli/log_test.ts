import assert from "node:assert/strict";
import {
  closeLog,
  isVerbose,
  logger,
  redact,
  setupLog,
} from "../../src/cli/log.ts";

const KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";

/** Everything that is written while `work` logs. */
async function logged(
  level: "error" | "warning" | "info" | "debug" | "trace",
  work: () => void,
  color = false,
): Promise<string> {
  let text = "";
  await setupLog({ level, color, write: (lines) => void (text += lines) });
  try {
    work();
  } finally {
    await closeLog();
  }
  return text;
}

Deno.test("a line has its time, level, part and text", async () => {
  const text = await logged(
    "info",
    () => logger("Core").info("peer {name} came", { name: "phone" }),
  );
  assert.match(
    text,
    /^\d\d:\d\d:\d\d\.\d{3} INFO {4}\[Core\] peer phone came\n$/,
  );
});

Deno.test("levels below the wanted one are quiet", async () => {
  const all = () => {
    logger("Router").error("e");
    logger("Router").warn("w");
    logger("Router").info("i");
    logger("Router").debug("d");
    logger("Router").trace("t");
  };
  const count = async (level: Parameters<typeof logged>[0]) =>
    (await logged(level, all)).split("\n").length - 1;
  assert.equal(await count("error"), 1);
  assert.equal(await count("warning"), 2);
  assert.equal(await count("info"), 3);
  assert.equal(await count("debug"), 4);
  assert.equal(await count("trace"), 5);
});

Deno.test("keys never get into the log, whatever carries them", async () => {
  const hex = "0123456789abcdef".repeat(4);
  const text = await logged("info", () => {
    logger("Core").info(`key ${KEY} and ${hex}`);
    logger("Core").info("{what}", { what: KEY });
    logger("Core").info("{what}", { what: { privateKey: KEY } });
    logger("Core").info("{what}", { what: new Error(`bad ${KEY}`) });
  });
  assert.ok(!text.includes(KEY.slice(0, 20)), text);
  assert.ok(!text.includes(hex.slice(0, 20)), text);
  assert.equal(text.match(/\(key\)/g)?.length, 5);
  assert.equal(
    redact("nothing to hide, 10.0.0.1:51820"),
    "nothing to hide, 10.0.0.1:51820",
  );
});

Deno.test("one record is one line; nothing in it moves the cursor", async () => {
  const text = await logged(
    "info",
    () => logger("DNS").info("{name}", { name: "a\nb\x1b[2Jc\r" }),
  );
  assert.match(text, /\[DNS\] a b \[2Jc ?\n$/);
});

Deno.test("colours where they are wanted", async () => {
  const text = await logged("info", () => logger("DNS").error("x"), true);
  assert.ok(text.includes("\x1b[31m"));
});

Deno.test("which levels show stack traces", () => {
  assert.ok(isVerbose("debug") && isVerbose("trace"));
  assert.ok(!isVerbose("info"));
});
