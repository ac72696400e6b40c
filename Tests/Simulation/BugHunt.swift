import Replication
import TestSupport

/// Which seed finds each planted bug.
public enum BugHunt {
    public struct Catch: Sendable {
        public var bug: String
        /// The first of these seeds that found it; nil: none of them did.
        public var seed: UInt64?
        /// What it said.
        public var finding: String?
    }

    /// - Parameter seeds: at most this many for each bug.
    public static func run(_ bugs: [PlantedBug] = PlantedBug.all, seeds: Int) -> [Catch] {
        let catches = Locked([Int: Catch]())
        Campaign.forEach(bugs.count) { index, folder in
            var caught = Catch(bug: bugs[index].name)
            for seed in 1...UInt64(seeds) {
                let outcome = RandomSimulation(seed: seed, planted: bugs[index]).run(in: folder)
                guard let finding = outcome.findings.first else { continue }
                (caught.seed, caught.finding) = (seed, finding)
                break
            }
            catches.withLock { [caught] in $0[index] = caught }
        }
        return catches.withLock { catches in bugs.indices.compactMap { catches[$0] } }
    }
}
