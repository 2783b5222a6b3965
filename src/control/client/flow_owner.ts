/** Who owns a flow: as rules see it, and as people do. */
import type { FlowOwner as RuleOwner } from "../../core/route/rules/facts.ts";
import type {
  FlowOwner,
  ProcessInfo,
  UnknownOwner,
} from "../../io/ports/process_table.ts";
import type { ProgramView } from "../client_port.ts";

/** What is known of a flow's owner. */
export type OwnerFinding =
  | {
    readonly kind: "known";
    readonly owner: RuleOwner;
    readonly program: ProgramView;
  }
  | {
    readonly kind: "unknown";
    /** `no-path`: the system does not tell the executable, so that a name alone could be anybody's. */
    readonly reason: UnknownOwner | "no-path";
    readonly program: ProgramView | undefined;
  };

/** What a look-up came to. */
export function ownerFinding(found: FlowOwner): OwnerFinding {
  if (found.kind === "unknown") {
    return { kind: "unknown", reason: found.reason, program: undefined };
  }
  const { process } = found;
  const program = programView(process);
  const owner = ruleOwner(process);
  return owner === undefined
    ? { kind: "unknown", reason: "no-path", program }
    : { kind: "known", owner, program };
}

/**
 * A process as rules see it; undefined where its executable is not known. Names
 * without a path are what a process calls itself: rules don't take them.
 */
export function ruleOwner(process: ProcessInfo): RuleOwner | undefined {
  const { path, name, userId, ancestors } = process;
  if (path === undefined) return undefined;
  return {
    path,
    name,
    get user() {
      return process.user;
    },
    userId,
    ancestors: ancestors.flatMap((origin) =>
      origin.path === undefined
        ? []
        : [{ path: origin.path, name: origin.name }]
    ),
  };
}

function programView(process: ProcessInfo): ProgramView {
  const { processId, name, path } = process;
  return {
    processId,
    name,
    ...(path === undefined ? {} : { path }),
    get user() {
      return process.user;
    },
  };
}

const REASONS: Readonly<
  Record<(OwnerFinding & { kind: "unknown" })["reason"], string>
> = {
  "no-socket": "no socket of this host has it",
  closed: "its program has closed it already",
  "no-holder": "no program that can be seen has it",
  shared: "several programs have sockets that it may be of",
  ended: "its program ended while it was looked for",
  unfinished: "looking for its program took too long",
  "no-path": "the executable of its program is not told",
};

/** Why nobody is known, for people. */
export function unknownText(
  { reason }: OwnerFinding & { kind: "unknown" },
): string {
  return REASONS[reason];
}
