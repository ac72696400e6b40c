import Glibc
import Simulation
import TestSupport

@main struct Simulate {
    static func main() {
        // Sets and dictionaries are walked in the same order every time only under a fixed hash seed.
        if getenv("SWIFT_DETERMINISTIC_HASHING") == nil {
            setenv("SWIFT_DETERMINISTIC_HASHING", "1", 1)
            let arguments = CommandLine.arguments.map { strdup($0) } + [nil]
            execv("/proc/self/exe", arguments)
        }
        let count = Int(CommandLine.arguments.dropFirst().first ?? "") ?? 100
        let first = UInt64(CommandLine.arguments.dropFirst(2).first ?? "") ?? 1
        let folder = try! TemporaryFolder()
        let reach = Reach()
        var failed = 0
        let start = time(nil)
        for seed in first..<(first + UInt64(count)) {
            let outcome = RandomSimulation(seed: seed).run(
                in: folder.path, reach: reach, tell: CommandLine.arguments.contains("--trace") ? { print($0) } : nil)
            if !outcome.findings.isEmpty {
                failed += 1
                print("seed \(seed) (\(outcome.kind)): \(outcome.findings.count) findings, \(outcome.steps) steps, \(outcome.lives) lives")
                for finding in outcome.findings.prefix(4) { print("    \(finding.prefix(600))") }
            }
        }
        print("\(count) seeds, \(failed) failed, \(time(nil) - start) s")
        if CommandLine.arguments.contains("--reach") { print(reach.table) }
        exit(failed == 0 ? 0 : 1)
    }
}
