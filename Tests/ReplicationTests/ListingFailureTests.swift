import TestSupport
import Testing

@testable import Replication

/// One thing that the primary stumbles over, each time it is asked for it, while it answers for everything else.
@Suite struct ListingFailureTests {
    private let fixture: MirrorFixture
    private var primary: FakeStore { fixture.primary }

    init() throws { fixture = try MirrorFixture() }

    private static let stumbles = StoreError(.retry(after: nil), .serverFailure, "500: a row that cannot be read")

    /// Five experiments with a run each, and a registered model after them.
    private func make() async throws -> [ExperimentID] {
        var ids: [ExperimentID] = []
        for name in ["a", "b", "c", "d", "e"] {
            let id = try await primary.createExperiment(name: name, tags: [])
            try await Workload(store: primary).run(in: id, "run of \(name)", start: Int64(ids.count))
            ids.append(id)
        }
        try await primary.createRegisteredModel(ModelName("net"), description: "", tags: [])
        return ids
    }

    private func stumble(over id: ExperimentID, _ error: StoreError = Self.stumbles) {
        primary.setFault { operation in
            operation.name == "runs" && operation.target.split(separator: ",").contains(Substring(id.rawValue)) ? .before(error) : nil
        }
    }

    private var copied: Set<String> { Set(fixture.secondary.snapshot.runs.map(\.run.name)) }
    private static let others: Set = ["run of a", "run of b", "run of d", "run of e"]

    @Test(arguments: [stumbles, StoreError(.setAside, .malformed, "no list of runs")])
    func oneExperimentHoldsUpNoOther(_ error: StoreError) async throws {
        let ids = try await make()
        stumble(over: ids[2], error)
        #expect(try await fixture.backfill().failures.count == 1)
        #expect(try fixture.letters() == ["experiment \(ids[2]) contents"])
        #expect(copied == Self.others && fixture.secondary.snapshot.models.map(\.name) == [ModelName("net")])
        primary.setFault(nil)
        #expect(try await fixture.backfill().failures == [])
        #expect(try await fixture.verify().differences == [])
    }

    /// It is asked for before any run is: whether there are logged models at all.
    @Test func oneExperimentWithoutItsLoggedModelsHoldsUpNoRun() async throws {
        let ids = try await make()
        primary.setFault { operation in
            operation.name == "loggedModels" && operation.target.split(separator: ",").contains(Substring(ids[2].rawValue))
                ? .before(Self.stumbles) : nil
        }
        #expect(try await fixture.backfill().failures.count == 1)
        #expect(try fixture.letters() == ["experiment \(ids[2]) contents"])
        #expect(copied.count == 5 && fixture.secondary.snapshot.models.count == 1)
        primary.setFault(nil)
        #expect(try await fixture.backfill().failures == [])
        #expect(try await fixture.verify().differences == [])
    }

    /// Then it is not the experiments that are to blame.
    @Test func whereNoSearchIsAnsweredTheListingFails() async throws {
        _ = try await make()
        primary.setFault { $0.name == "runs" ? .before(Self.stumbles) : nil }
        await #expect(throws: StoreError.self) { try await fixture.backfill() }
        primary.setFault(nil)
        #expect(try await fixture.backfill().failures == [])
        #expect(try await fixture.verify().differences == [])
    }

    /// Its history is read ahead of its turn, with the listing.
    @Test func oneRunThatCannotBeReadAheadHoldsUpNoOther() async throws {
        let ids = try await make()
        let run = try #require(try await primary.runs(RunQuery(experiments: [ids[2]]), nil).elements.first)
        primary.setFault { operation in
            ["wholeRun", "histories", "history"].contains(operation.name) && operation.target.contains(run.id.rawValue)
                || operation.name == "histories" ? .before(StoreError(.retry(after: nil), .truncated, "cut short")) : nil
        }
        #expect(try await fixture.backfill().failures.count == 1)
        #expect(try fixture.letters() == ["run \(run.id) "])
        #expect(copied.isSuperset(of: Self.others))
        primary.setFault(nil)
        #expect(try await fixture.backfill().failures == [])
        #expect(try await fixture.verify().differences == [])
    }

