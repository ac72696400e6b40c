import GRDB
import TestSupport
import Testing

@testable import Replication

/// What keeps a daemon from its work for a while, and must cost nothing but that while.
@Suite struct LiveFailureTests {
    private func report(_ daemon: LiveFixture.Observer) throws -> LiveReport? {
        try daemon.state.control(.report).flatMap { LiveReport(encoded: $0) }
    }

    /// SQLite's own word for it, by a limit on the file's pages.
    @Test func aFullDiskIsWaitedFor() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let workload = Workload(store: fixture.pair.primary)
        try await workload.everything()
        let ids = try await fixture.live { daemon in
            try await daemon.settled()
            try daemon.state.limitPages(toPresent: true)
            var ids: [RunID] = []
            for number in 0..<200 {
                let run = try await workload.run(in: ExperimentID("0"), "meanwhile \(number)", start: Int64(number), points: 1)
                ids.append(run.id)
                fixture.feed.say([Change(.run(run.id))])
            }
            try await daemon.until("full") {
                do {
                    try daemon.state.append([Change(EntityKey(.run, String(repeating: "x", count: 50_000)))], at: 0)
                    return false
                } catch let error as StateError { return error.kind == .full && error.description.contains("free space") }
            }
            try daemon.state.limitPages(toPresent: false)
            try await daemon.until("read") { try daemon.state.cursor(of: "scripted") == "200" }
            try await daemon.settled()
            #expect(try daemon.state.deadLetterCount() == 0)
            return ids
        }
        #expect(ids.count == 200)
        let differences = try await fixture.pair.verify().differences
        #expect(differences == [])
    }

    @Test(arguments: ["primary", "secondary"]) func anExpiredTokenIsWaitedFor(role: String) async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let (primary, secondary) = (fixture.pair.primary, fixture.pair.secondary)
        let workload = Workload(store: primary)
        try await workload.everything()
        try await fixture.live { daemon in
            try await daemon.settled()
            let run = try await workload.run(in: ExperimentID("0"), "meanwhile")
            let store = role == "primary" ? primary : secondary
            store.setFault { _ in .before(StoreError(.stop, .unauthorized, "the token is no longer good")) }
            fixture.feed.say([Change(.run(run.id))])
            try await daemon.until("told") {
                try report(daemon)?.outages.map { [$0.store, $0.reason, $0.message] } == [
                    [role, "unauthorized", "the token is no longer good"]
                ]
            }
            let status = try MirrorStatus(of: daemon.state, at: fixture.clock.nowMilliseconds)
            #expect(status.condition == .failing && status.troubles == ["\(role) is away: the token is no longer good"])
            store.setFault(nil)
            try await daemon.settled()
            #expect(try daemon.state.deadLetterCount() == 0)
            #expect(try report(daemon) != nil)
        }
        #expect(fixture.pair.said(.credentialsRefused) && fixture.pair.said(.outageEnded))
        #expect(try await fixture.pair.verify().differences == [])
    }

    @Test func aFeedThatCannotBeReadIsToldOfAndWaitedFor() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        try await fixture.live { daemon in
            try await daemon.settled()
            fixture.feed.fail(FeedError("the data base is locked"))
            try await daemon.until("told") { try report(daemon)?.feedTrouble == "the data base is locked" }
            #expect(fixture.pair.said(.feedTrouble) && !fixture.pair.said(.feedBack))
            fixture.feed.fail(nil)
            try await daemon.until("no trouble") { fixture.pair.said(.feedBack) }
        }
    }

    /// It concerns no store as a whole.
    @Test func aStepThatFailsIsToldOfAndDoneAgain() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        let asked = Locked(0)
        fixture.pair.secondary.setFault { operation in
            guard operation.name == "identity" else { return nil }
            let isEarly = asked.withLock { asked in
                asked += 1
                return asked <= 2
            }
            return isEarly ? .before(StoreError(.stop, .invalid, "not now")) : nil
        }
        try await fixture.live { try await $0.settled() }
        #expect(fixture.pair.said(.cannotGoOn) && !fixture.pair.said(.outageBegan))
    }

    /// What cannot be mended by waiting ends the daemon, with its reason.
    @Test func anotherOwnerEndsIt() async throws {
        let fixture = LiveFixture(try MirrorFixture())
        await #expect(throws: StateError.self) {
            try await fixture.live { daemon in
                try await daemon.settled()
                // As another owner does when it opens the file.
                try daemon.state.write { try $0.execute(sql: "UPDATE pair SET generation = generation + 1") }
                fixture.feed.say([Change(.experiment(ExperimentID("0")))])
                try await Task.sleep(for: .seconds(20))
            }
        }
    }
}

extension ReplicationState {
    /// SQLite then says that the disk is full.
    fileprivate func limitPages(toPresent isLimited: Bool) throws {
        try database.writeWithoutTransaction { db in
            let pages = isLimited ? try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0 : 1_000_000
            _ = try Int.fetchOne(db, sql: "PRAGMA max_page_count = \(pages)")
        }
    }
}
