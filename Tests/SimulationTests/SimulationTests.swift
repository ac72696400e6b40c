import Replication
import TestSupport
import Testing

@testable import Simulation

/// The simulation itself: that it can be relied on. What it says of the daemon, the program `simulate` finds out.
@Suite struct SimulationTests {
    /// A few seeds in every build; the many are played by an optimized one.
    @Test func aFewSeedsLoseNothing() {
        let campaign = RandomCampaign.run(40, from: 1)
        #expect(campaign.failed == [])
        #expect(campaign.lives > 40)
    }

    @Test func theSameSeedIsTheSameSimulation() throws {
        let folder = try TemporaryFolder()
        func play(_ seed: UInt64) -> (trace: UInt64, told: [String]) {
            let told = Locked<[String]>([])
            let outcome = RandomSimulation(seed: seed).run(in: folder.path) { line in told.withLock { $0.append(line) } }
            return (outcome.trace, told.withLock { $0 })
        }
        for seed in UInt64(1)...3 {
            let (first, second) = (play(seed), play(seed))
            #expect(first.trace == second.trace)
            #expect(first.told == second.told)
            #expect(first.told.count > 20)
        }
        #expect(play(1).trace != play(2).trace)
    }

    @Test func tasksWithoutAnExecutorRunInTheSimulation() throws {
        let scheduler = Scheduler(seed: 1)
        let order = Locked<[String]>([])
        try scheduler.run {
            let inner = Task {
                try? await scheduler.sleep(milliseconds: 1000)
                order.withLock { $0.append("inner at \(scheduler.now)") }
            }
            await Task.detached { order.withLock { $0.append("detached") } }.value
            await inner.value
        }
        #expect(order.withLock { $0 } == ["detached", "inner at 1000"])
    }

    @Test func whatWaitsForNothingIsTold() {
        #expect(throws: Scheduler.Stuck.self) {
            try Scheduler(seed: 1).run { await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in } }
        }
    }

    /// One of each kind; all of them, each with every fate, are the program's.
    @Test(arguments: ["a run in a new experiment", "a late point, appended", "versions with a gap", "two names exchanged"])
    func oneScenarioMeetsEveryFate(_ name: String) throws {
        let grid = try CrashGrid.run(Scenario.all.filter { $0.name == name })
        #expect(grid.effects > 3)
        #expect(grid.simulations > grid.effects * 5)
        #expect(grid.failures.map { "\($0.effect.name) \($0.fate.rawValue): \($0.findings)" } == [])
    }

    /// Bugs that show at once; all of them are the program's.
    @Test func plantedBugsAreFound() {
        let early = [
            "a creation is sent twice", "a file is taken for written", "a feed overlooks experiments", "a run is read once and never again",
        ]
        let catches = BugHunt.run(PlantedBug.all.filter { early.contains($0.name) }, seeds: 50)
        #expect(catches.count == early.count)
        #expect(catches.filter { $0.seed == nil }.map(\.bug) == [])
    }

    @Test func everyJudgementIsMade() async throws {
        let (primary, secondary) = (FakeStore(name: "primary"), FakeStore(name: "secondary"))
        try await Workload(store: primary).everything()
        let findings = Oracle.compare(primary, secondary, mayHoldMore: false)
        #expect(findings.contains { $0.hasPrefix("experiment ") && $0.hasSuffix("is there 0 times") })
        #expect(findings.contains { $0.hasPrefix("run ") && $0.hasSuffix("is there 0 times") })
        #expect(findings.contains { $0.hasPrefix("logged_model ") && $0.hasSuffix("is there 0 times") })
        #expect(findings.contains("model net is not there"))
        _ = try await secondary.createRun(NewRun(experiment: ExperimentID("0"), name: "stray", userID: "", startTime: 1, tags: []))
        #expect(Oracle.compare(primary, secondary, mayHoldMore: false).contains { $0.hasSuffix("is nobody's copy") })
    }
}
