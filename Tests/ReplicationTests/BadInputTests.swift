import GRDB
import TestSupport
import Testing

@testable import Replication

/// What primaries give that cannot be copied as it is: each is named, the rest goes on, and nothing is lost once it is mended.
@Suite struct BadInputTests {
    /// A file that is listed is not gone, whatever its storage says; and it is no reason to keep the others waiting.
    @Test(arguments: [
        StoreError(.setAside, .notFound, "404"), StoreError(.retry(after: nil), .truncated, "cut"),
        StoreError(.retry(after: nil), .forbidden, "403"),
    ]) func aFileThatIsListedAndNeverComes(_ error: StoreError) async throws {
        let fixture = try MirrorFixture()
        try await Workload(store: fixture.primary).run(
            in: ExperimentID("0"), "r", files: ["a.txt": "1", "b.txt": "2", "c/d.txt": "3"])
        fixture.primary.setFault { operation in
            operation.name == "readArtifact" && operation.target.contains("a.txt") ? .before(error) : nil
        }
        let summary = try await fixture.backfill()
        #expect(!summary.isComplete && summary.failures.count == 1, "\(summary.failures)")
        let copy = try #require(fixture.secondary.snapshot.runs.first).run.id
        #expect(Set(fixture.secondary.files(of: .run(copy)).keys) == ["b.txt", "c/d.txt"])
        fixture.primary.setFault(nil)
        #expect(try await fixture.backfill().isComplete)
        #expect(try await fixture.verify().differences == [])
    }

