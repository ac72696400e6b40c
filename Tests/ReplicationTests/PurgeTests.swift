import TestSupport
import Testing

@testable import Replication

/// What has gone from the primary for good while no daemon ran: nobody remembers what it was called.
@Suite struct PurgeTests {
    private let live: LiveFixture
    private var primary: FakeStore { live.pair.primary }
    private var secondary: FakeStore { live.pair.secondary }

    init() throws { live = LiveFixture(try MirrorFixture()) }

    private struct Purged {
        var experiment: ExperimentID
        var run: RunID
    }

    /// Two experiments with a run each are copied, and purged between two daemons.
    ///
    /// - Parameter meanwhile: told of the copies, once they are there.
    /// - Returns: the copies, by the experiments' names.
    private func purge(
        _ rules: ConflictRules, meanwhile: (ExperimentID) async throws -> Void = { _ in }
    ) async throws -> [String: Purged] {
        var here: [String: Purged] = [:]
        for name in ["/named/e", "/other/e"] {
            let id = try await primary.createExperiment(name: name, tags: [])
            here[name] = Purged(experiment: id, run: try await Workload(store: primary).run(in: id, name).id)
        }
        let change: (inout LiveConfiguration) -> Void = { $0.mirror.rules = rules }
        let made = here
        let there = try await live.live(change) { daemon in
            try await daemon.settled()
            return try made.mapValues { one in
                Purged(
                    experiment: ExperimentID(try #require(try daemon.state.secondaryID(.experiment, one.experiment.rawValue))),
                    run: RunID(try #require(try daemon.state.secondaryID(.run, one.run.rawValue))))
            }
        }
        for copy in there.values { try await meanwhile(copy.experiment) }
        for one in here.values {
            try await primary.deleteExperiment(one.experiment)
            primary.collect(one.experiment)
        }
        live.feed.say(here.values.flatMap { [Change(.run($0.run)), Change(.experiment($0.experiment))] })
        try await live.live(change) { daemon in
            try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "1" }
            try await daemon.settled()
        }
        return there
    }

    private func expect(_ copy: Purged?, is wanted: Lifecycle) async throws {
        let copy = try #require(copy)
        #expect(try await secondary.experiment(copy.experiment)?.lifecycle == wanted)
        #expect(try await secondary.run(copy.run)?.lifecycle == wanted)
    }

    @Test(arguments: [ConflictDecision.keep, .replicate]) func aRuleByNameHoldsForIt(_ decision: ConflictDecision) async throws {
        let other: ConflictDecision = decision == .keep ? .replicate : .keep
        let there = try await purge(
            ConflictRules([.purgedOnPrimary: other], overrides: [.init(.experiment, "/named/**", [.purgedOnPrimary: decision])]))
        try await expect(there["/named/e"], is: decision == .keep ? .active : .deleted)
        try await expect(there["/other/e"], is: decision == .keep ? .deleted : .active)
    }

    /// It stands on the secondary for nothing of the primary's: by rule, and only as long as the rule says so.
    @Test(arguments: [ConflictDecision.keep, .replicate]) func aPurgedRunIsNoDifference(_ decision: ConflictDecision) async throws {
        let run = try await Workload(store: primary).run(in: ExperimentID("0"), "r")
        try await Workload(store: primary).run(in: ExperimentID("0"), "stays", start: 2000)
        let rules = ConflictRules([.purgedOnPrimary: decision])
        let change: (inout LiveConfiguration) -> Void = { $0.mirror.rules = rules }
        try await live.live(change) { try await $0.settled() }
        try await primary.deleteRun(run.id)
        primary.collect(run.id)
        #expect(
            try await live.pair.verify { $0.rules = rules }.differences.map(\.field) == ["extra"], "nobody has said yet that it is gone")
        live.feed.say([Change(.run(run.id))])
        try await live.live(change) { daemon in
            try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "1" }
            try await daemon.settled()
        }
        #expect(live.pair.said(.keptAfterPurge) == (decision == .keep))
        let (summary, differences) = try await live.pair.verify { $0.rules = rules }
        #expect(differences == [] && summary.accepted == (decision == .keep ? ["purged_on_primary": 1] : [:]))
        let others = ConflictRules([.purgedOnPrimary: decision == .keep ? .replicate : .keep])
        #expect(try await live.pair.verify { $0.rules = others }.differences.map(\.field) == (decision == .keep ? ["extra"] : []))
    }

    /// Then its name is known to nobody at all.
    @Test func aCopyThatWasRenamedStaysWhereAnyNameIsKept() async throws {
        let secondary = secondary
        let there = try await purge(
            ConflictRules([.purgedOnPrimary: .replicate], overrides: [.init(.experiment, "/named/**", [.purgedOnPrimary: .keep])])
        ) { copy in try await secondary.renameExperiment(copy, to: "renamed \(copy)") }
        for copy in there.values { try await expect(copy, is: .active) }
    }
}
