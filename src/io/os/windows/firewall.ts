/** Rules of the firewall that this process has made, journaled and taken back. */
import type { Journal } from "../../ports.ts";
import {
  addRule,
  type FirewallRule,
  removeRule,
  type RunProgram,
} from "./firewall_rule.ts";

/** See the file header. */
export class Firewall {
  readonly #run: RunProgram;
  readonly #journal: Journal;
  /** By their names. */
  readonly #rules = new Map<string, FirewallRule>();

  constructor(run: RunProgram, journal: Journal) {
    this.#run = run;
    this.#journal = journal;
  }

  /**
   * Adds a rule, or changes the one of its name.
   * @throws {FirewallError} with what the system says; the rule is not there then.
   */
  add(rule: FirewallRule): void {
    const { name } = rule;
    if (this.#rules.get(name)?.scope === rule.scope) return;
    this.#journal.record(scopeOf(name), [{ kind: "firewall-rule", name }]);
    try {
      addRule(this.#run, rule);
      this.#rules.set(name, rule);
    } catch (error) {
      this.#rules.delete(name);
      this.#journal.record(scopeOf(name), []);
      throw error;
    }
  }

  /** Takes all of them back. @throws {FirewallError} */
  reset(): void {
    for (const name of this.#rules.keys()) {
      removeRule(this.#run, name);
      this.#journal.record(scopeOf(name), []);
      this.#rules.delete(name);
    }
  }
}

function scopeOf(name: string): string {
  return `firewall:${name}`;
}