    @Test func oneModelHoldsUpNoOther() async throws {
        for name in ["a", "b", "c"] { try await primary.createRegisteredModel(ModelName(name), description: "", tags: []) }
        // Another one asks for time, which ends no listing.
        let isFirst = Locked(true)
        primary.setFault { operation in
            guard operation.name == "versions" else { return nil }
            if operation.target == "c", isFirst.withLock({ first in (first, first = false).0 }) {
                return .before(StoreError(.retry(after: nil), .throttled, "429"))
            }
            return operation.target == "b" ? .before(Self.stumbles) : nil
        }
        #expect(try await fixture.backfill().failures.count == 1)
        #expect(try fixture.letters() == ["registered_model b "])
        #expect(fixture.said(.deadLetter))
        #expect(Set(fixture.secondary.snapshot.models.map(\.name.rawValue)) == ["a", "c"])
        primary.setFault(nil)
        #expect(try await fixture.backfill().failures == [])
        #expect(try await fixture.verify().differences == [])
    }

    /// Nobody asks for another listing: what could not be listed is listed again by itself.
    @Test func aDaemonCopiesTheOthersAndSaysSo() async throws {
        let ids = try await make()
        stumble(over: ids[2])
        let primary = primary
        try await LiveFixture(fixture).live { daemon in
            try await daemon.settled()
            #expect(copied == Self.others)
            #expect(try daemon.state.deadLetters(limit: 9).map(\.path) == ["contents"])
            try await daemon.until("tried again") { try (daemon.state.letters(.all, limit: 1).first?.tries ?? 0) > 2 }
            primary.setFault(nil)
            try await daemon.until("made good") {
                try daemon.state.deadLetterCount() == 0 && copied.count == 5 && daemon.state.backlog().count == 0
            }
        }
        #expect(try await fixture.verify().differences == [])
    }

    @Test func aRegistryThatWasClosedIsListedWhenItIsOpen() async throws {
        _ = try await make()
        primary.setFault { $0.name == "registeredModels" ? .before(StoreError(.setAside, .forbidden, "403")) : nil }
        let (primary, secondary) = (primary, fixture.secondary)
        try await LiveFixture(fixture).live { daemon in
            try await daemon.settled()
            #expect(try daemon.state.deadLetters(limit: 9).map(\.path) == ["registry"])
            primary.setFault(nil)
            try await daemon.until("made good") {
                try daemon.state.deadLetterCount() == 0 && !secondary.snapshot.models.isEmpty && daemon.state.backlog().count == 0
            }
        }
        #expect(try await fixture.verify().differences == [])
    }

    @Test func aListingThatNeverEndsIsATrouble() async throws {
        _ = try await make()
        primary.setFault { $0.name == "runs" ? .before(Self.stumbles) : nil }
        let primary = primary
        try await LiveFixture(fixture).live { daemon in
            func trouble() throws -> String? { try LiveReport(encoded: daemon.state.control(.report) ?? "")?.listingTrouble }
            try await daemon.until("told") { try trouble()?.contains("a row that cannot be read") == true }
            primary.setFault(nil)
            try await daemon.settled()
            try await daemon.until("no trouble") { try trouble() == nil }
        }
        #expect(fixture.said(.comparingInterrupted))
        #expect(try await fixture.verify().differences == [])
    }

    // MARK: Polling

    /// It was open when everything was listed: new runs in it are not seen, which is said, and made good when it is open again.
    @Test func whatIsClosedLaterIsToldAndMadeGood() async throws {
        let ids = try await make()
        let (live, primary) = (LiveFixture(fixture), primary)
        @Sendable func settled(_ daemon: LiveFixture.Observer, _ what: String, _ isSo: () throws -> Bool) async throws {
            try await daemon.until(what) { try daemon.state.control(.reconciling) == nil && daemon.state.backlog().count == 0 && isSo() }
        }
        try await live.live(polling: true) { daemon in
            try await settled(daemon, "copied") { copied.count == 5 }
            stumble(over: ids[1], StoreError(.setAside, .forbidden, "403"))
            try await Workload(store: primary).run(in: ids[1], "unseen", start: live.clock.nowMilliseconds)
            try await daemon.until("told") { try daemon.state.deadLetters(limit: 9).map(\.path) == ["contents"] }
            try await Workload(store: primary).run(in: ids[3], "seen", start: live.clock.nowMilliseconds)
            try await settled(daemon, "the others go on") { copied.contains("seen") && !copied.contains("unseen") }
            primary.setFault(nil)
            try await settled(daemon, "made good") { try copied.contains("unseen") && daemon.state.deadLetterCount() == 0 }
        }
        #expect(try await fixture.verify().differences == [])
    }

