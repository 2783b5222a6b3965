/** Rules, flows and tunnels for tests: by hand, and drawn from a seed. */
import {
  type AddressWords,
  parseAddress,
  parsePrefix,
} from "../../../../src/core/wire/address.ts";
import type {
  FlowFacts,
  FlowOwner,
  Program,
  TunnelCarries,
  TunnelFacts,
  TunnelState,
} from "../../../../src/core/route/rules/facts.ts";
import type {
  PathStyle,
  Rule,
  RuleAction,
  RuleDestination,
  RuleSet,
} from "../../../../src/core/route/rules/rule.ts";
import type { SeededRandom } from "../../columns/seeded_random.ts";

export const TCP = 6, UDP = 17, ICMP = 1, ICMPV6 = 58, GRE = 47;
export const EVERYTHING: TunnelCarries = {
  ipv4: true,
  ipv6: true,
  tcp: true,
  udp: true,
  icmp: true,
  other: true,
};
export const DIRECT: RuleAction = { kind: "direct" };
export const DROP: RuleAction = { kind: "drop" };

export function through(
  tunnel: string,
  fallback: "allowDirect" | "block" | "drop" | "nextRule" = "block",
): RuleAction {
  return { kind: "tunnel", tunnel, fallback };
}

export function program(path: string): Program {
  return { path, name: path.split(/[\\/]/).at(-1)! };
}

export function owner(
  path: string,
  { user = "anna", userId, parents = [] }: {
    user?: string;
    userId?: number;
    parents?: readonly string[];
  } = {},
): FlowOwner {
  return { ...program(path), user, userId, ancestors: parents.map(program) };
}

export function words(address: string): AddressWords {
  return parseAddress(address)!;
}

export function destination(text: string): RuleDestination {
  const prefix = parsePrefix(text);
  if (prefix !== undefined) return { kind: "prefix", prefix };
  return text.startsWith("*.")
    ? { kind: "below", name: text.slice(2) }
    : { kind: "name", name: text };
}

export function flow(
  address: string,
  more: Partial<FlowFacts> = {},
): FlowFacts {
  return {
    protocol: TCP,
    words: words(address),
    port: 443,
    names: [],
    owner: owner("/usr/bin/curl"),
    fragment: "none",
    ...more,
  };
}

export function tunnel(
  state: TunnelState,
  lacks: Partial<TunnelCarries> = {},
): TunnelFacts {
  return { state, carries: { ...EVERYTHING, ...lacks } };
}

const PATHS: Record<PathStyle, readonly string[]> = {
  posix: [
    "/usr/bin/curl",
    "/usr/bin/Curl",
    "/opt/app/app",
    "/opt/app/bin/helper",
    "/opt/apple/app",
    "/opt/google/chrome/chrome",
    "/opt/google/chrome/chrome_crashpad",
    "/home/anna/x/y/z/tool",
    "/home/bob/chrome",
    "/bin/sh",
  ],
  windows: [
    "C:\\Windows\\System32\\curl.exe",
    "c:\\windows\\system32\\CURL.EXE",
    "C:\\Program Files\\App\\app.exe",
    "C:\\Program Files\\App\\bin\\helper.exe",
    "C:\\Program Files\\Apple\\app.exe",
    "D:\\Games\\x\\game.exe",
  ],
};
const NAMES: Record<PathStyle, readonly string[]> = {
  posix: ["curl", "chrome", "app", "helper", "*chrome*", "c*l", "t??l", "sh"],
  windows: ["curl.exe", "App.exe", "helper.exe", "*.EXE", "g*", "chrome"],
};
const PATTERNS: Record<PathStyle, readonly string[]> = {
  posix: [
    "/opt/app/**",
    "/opt/*/app",
    "/opt/**/chrome",
    "**/chrome",
    "/usr/bin/curl",
    "/home/*/x/**/tool",
    "/**",
    "/home/**",
  ],
  windows: [
    "C:\\Program Files\\**",
    "c:/program files/app/*.exe",
    "**\\app.exe",
    "D:\\Games\\x\\game.exe",
  ],
};
const FOLDERS: Record<PathStyle, readonly string[]> = {
  posix: ["/opt/app", "/opt", "/usr/bin/", "/", "/home/anna/x"],
  windows: ["C:\\Program Files\\App\\", "c:\\", "D:/Games"],
};
const USERS: Record<PathStyle, readonly string[]> = {
  posix: ["anna", "Anna", "bob", "1000"],
  windows: ["anna", "HOME\\Bob", "bob", "home\\anna"],
};
const DESTINATIONS = [
  "10.0.0.0/8",
  "10.1.0.0/16",
  "10.1.2.0/24",
  "10.1.2.3",
  "0.0.0.0/0",
  "192.168.0.0/16",
  "::/0",
  "2001:db8::/32",
  "2001:db8:0:1::/64",
  "2001:db8::1",
  "fd00::/7",
  "example.org",
  "*.example.org",
  "*.org",
  "a.b.example.org",
  "*.b.example.org",
  "example.com",
];
const ADDRESSES = [
  "10.1.2.3",
  "10.1.9.9",
  "10.200.0.1",
  "192.168.1.1",
  "203.0.113.5",
  "2001:db8::1",
  "2001:db8:0:1::5",
  "fd00::1",
  "2a00::1",
];
const HOSTS = [
  "example.org",
  "a.b.example.org",
  "x.example.org",
  "example.com",
  "org",
  "notexample.org",
];