    /// Between the listing and the reading: that is no failure.
    @Test func aFileThatVanishesAmidTheCopyingIsToldOf() async throws {
        let fixture = try MirrorFixture()
        try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "r", files: ["a.txt": "1"])
        let isGone = Locked(false)
        fixture.primary.setFault { operation in
            let gone = isGone.withLock { isGone in
                isGone = isGone || operation.name == "readArtifact"
                return isGone
            }
            return gone && ["readArtifact", "artifacts"].contains(operation.name) ? .before(StoreError(.setAside, .notFound, "404")) : nil
        }
        #expect(try await fixture.backfill().failures == [])
        #expect(fixture.said(.fileVanished))
    }

    /// Another scope, and a backfill that does not live to list it: whoever comes next lists it.
    @Test func aBackfillThatEndsAmidAnotherScopeLeavesAListingToBeDone() async throws {
        let fixture = try MirrorFixture()
        try await Workload(store: fixture.primary).run(in: try await fixture.primary.createExperiment(name: "a/1", tags: []), "r")
        try await Workload(store: fixture.primary).run(in: try await fixture.primary.createExperiment(name: "b/1", tags: []), "r")
        func scope(_ pattern: String) -> (inout MirrorConfiguration) -> Void { { $0.scope.experiments = PatternList([pattern]) } }
        try await fixture.backfill(state: "state.db", scope("a/**"))
        fixture.primary.setFault { $0.name == "runs" ? .before(StoreError(.stop, .unauthorized, "the token has ended")) : nil }
        await #expect(throws: StoreError.self) { try await fixture.backfill(state: "state.db", scope("*/**")) }
        fixture.primary.setFault(nil)
        func isAsked() throws -> Bool {
            let state = try ReplicationState.open(path: fixture.statePath)
            defer { try? state.close() }
            return try state.control(.reconciling) != nil
        }
        #expect(try isAsked())
        try await fixture.backfill(state: "state.db", scope("*/**"))
        #expect(try !isAsked())
        #expect(fixture.secondary.snapshot.runs.count == 2)
    }

    /// Its drain would let go what is not in its own scope.
    @Test func aRepairOfAPartIsRefusedWhileOtherChangesWait() async throws {
        let fixture = try MirrorFixture()
        let other = try await fixture.primary.createExperiment(name: "b/1", tags: [])
        try await Workload(store: fixture.primary).run(in: try await fixture.primary.createExperiment(name: "a/1", tags: []), "r")
        try await fixture.backfill()
        let late = try await Workload(store: fixture.primary).run(in: other, "late")
        let state = try ReplicationState.open(path: fixture.statePath)
        try state.append([Change(.run(late.id))], at: 1)
        try state.close()
        await #expect(throws: MirrorError.self) {
            try await fixture.verify(repairing: true) { $0.scope.experiments = PatternList(["a/**"]) }
        }
        try await fixture.verify(repairing: true)
        #expect(try await fixture.verify().differences == [])
        try await fixture.verify(repairing: true) { $0.scope.experiments = PatternList(["a/**"]) }
    }

    @Test func oneClosedExperimentOfManyIsNamedAndTheRestIsCopied() async throws {
        let fixture = try MirrorFixture()
        var ids: [ExperimentID] = []
        for name in ["open/1", "closed", "open/2", "open/3"] {
            let id = try await fixture.primary.createExperiment(name: name, tags: [])
            try await Workload(store: fixture.primary).run(in: id, "run of \(name)", files: ["a.txt": "a"])
            ids.append(id)
        }
        let closed = ids[1].rawValue
        fixture.primary.setFault { operation in
            guard operation.name == "runs" || operation.name == "loggedModels" else { return nil }
            return operation.target.split(separator: ",").contains(Substring(closed))
                ? .before(StoreError(.setAside, .forbidden, "403 for experiment \(closed)")) : nil
        }
        let summary = try await fixture.backfill()
        #expect(!summary.isComplete)
        #expect(summary.failures.contains { $0.contains("experiment \(closed)") && $0.contains("forbidden") }, "\(summary.failures)")
        #expect(summary.counts.runs.created == 3)
        let unseen = try await fixture.verify().differences
        #expect(unseen.map(\.field) == ["unreadable"] && unseen.map(\.primary) == [closed], "\(unseen)")

        fixture.primary.setFault(nil)
        let opened = try await fixture.backfill()
        #expect(opened.failures == [])
        #expect(opened.counts.runs.created == 1)
        #expect(try await fixture.verify().differences == [])
    }

    /// A store says how many experiments a search may name, and refuses more all the same.
    @Test func aSearchThatNamesTooManyIsSplit() async throws {
        var dialect = Dialect.mlflow
        dialect.experimentsPerSearch = 5
        let fixture = try MirrorFixture(primary: FakeStore(name: "primary", dialect: dialect))
        for number in 0..<12 {
            let id = try await fixture.primary.createExperiment(name: "e\(number)", tags: [])
            try await Workload(store: fixture.primary).run(in: id, "run \(number)", files: ["a.txt": "a"])
        }
        let asked = Locked<[Int]>([])
        fixture.primary.setFault { operation in
            guard operation.name == "runs" || operation.name == "loggedModels" else { return nil }
            let count = operation.target.split(separator: ",").count
            asked.withLock { $0.append(count) }
            return count > 3 ? .before(StoreError(.setAside, .invalid, "at most 3 experiments")) : nil
        }
        let summary = try await fixture.backfill()
        #expect(summary.failures == [] && summary.counts.runs.created == 12)
        #expect(try await fixture.verify().differences == [])
        #expect(asked.withLock { $0.max() } == 5)
    }

    /// At each of the primary's reads in turn, somebody removes the run for good.
    @Test func aRunThatGoesWhileItIsCopiedHarmsNoOther() async throws {
        var read = 0
        while true {
            let fixture = try MirrorFixture()
            let workload = Workload(store: fixture.primary)
            try await workload.run(in: ExperimentID("0"), "stays", start: 1, files: ["a.txt": "a"])
            let victim = try await workload.run(in: ExperimentID("0"), "goes", start: 2, files: ["a.txt": "a", "b/c.txt": "c"])
            let seen = Locked(0)
            let fate = read
            fixture.primary.setFault { [primary = fixture.primary] operation in
                guard !operation.isWrite else { return nil }
                let number = seen.withLock { seen in
                    seen += 1
                    return seen
                }
                if number == fate { primary.collect(victim.id) }
                return nil
            }
            let summary = try await fixture.backfill()
            #expect(summary.failures == [], "gone at read \(read)")
            let copies = try await fixture.secondary.runs(RunQuery(experiments: [ExperimentID("0")], pageSize: 100), nil).elements
            #expect(copies.filter { $0.name == "stays" }.count == 1)
            #expect(copies.filter { $0.name == "goes" }.count <= 1)
            fixture.primary.setFault(nil)
            fixture.secondary.forgetWrites()
            #expect(try await fixture.backfill().wroteNothing, "gone at read \(read)")
            if seen.withLock({ $0 }) < fate { break }
            read += 1
        }
        #expect(read > 8)
    }

    @Test(arguments: [0, 2, 9]) func aFileThatChangesItsLengthWhileItIsCopiedIsReadAgain(_ length: Int) async throws {
        let fixture = try MirrorFixture()
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "r", files: ["big.bin": "12345", "other.txt": "o"])
        let owner = ArtifactOwner(.run(run.id), root: run.artifactURI)
        let cuts = Locked(1)
        fixture.primary.setFault { [primary = fixture.primary] operation in
            guard operation.name == "readArtifact", operation.target == "big.bin" else { return nil }
            let isFirst = cuts.withLock { cuts in
                defer { cuts = 0 }
                return cuts == 1
            }
            if isFirst { primary.replace("big.bin", of: owner.id, with: Array(repeating: 7, count: length)) }
            return nil
        }
        let summary = try await fixture.backfill()
        #expect(summary.failures == [])
        let there = try #require(
            try await fixture.secondary.runs(RunQuery(experiments: [ExperimentID("0")], pageSize: 100), nil).elements.first)
        #expect(fixture.secondary.files(of: .run(there.id))["big.bin"] == Array(repeating: 7, count: length))
        #expect(fixture.secondary.files(of: .run(there.id))["other.txt"] == Array("o".utf8))
    }

    /// Whatever a primary claims about places, no path outside the secondary's own roots is written.
    @Test func hostilePlacesAreNotFollowed() async throws {
        let fixture = try MirrorFixture()
        let run = try await Workload(store: fixture.primary).run(in: ExperimentID("0"), "r", files: ["model/MLmodel": "m"])
        let name = ModelName("trap")
        try await fixture.primary.createRegisteredModel(name, description: "", tags: [])
        let sources = [
            "file:///etc/passwd", run.artifactURI + "/../../../../etc", "http://127.0.0.1:9/steal", "dbfs:/../secret",
            "runs:/\(run.id)/model",
        ]
        for source in sources {
            _ = try await fixture.primary.createVersion(
                NewVersion(model: name, source: source, run: run.id, description: "", tags: []))
        }
        let summary = try await fixture.backfill()
        let copies = try await fixture.secondary.versions(of: name, nil).elements
        for copy in copies where copy.number != sources.count {
            #expect(!copy.source.contains("/etc") && !copy.source.contains("127.0.0.1"), "\(copy.source)")
        }
        #expect(summary.failures.count >= 3, "\(summary.failures)")
        #expect(summary.failures.allSatisfy { $0.contains("trap") || $0.contains("source") }, "\(summary.failures)")
    }
}

/// The disk under the state file is full at some commit.
@Suite struct FullDiskTests {
    @Test func aFullDiskStopsTheWorkAndCostsNothing() async throws {
        let fixture = try MirrorFixture()
        try await Workload(store: fixture.primary).everything()
        var stops = 0
        for pages in 1...400 {
            do {
                // SQLite answers SQLITE_FULL, as on a full disk.
                try await fixture.backfill(prepare: { state in
                    try await state.database.write { try $0.execute(sql: "PRAGMA max_page_count = \(pages)") }
                })
                break
            } catch let error as StateError {
                #expect(error.kind == .full)
                #expect(error.description.contains("state.db"))
                stops += 1
            }
        }
        #expect(stops > 0)
        #expect(try await fixture.backfill().failures == [])
        #expect(try await fixture.verify().differences == [])
    }
}
