/**
 * The rule engine once more, slow and obvious: every rule in order, patterns by
 * regular expressions, prefixes by bits as text, the fallback table written out.
 */
import type {
  FlowFacts,
  Program,
  TunnelTable,
} from "../../../../src/core/route/rules/facts.ts";
import type {
  PathStyle,
  Rule,
  RuleAction,
  RuleDestination,
  RuleSet,
} from "../../../../src/core/route/rules/rule.ts";

/** Way, tunnel, who decided, rule: `tunnel a rule 3`. */
export function twinDecide(
  set: RuleSet,
  facts: FlowFacts,
  { tunnels, style }: { tunnels: TunnelTable; style: PathStyle },
): string {
  const { policies } = set;
  if (facts.fragment === "later") return "drop fragments -1";
  if (facts.fragment === "first" && policies.fragments === "drop") {
    return "drop fragments -1";
  }
  for (let i = 0; i < set.rules.length; i++) {
    const rule = set.rules[i];
    if (!flowMatches(rule, facts)) continue;
    const aboutOwner = rule.processes || rule.paths || rule.directories ||
      rule.users;
    if (aboutOwner && facts.owner === undefined) {
      const action = policies.unknownOwner;
      if (action.kind === "nextRule") continue;
      return `${
        act(action, facts, { set, tunnels }) ?? "drop"
      } unknown-owner ${i}`;
    }
    if (aboutOwner && !ownerMatches(rule, facts, style)) continue;
    const way = act(rule.action, facts, { set, tunnels });
    if (way !== undefined) return `${way} rule ${i}`;
  }
  return `${act(set.default, facts, { set, tunnels }) ?? "drop"} default -1`;
}

function act(
  action: RuleAction,
  facts: FlowFacts,
  { set, tunnels }: { set: RuleSet; tunnels: TunnelTable },
): string | undefined {
  if (action.kind !== "tunnel") return action.kind;
  const { fallback } = action;
  if (fallback === "drop") return "drop";
  const fallen = fallback === "allowDirect"
    ? "direct"
    : fallback === "nextRule"
    ? undefined
    : "drop";
  const tunnel = tunnels.get(action.tunnel);
  if (tunnel !== undefined) {
    const isIpv4 = bits(facts.words).startsWith(
      "0".repeat(80) + "1".repeat(16),
    );
    const { carries } = tunnel;
    const byNumber: Record<number, boolean> = {
      1: carries.icmp,
      58: carries.icmp,
      6: carries.tcp,
      17: carries.udp,
    };
    const able = byNumber[facts.protocol] ?? carries.other;
    let policy: string | undefined;
    if (!isIpv4 && !carries.ipv6) policy = set.policies.ipv6;
    else if ((isIpv4 && !carries.ipv4) || !able) {
      policy = set.policies.unsupported;
    }
    if (policy === "nextRule") return undefined;
    if (policy === "fallback") return fallen;
    if (policy !== undefined) return policy;
  }
  if (tunnel?.state === "up" || tunnel?.state === "degraded") {
    return `tunnel ${action.tunnel}`;
  }
  return fallen;
}

function flowMatches(rule: Rule, facts: FlowFacts): boolean {
  const { protocols, ports, destinations } = rule;
  const name = new Map([[6, "tcp"], [17, "udp"], [1, "icmp"], [58, "icmp"]])
    .get(facts.protocol);
  if (protocols && !protocols.some((wanted) => wanted === name)) return false;
  if (
    ports &&
    !ports.some((range) =>
      facts.port > 0 && facts.port >= range.first && facts.port <= range.last
    )
  ) return false;
  return !destinations ||
    destinations.some((item) => destinationMatches(item, facts));
}

function destinationMatches(item: RuleDestination, facts: FlowFacts): boolean {
  if (item.kind === "name") return facts.names.includes(item.name);
  if (item.kind === "below") {
    return facts.names.some((name) =>
      new RegExp(`^.+\\.${escape(item.name)}$`).test(name)
    );
  }
  const { words, length, family } = item.prefix;
  const mapped = bits(facts.words).startsWith("0".repeat(80) + "1".repeat(16));
  if (mapped !== (family === 4)) return false;
  const count = family === 4 ? 96 + length : length;
  return bits(words).slice(0, count) === bits(facts.words).slice(0, count);
}

function ownerMatches(rule: Rule, facts: FlowFacts, style: PathStyle): boolean {
  const owner = facts.owner!;
  const fold = (text: string) =>
    style === "windows" ? text.toLowerCase().replaceAll("\\", "/") : text;
  if (rule.users) {
    const forms = [owner.user, String(owner.userId)];
    if (style === "windows") forms.push(owner.user.split("\\").at(-1)!);
    const same = (user: string) =>
      forms.some((form) =>
        style === "windows"
          ? form.toLowerCase() === user.toLowerCase()
          : form === user
      );
    if (!rule.users.some(same)) return false;
  }
  if (!rule.processes && !rule.paths && !rule.directories) return true;
  const holds = (program: Program) => {
    const path = fold(program.path);
    const name = fold(program.name);
    const { processes, paths, directories } = rule;
    if (processes && !processes.some((p) => regExp(fold(p)).test(name))) {
      return false;
    }
    if (paths && !paths.some((p) => regExp(fold(p)).test(path))) return false;
    return !directories ||
      directories.some((d) =>
        path.startsWith(fold(d).replace(/\/$/, "") + "/") &&
        path !== fold(d).replace(/\/$/, "") + "/"
      );
  };
  return [owner, ...(rule.children ? owner.ancestors : [])].some(holds);
}

/** Steps by regular expression; see glob.ts for what they mean. */
export function regExp(pattern: string): RegExp {
  const steps = pattern.split("/");
  let text = "";
  for (let i = 0; i < steps.length; i++) {
    const last = i === steps.length - 1;
    if (steps[i] === "**") text += last ? "[^]+" : "(?:[^/]*/)*";
    else {
      text += escape(steps[i]).replace(/(?:\\\*)+/g, "[^/]*").replaceAll(
        "\\?",
        "[^/]",
      ) + (last ? "" : "/");
    }
  }
  return new RegExp(`^${text}$`);
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function bits(words: ArrayLike<number>): string {
  return Array.from(words, (word) => (word >>> 0).toString(2).padStart(32, "0"))
    .join("");
}
