/**
 * What the arrivals of a leak test mean. A probe has leaked where it arrived
 * although it was to be dropped, or where one that was to go through a tunnel
 * came from the address that direct traffic has.
 */
import type { Verdict } from "../core/route/rules/verdict.ts";
import type { Arrival } from "./leaktest_message.ts";

/** A probe that was sent. */
export interface SentProbe {
  readonly number: number;
  /** The program that sent it, by name. */
  readonly program: string;
  /** `TCP`, `ping` and so on. */
  readonly kind: string;
  readonly family: 4 | 6;
  /** What the running client says of it; undefined where it could not be asked. */
  readonly verdict: Verdict | undefined;
}

/** What became of a probe. */
export interface ProbeResult {
  readonly probe: SentProbe;
  /** Sources that the peer saw; empty where nothing arrived. */
  readonly sources: readonly string[];
  readonly result: "ok" | "leak" | "lost" | "unknown";
  /** For people. */
  readonly text: string;
}

/** The addresses of direct traffic as the peer sees them, by family. */
export interface DirectSources {
  readonly 4: string | undefined;
  readonly 6: string | undefined;
}

/** Judges each probe. */
export function judgeProbes(
  probes: readonly SentProbe[],
  arrivals: readonly Arrival[],
  direct: DirectSources,
): ProbeResult[] {
  return probes.map((probe) => {
    const sources = [
      ...new Set(
        arrivals.filter(({ number }) => number === probe.number)
          .map(({ source }) => source),
      ),
    ];
    return { probe, sources, ...judge(probe, sources, direct) };
  });
}

function judge(
  { verdict, family }: SentProbe,
  sources: readonly string[],
  direct: DirectSources,
): Pick<ProbeResult, "result" | "text"> {
  const from = sources.join(" and ");
  if (verdict === undefined) {
    return {
      result: "unknown",
      text: sources.length === 0 ? "did not arrive" : `arrived from ${from}`,
    };
  }
  if (sources.length === 0) {
    return verdict.way === "drop"
      ? { result: "ok", text: "dropped, as it should be" }
      : { result: "lost", text: "did not arrive: no leak, but no traffic" };
  }
  switch (verdict.way) {
    case "drop":
      return { result: "leak", text: `LEAK: arrived from ${from}` };
    case "direct":
      return { result: "ok", text: `arrived from ${from}` };
    case "tunnel": {
      const ours = direct[family];
      if (ours === undefined) {
        return {
          result: "unknown",
          text: `arrived from ${from}: is that the tunnel's?`,
        };
      }
      return sources.includes(ours)
        ? { result: "leak", text: `LEAK: arrived from ${ours}, as direct` }
        : { result: "ok", text: `arrived from ${from}` };
    }
  }
}
