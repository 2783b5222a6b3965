/** For which systems there are executables, and what their files are called. */

/** A system, as Deno's compiler calls it. */
export interface Target {
  readonly triple: string;
  /** The executable's file name. */
  readonly file: string;
  readonly format: "pe" | "elf" | "mach-o";
}

/** All of them; the first of a system is its usual one. */
export const TARGETS: readonly Target[] = [
  {
    triple: "x86_64-pc-windows-msvc",
    file: "sluice.exe",
    format: "pe",
  },
  {
    triple: "x86_64-unknown-linux-gnu",
    file: "sluice-linux-x64",
    format: "elf",
  },
  {
    triple: "aarch64-unknown-linux-gnu",
    file: "sluice-linux-arm64",
    format: "elf",
  },
  {
    triple: "x86_64-apple-darwin",
    file: "sluice-macos-x64",
    format: "mach-o",
  },
  {
    triple: "aarch64-apple-darwin",
    file: "sluice-macos-arm64",
    format: "mach-o",
  },
];

/** The target of that name; undefined where there is none. */
export function findTarget(triple: string): Target | undefined {
  return TARGETS.find((target) => target.triple === triple);
}