/** Draws rules and flows that meet each other often. */
export class Drawing {
  readonly #random: SeededRandom;
  readonly #style: PathStyle;

  constructor(random: SeededRandom, style: PathStyle) {
    this.#random = random;
    this.#style = style;
  }

  one<Item>(items: readonly Item[]): Item {
    return items[this.#random.below(items.length)];
  }

  some<Item>(items: readonly Item[]): Item[] {
    return Array.from(
      { length: 1 + this.#random.below(3) },
      () => this.one(items),
    );
  }

  /** True once in `n` draws. */
  chance(n: number): boolean {
    return this.#random.below(n) === 0;
  }

  action(): RuleAction {
    return this.one<RuleAction>([
      DIRECT,
      DROP,
      through(
        this.one(["a", "b", "c", "gone"]),
        this.one(["allowDirect", "block", "drop", "nextRule", "nextRule"]),
      ),
    ]);
  }

  rule(): Rule {
    const style = this.#style;
    const first = 1 + this.#random.below(100);
    return {
      ...this.chance(3) && { processes: this.some(NAMES[style]) },
      ...this.chance(6) && { paths: this.some(PATTERNS[style]) },
      ...this.chance(6) && { directories: this.some(FOLDERS[style]) },
      ...this.chance(6) && { users: this.some(USERS[style]) },
      ...this.chance(2) && {
        destinations: this.some(DESTINATIONS).map(destination),
      },
      ...this.chance(4) && {
        ports: this.one([[{ first, last: first + 50 }], [{
          first: 443,
          last: 443,
        }]]),
      },
      ...this.chance(4) && {
        protocols: this.some<"tcp" | "udp" | "icmp">(["tcp", "udp", "icmp"]),
      },
      ...this.chance(3) && { children: true },
      action: this.action(),
    };
  }

  set(length: number): RuleSet {
    const uncarried = ["drop", "direct", "nextRule", "fallback"] as const;
    return {
      rules: Array.from({ length }, () => this.rule()),
      default: this.action(),
      policies: {
        unknownOwner: this.one([
          { kind: "nextRule" as const },
          { kind: "nextRule" as const },
          this.action(),
        ]),
        fragments: this.one(["drop", "follow"]),
        ipv6: this.one(uncarried),
        unsupported: this.one(uncarried),
      },
    };
  }

  flow(): FlowFacts {
    const protocol = this.one([TCP, TCP, UDP, ICMP, ICMPV6, GRE]);
    const hasPorts = protocol === TCP || protocol === UDP;
    return {
      protocol,
      words: words(this.one(ADDRESSES)),
      port: hasPorts ? this.one([53, 80, 443, 8080]) : 0,
      names: this.chance(2) ? this.some(HOSTS) : [],
      owner: this.chance(5) ? undefined : this.#owner(),
      fragment: this.chance(12) ? this.one(["first", "later"]) : "none",
    };
  }

  tunnels(): Map<string, TunnelFacts> {
    const states = ["up", "up", "degraded", "connecting", "down"] as const;
    return new Map(["a", "b", "c"].map((name) => [
      name,
      tunnel(this.one(states), {
        ipv4: !this.chance(9),
        ipv6: !this.chance(3),
        tcp: !this.chance(9),
        udp: !this.chance(3),
        icmp: !this.chance(3),
        other: !this.chance(3),
      }),
    ]));
  }

  #owner(): FlowOwner {
    const style = this.#style;
    return {
      ...owner(this.one(PATHS[style]), {
        user: this.one(USERS[style]),
        parents: this.chance(2) ? this.some(PATHS[style]) : [],
      }),
      userId: this.chance(2) ? 1000 : undefined,
    };
  }
}
