import Glibc
import Replication
import Simulation
import TestSupport

/// Plays simulations of the daemon. `simulate help` says how.
@main struct Simulate {
    static let usage = """
        simulate seeds COUNT [FIRST]   random schedules; prints what failed, and which step has met which fate
        simulate grid [SCENARIO]       every effect of every scenario meets every fate
        simulate bugs [COUNT]          bugs planted on purpose: each is to be found within COUNT seeds, 2000 unless told
        simulate power [COUNT]         seeds in which every death is a loss of power: what was not synced is gone
        simulate lying-disk [COUNT]    the same on a disk that does not sync: this is to lose something, or the layer is blind
        simulate trace SEED            one of them, with every write of both stores
        """

    static func main() {
        // Sets and dictionaries are walked in the same order every time only under a fixed hash seed.
        if getenv("SWIFT_DETERMINISTIC_HASHING") == nil {
            setenv("SWIFT_DETERMINISTIC_HASHING", "1", 1)
            // What was freed is used again at once: giving it back to the kernel takes a tenth of the time.
            setenv("MALLOC_TRIM_THRESHOLD_", "268435456", 1)
            setenv("MALLOC_MMAP_THRESHOLD_", "268435456", 1)
            execv("/proc/self/exe", CommandLine.arguments.map { strdup($0) } + [nil])
        }
        let words = Array(CommandLine.arguments.dropFirst())
        if words.first == "grid" { exit(grid(words.dropFirst().joined(separator: " ")) ? 0 : 1) }
        let numbers = words.dropFirst().compactMap { UInt64($0) }
        guard numbers.count == words.dropFirst().count else { return refuse() }
        switch words.first {
        case "seeds": exit(seeds(Int(numbers.first ?? 1000), from: numbers.dropFirst().first ?? 1) ? 0 : 1)
        case "bugs": exit(bugs(within: Int(numbers.first ?? 2000)) ? 0 : 1)
        case "power":
            PowerLoss.install()
            exit(seeds(Int(numbers.first ?? 500), from: 1, losesPower: true) ? 0 : 1)
        case "lying-disk":
            PowerLoss.install(lyingAboutSyncs: true)
            exit(seeds(Int(numbers.first ?? 500), from: 1, losesPower: true) ? 1 : 0)
        case "trace": exit(trace(numbers.first ?? 1) ? 0 : 1)
        case "help": print(usage)
        default: refuse()
        }
    }

    private static func refuse() {
        print(usage)
        exit(64)
    }

    private static func seeds(_ count: Int, from first: UInt64, losesPower: Bool = false) -> Bool {
        let told = Locked(0)
        let result = RandomCampaign.run(count, from: first, losesPower: losesPower) { seed, outcome in
            guard
                told.withLock({ told in
                    told += 1
                    return told <= 20
                })
            else { return }
            print("seed \(seed) (\(outcome.kind)): \(outcome.findings.count) findings, \(outcome.steps) steps, \(outcome.lives) lives")
            for finding in outcome.findings.prefix(4) { print("    \(finding.prefix(600))") }
        }
        print(result.reach.table)
        for gap in result.reach.gaps { print("never: \(gap.step.place.rawValue) \(gap.step.name) \(gap.fate.rawValue)") }
        print(
            "\(count) seeds from \(first): \(result.failed.count) failed, \(result.steps / max(1, count)) steps and "
                + "\(result.lives) lives in all, \(Int(result.seconds)) s, \(Int(Double(count) / max(0.001, result.seconds))) a second")
        return result.failed.isEmpty
    }

    /// - Parameter name: of one scenario; "": all.
    private static func grid(_ name: String) -> Bool {
        do {
            let scenarios = Scenario.all.filter { name.isEmpty || $0.name == name }
            let grid = try CrashGrid.run(scenarios) { failure in
                print(
                    "\(failure.scenario), effect \(failure.nth) (\(failure.effect.place.rawValue) \(failure.effect.name)), "
                        + "\(failure.fate.rawValue)\(failure.isLasting ? " from then on" : "")")
                for finding in failure.findings.prefix(4) { print("    \(finding.prefix(600))") }
                if !name.isEmpty { for write in failure.writes { print("        \(write)") } }
            }
            print(grid.reach.table)
            print(
                "\(scenarios.count) scenarios with \(grid.effects) effects: \(grid.simulations) simulations, "
                    + "\(grid.failures.count) failed, \(Int(grid.seconds)) s")
            return grid.failures.isEmpty
        } catch {
            print("\(error)")
            return false
        }
    }

    private static func bugs(within count: Int) -> Bool {
        let catches = BugHunt.run(seeds: count)
        for one in catches {
            let name = one.bug + String(repeating: " ", count: max(1, 60 - one.bug.count))
            print("\(name)\(one.seed.map { "seed \($0)" } ?? "NOT FOUND")   \(one.finding?.prefix(90) ?? "")")
        }
        let found = catches.count { $0.seed != nil }
        print("\(found) of \(catches.count) planted bugs found, each within \(count) seeds")
        return found == catches.count
    }

    private static func trace(_ seed: UInt64) -> Bool {
        guard let folder = try? TemporaryFolder() else { return false }
        let outcome = RandomSimulation(seed: seed).run(in: folder.path) { print($0) }
        print("seed \(seed) (\(outcome.kind)): \(outcome.steps) steps, \(outcome.lives) lives, trace \(outcome.trace)")
        for finding in outcome.findings { print("    \(finding)") }
        return outcome.findings.isEmpty
    }
}
