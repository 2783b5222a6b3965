/** The unit of systemd: what is quoted, what systemd itself says of it. */
import assert from "node:assert/strict";
import {
  formatUnit,
  unitCommand,
} from "../../../../src/io/os/linux/systemd_unit.ts";
import type { StartupTask } from "../../../../src/io/ports/startup_tasks.ts";

const TASK: StartupTask = {
  name: "sluice-server",
  description: "sluice server: VPN gateway",
  program: "/bin/sh",
  arguments: ["server", "-c", "/etc/sluice/server.yaml"],
  directory: "/etc",
  at: "boot",
  mode: "server",
};

for (
  const [what, argument, expected] of [
    ["plain", "/opt/sluice", "/opt/sluice"],
    ["with a space", "/opt/my files", '"/opt/my files"'],
    ["with a quotation mark", 'a"b', '"a\\"b"'],
    ["with a backslash", "a\\b", '"a\\\\b"'],
    ["with a per cent sign", "/opt/50%", "/opt/50%%"],
    ["with a dollar sign", "/opt/$HOME", "/opt/$$HOME"],
    ["with a line break", "a\nExecStop=b", '"a\\nExecStop=b"'],
    ["empty", "", '""'],
    ["with a semicolon", ";", '";"'],
  ]
) {
  Deno.test(`an argument ${what} stays one argument`, () => {
    const unit = formatUnit({ ...TASK, arguments: [argument] });
    assert.equal(unitCommand(unit), `/bin/sh ${expected}`);
  });
}

Deno.test("a folder with a space may be written to, and is where it runs", () => {
  const unit = formatUnit({ ...TASK, directory: "/srv/my files" });
  assert.match(unit, /^WorkingDirectory=\/srv\/my files$/m);
  assert.match(unit, /^ReadWritePaths="\/srv\/my files" -\/run$/m);
});

Deno.test("what lies in /tmp is not hidden from it", () => {
  assert.match(formatUnit(TASK), /^PrivateTmp=yes$/m);
  const inTmp = formatUnit({ ...TASK, program: "/tmp/x/sluice" });
  assert.match(inTmp, /^PrivateTmp=no$/m);
});

Deno.test("the client may see whose a socket is, the server may not", () => {
  assert.doesNotMatch(formatUnit(TASK), /CAP_SYS_PTRACE/);
  assert.match(formatUnit({ ...TASK, mode: "client" }), /CAP_SYS_PTRACE/);
});

const ANALYZE = "/usr/bin/systemd-analyze";
const present = await Deno.stat(ANALYZE).then(() => true, () => false);

Deno.test({
  name: present
    ? "systemd finds nothing wrong with the unit"
    : "systemd finds nothing wrong with the unit (skipped: no systemd-analyze)",
  ignore: !present && Deno.env.get("CI") !== "true",
  fn: async () => {
    const directory = await Deno.makeTempDir();
    try {
      for (const mode of ["server", "client"] as const) {
        const path = `${directory}/sluice-${mode}.service`;
        await Deno.writeTextFile(
          path,
          formatUnit({ ...TASK, mode, arguments: ["-c", "a $b %c; 'd'"] }),
        );
        const { success, stderr } = await new Deno.Command(ANALYZE, {
          args: ["verify", "--man=no", path],
        }).output();
        const text = new TextDecoder().decode(stderr);
        assert.ok(success, text);
        assert.doesNotMatch(text, /sluice/);
      }
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
