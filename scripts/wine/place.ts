/**
 * Where Windows programs run: mount and process namespaces of their own, in
 * which Wine's `/usr` has taken the place of the machine's and everything else
 * is the machine's, so that drive Z: shows the project at its own path. The
 * shell is the first process there: when it ends, or the test kills `unshare`,
 * nothing is left, wineserver and services included.
 *
 * Sockets live in the network namespace of the process that started wineserver:
 * one prefix is for one network namespace.
 */
import type { Wine } from "./recipe.ts";

/** The file that starts a Windows program, inside. */
export const LOADER = "/usr/lib/wine/wine64";

const ENTER = [
  // Where wineserver listens; without it, a directory in /tmp that nobody removes.
  'user=/run/user; mkdir -p "$user" && mount -t tmpfs run "$user" &&',
  'mkdir -m 700 "$user/$(id -u)" && mount --bind "$1" /usr || exit 125',
  'shift; "$@"',
].join("\n");

/** How to run programs of one prefix. */
export interface PlaceOptions {
  /** A directory; a copy of the template, or made by `wineboot`. */
  readonly prefix: string;
  /** Variables for the programs. */
  readonly env?: Readonly<Record<string, string>>;
}

/** What goes before a program and its arguments, and its environment. */
export interface WinePlace {
  readonly command: readonly string[];
  readonly env: Record<string, string>;
}

/** The place of one prefix in the caller's network namespace. */
export function winePlace(wine: Wine, options: PlaceOptions): WinePlace {
  return {
    command: [...unshareCommand(wine), LOADER],
    env: wineEnvironment(options),
  };
}

/** What makes the namespaces and runs what follows in them. */
export function unshareCommand(wine: Wine): string[] {
  return [
    "unshare",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--propagation",
    "private",
    "sh",
    "-c",
    ENTER,
    "wine",
    wine.usr,
  ];
}

/** The variables that Wine needs, the caller's own after them. */
export function wineEnvironment(options: PlaceOptions): Record<string, string> {
  return {
    WINEPREFIX: options.prefix,
    WINELOADER: LOADER,
    WINESERVER: "/usr/lib/wine/wineserver64",
    WINEDEBUG: "-all",
    WINEDLLOVERRIDES: "mscoree,mshtml,winemenubuilder.exe=",
    LANG: "C.UTF-8",
    DISPLAY: "",
    NO_COLOR: "1",
    DENO_NO_UPDATE_CHECK: "1",
    ...options.env,
  };
}

/** A path of the machine as Windows programs see it. */
export function windowsPath(path: string): string {
  return `Z:${path.replaceAll("/", "\\")}`;
}
