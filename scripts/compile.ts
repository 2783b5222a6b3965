/**
 * `deno task compile`: executables that are copied and run.
 *
 * The compiler fetches the base of each target from Deno's site once; where that
 * can't be reached, DENORT_BIN names a file for the one target that is made.
 */
import { Command, Option } from "@commander-js/extra-typings";
import metadata from "../deno.json" with { type: "json" };
import { build, BuildError } from "./compile/build.ts";
import { sign, SignError, verify } from "./compile/sign.ts";
import { findTarget, type Target, TARGETS } from "./compile/targets.ts";

const PROJECT = new URL("..", import.meta.url).pathname;

const options = new Command("compile")
  .description("make executables that are copied and run")
  .addOption(
    new Option("--target <triple...>", "for which systems")
      .choices(TARGETS.map(({ triple }) => triple))
      .default([Deno.build.target]),
  )
  .option("--out <folder>", "where they go", "dist")
  .option("--certificate <pem>", "sign the Windows one with this certificate")
  .option("--key <pem>", "and this key")
  .option("--timestamp <url>", "and the time of this authority (RFC 3161)")
  .option("--authorities <pem>", "what to verify the signature against")
  .addHelpText(
    "after",
    `
Environment: DENORT_BIN=FILE    the base of the target, where Deno's site is out of reach

Examples:
  deno task compile
  deno task compile --target x86_64-pc-windows-msvc --certificate c.pem --key k.pem`,
  )
  .parse(["deno", "compile", ...Deno.args]).opts();

async function make(target: Target): Promise<void> {
  const output = `${options.out}/${target.file}`;
  const { files, bytes } = await build({
    project: PROJECT,
    target,
    version: metadata.version,
    output: await absolute(output),
    base: Deno.env.get("DENORT_BIN"),
  });
  console.log(
    `${output}: ${
      (bytes / 2 ** 20).toFixed(0)
    } MiB, ${files.own.length} files ` +
      `of ours, ${files.packages.length} packages`,
  );
  const { certificate, key, timestamp, authorities } = options;
  if (target.format !== "pe" || certificate === undefined) return;
  if (key === undefined) throw new SignError("--certificate needs --key");
  await sign(output, { certificate, key, timestampUrl: timestamp });
  await verify(output, authorities ?? certificate);
  console.log(`${output}: signed, and the signature verified`);
}

async function absolute(path: string): Promise<string> {
  await Deno.mkdir(options.out, { recursive: true });
  return `${await Deno.realPath(options.out)}/${path.split("/").at(-1)}`;
}

try {
  for (const triple of options.target) {
    const target = findTarget(triple);
    if (target === undefined) throw new BuildError(`no target ${triple}`);
    await make(target);
  }
} catch (error) {
  if (!(error instanceof BuildError || error instanceof SignError)) throw error;
  console.error(`error: ${error.message}`);
  Deno.exit(1);
}
