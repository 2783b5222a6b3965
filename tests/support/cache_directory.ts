/** Where fetched and built foreign programs are kept, outside of the project. */
export function cacheDirectory(): string {
  const base = Deno.env.get("XDG_CACHE_HOME") ??
    `${Deno.env.get("HOME") ?? "/tmp"}/.cache`;
  return `${base}/sluice-tests`;
}