    /// Its files were refused while it was closed, and nothing in it has changed since: no listing shows that they are to be looked at.
    @Test func whatWasRefusedWhileItWasClosedIsTriedAgainWhenItIsOpen() async throws {
        let ids = try await make()
        let run = try #require(try await primary.runs(RunQuery(experiments: [ids[0]]), nil).elements.first)
        let live = LiveFixture(fixture)
        let clock = live.clock
        try await live.live { daemon in
            try await daemon.settled()
            let refusal = StoreError(.setAside, .forbidden, "403")
            let letters = [
                DeadLetter(key: EntityKey(.runArtifacts, run.id.rawValue), refusal),
                DeadLetter(key: .experiment(ids[0]), path: "contents", refusal),
            ]
            for letter in letters { try daemon.state.setAside(letter, entry: nil, at: clock.nowMilliseconds) }
            try await daemon.until("made good") { try daemon.state.deadLetterCount() == 0 && daemon.state.backlog().count == 0 }
        }
    }

    /// It is alone in its search: that another search is answered tells that it is to blame.
    @Test func oneThatIsAskedForAloneHoldsUpNoOther() async throws {
        var narrow = Dialect.mlflow
        narrow.experimentsPerSearch = 1
        let primary = FakeStore(name: "primary", dialect: narrow)
        let fixture = try MirrorFixture(primary: primary)
        var ids: [ExperimentID] = []
        for name in ["a", "b", "c"] { ids.append(try await primary.createExperiment(name: name, tags: [])) }
        let (live, bad, others) = (LiveFixture(fixture), ids[0], ids[1...])
        try await live.live(polling: true) { daemon in
            try await daemon.until("copied") { try daemon.state.control(.reconciling) == nil && daemon.state.backlog().count == 0 }
            primary.setFault { operation in operation.name == "runs" && operation.target == bad.rawValue ? .before(Self.stumbles) : nil }
            for id in others { try await Workload(store: primary).run(in: id, "r\(id)", start: live.clock.nowMilliseconds) }
            try await daemon.until("the others go on") { fixture.secondary.snapshot.runs.count == 2 }
            try await daemon.until("told") { try daemon.state.deadLetters(limit: 9).map(\.path) == ["contents"] }
        }
    }

    /// It took points before it was deleted, and nobody looked then.
    @Test func theHistoriesOfADeletedRunAreComparedOnce() async throws {
        let run = try await Workload(store: primary).run(in: ExperimentID("0"), "r")
        try await primary.deleteRun(run.id)
        let deleted = try #require(try await primary.run(run.id))
        try await primary.restoreRun(run.id)
        let restored = try #require(try await primary.run(run.id))
        var watch = HistoryWatch(longest: 3600)
        #expect(watch.due([deleted], changed: [], now: 0) == [run.id])
        #expect(watch.due([deleted], changed: [], now: 100) == [])
        #expect(watch.due([restored], changed: [run.id], now: 200) == [])
        #expect(watch.due([restored], changed: [], now: 230) == [run.id])
        var other = HistoryWatch(longest: 3600)
        #expect(other.due([deleted], changed: [run.id], now: 0) == [] && other.due([deleted], changed: [], now: 100) == [])
    }

    /// The hot looks ask for what began or ended lately; only the sweep meets what is old.
    @Test func theSweepPassesByWhatFailsForEver() async throws {
        let folder = try TemporaryFolder()
        let state = try ReplicationState.open(path: folder.file("state.db"))
        let ids = try await make()
        stumble(over: ids[2])
        let clock = InstantClock()
        let budget = RequestBudget(perSecond: 1000, clock: clock)
        let sweep = Sweep(primary, .everything, RecordComparer(state), budget, clock) { _ in }
        var found = Set(try await sweep.goOn(over: ids).map(\.key))
        for _ in 0..<200 where !found.contains(.registeredModel(ModelName("net"))) {
            found.formUnion(try await sweep.goOn().map(\.key))
            try await clock.sleep(seconds: 5)
        }
        #expect(found.count { $0.kind == .run } == 4 && found.contains(.registeredModel(ModelName("net"))))
        #expect(sweep.oldest == nil, "not everything was compared")
        try state.close()
    }
}
