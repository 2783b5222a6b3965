/**
 * Changes `client.yaml` in place: rules and tunnels come and go, comments and
 * the rest of the text stay; see edit_config.ts.
 */
import { stringify } from "yaml";
import {
  type ConfigEdit,
  editConfig,
  type EditOptions,
} from "./edit_config.ts";
import { withItem, withoutItem } from "./list_text.ts";
import {
  confReader,
  loadClientConfig,
  type LoadedClientConfig,
  parseClientConfig,
} from "./load_client_config.ts";

/** Plain values under the keys of a rule or a tunnel; undefined ones are left out. */
export type ItemEntry = Readonly<Record<string, unknown>>;

/**
 * Lets `change` make a new text of the file, checks that and writes it.
 * @returns the result of `change`.
 * @throws ConfigError, LockTimeoutError, or what `change` throws.
 */
export function editClientConfig<Result>(
  path: string,
  change: (
    loaded: LoadedClientConfig,
  ) => ConfigEdit<Result> | Promise<ConfigEdit<Result>>,
  options: EditOptions = {},
): Promise<Result> {
  const check = (text: string) =>
    parseClientConfig(text, { file: path, readFile: confReader(path) });
  return editConfig(path, { load: loadClientConfig, check }, change, options);
}

/**
 * The text with one rule more.
 * @param entry the rule as it stands in the file: process, destination, tunnel, ...
 * @param index where it goes; at the end without.
 */
export function withRule(
  text: string,
  entry: ItemEntry,
  index?: number,
): string {
  return withItem(text, { key: "rules", ...itemText(entry), index });
}

/** The text without the rule at an index, from 0; undefined where there is none. */
export function withoutRule(text: string, index: number): string | undefined {
  return withoutItem(text, "rules", index);
}

/** The text with one tunnel more, at the end. */
export function withTunnel(text: string, entry: ItemEntry): string {
  return withItem(text, { key: "tunnels", ...itemText(entry) });
}

/** An item of a list as lines of YAML, and as plain values. */
export function itemText(
  entry: ItemEntry,
): { value: ItemEntry; lines: string[] } {
  const value = JSON.parse(JSON.stringify(entry)) as ItemEntry;
  const lines = stringify([value], { lineWidth: 0 }).trimEnd().split("\n");
  return { value, lines };
}
