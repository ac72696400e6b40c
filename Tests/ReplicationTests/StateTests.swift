import Foundation
import Glibc
import GRDB
import Hashing
import TestSupport
import Testing

@testable import Replication

@Suite struct StateTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    private func key(_ id: String) -> EntityKey { EntityKey(.run, id) }

    /// As another program would.
    private func execute(_ sql: String, in path: String) throws {
        let queue = try DatabaseQueue(path: path)
        try queue.writeWithoutTransaction { try $0.execute(sql: sql) }
        try queue.close()
    }

    private func fileWithARun(_ name: String) throws -> String {
        let path = folder.file(name)
        let state = try ReplicationState.open(path: path)
        try state.created(Identity(kind: .run, primaryID: "1", secondaryID: "2"))
        try state.close()
        return path
    }

    /// GRDB lowers it when it turns the write-ahead log on: an intent would then not survive a loss of power.
    @Test func everyCommitIsSynced() throws {
        let state = try ReplicationState.open(path: folder.file("s.db"))
        #expect(try state.read { try Int.fetchOne($0, sql: "PRAGMA synchronous") } == 2)
        #expect(try state.read { try String.fetchOne($0, sql: "PRAGMA journal_mode") } == "wal")
        #expect(try state.read { try Int.fetchOne($0, sql: "PRAGMA wal_autocheckpoint") } == 0)
        try state.close()
    }

    @Test func aWaitingKeyIsNotQueuedTwice() throws {
        let state = try ReplicationState.open(path: folder.file("s.db"))
        try state.append([key("a"), key("b"), key("a")].map { Change($0) }, at: 0)
        let entries = try state.entries(after: .zero, kinds: [.run], limit: 10)
        #expect(entries.map(\.key.id) == ["a", "b"])
        #expect(entries[0].lsn < entries[1].lsn && entries[0].latest > entries[1].latest)
        try state.close()
    }

    @Test func theCheckpointIsTheLowestUnfinishedAndNeverGoesBack() throws {
        let state = try ReplicationState.open(path: folder.file("s.db"))
        try state.append([key("a"), key("b"), key("c")].map { Change($0) }, at: 0)
        let entries = try state.entries(after: .zero, kinds: [.run], limit: 10)
        try state.acknowledge(Acknowledgement(entry: entries[1]), at: 0)
        #expect(try state.checkpoint() == .zero)
        try state.acknowledge(Acknowledgement(entry: entries[0]), at: 0)
        #expect(try state.checkpoint() == entries[1].lsn)
        // Changed again while it was under way: what was read before does not finish it.
        try state.append([Change(key("c"))], at: 0)
        try state.acknowledge(Acknowledgement(entry: entries[2]), at: 0)
        let again = try #require(try state.entry(key("c")))
        #expect(again.lsn > entries[2].lsn)
        #expect(try state.checkpoint() < again.lsn)
        try state.acknowledge(Acknowledgement(entry: again), at: 0)
        #expect(try state.checkpoint() == state.head())
        try state.close()
    }

    /// While hundreds of other locks come and go; and whoever asks keeps nobody from owning.
    @Test func whetherItHasAnOwnerCanBeAsked() async throws {
        let folder = try TemporaryFolder()
        let (owned, other) = (folder.file("owned.db"), folder.file("other.db"))
        #expect(!OwnerLock.isHeld(besides: owned))
        let owner = try ReplicationState.open(path: owned)
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for _ in 0..<3000 {
                    guard let lock = try? OwnerLock(besides: other) else {
                        Issue.record("asking took the lock")
                        return
                    }
                    lock.release()
                }
            }
            group.addTask {
                for _ in 0..<3000 {
                    #expect(OwnerLock.isHeld(besides: owned))
                    _ = OwnerLock.isHeld(besides: other)
                }
            }
        }
        try owner.close()
        #expect(!OwnerLock.isHeld(besides: owned))
    }

    @Test func oneOwnerAtATime() throws {
        let first = try ReplicationState.open(path: folder.file("s.db"))
        #expect { try ReplicationState.open(path: folder.file("s.db")) } throws: { ($0 as? StateError)?.kind == .locked }
        try first.close()
    }

    /// The folder says who may ask how things stand: so it is with a service's.
    @Test func itsGroupMayReadItWhereTheFolderSaysSo() throws {
        func mode(_ path: String) -> mode_t {
            var status = stat()
            return stat(path, &status) == 0 ? status.st_mode & 0o777 : 0
        }
        for (folderMode, expected) in [(0o750, 0o640), (0o700, 0o600), (0o755, 0o600)] as [(mode_t, mode_t)] {
            let folder = try TemporaryFolder()
            let path = folder.file("s.db")
            #expect(chmod(String(path.dropLast(5)), folderMode) == 0)
            try ReplicationState.open(path: path).close()
            #expect(mode(path) == expected && mode(path + ".lock") == expected)
        }
    }

    /// What SQLite shares between processes is there only while the daemon runs; who may only read looks at a copy.
    @Test(arguments: [true, false]) func whoMayOnlyReadIsAnsweredInEveryState(wasKilled: Bool) throws {
        let path = folder.file("s.db")
        let state = try ReplicationState.open(path: path)
        try state.append([Change(key("a"))], at: 0)
        if wasKilled { try state.abandon() } else { try state.close() }
        let copy = try VisitorCopy(of: path)
        let visitor = try ReplicationState(visiting: path, copy)
        #expect(try visitor.head() == LSN(rawValue: 1))
        #expect(visitor.path == path)
        try visitor.close()
    }

    @Test func anOwnerWhoseTimeHasPassedCommitsNothing() throws {
        let state = try ReplicationState.open(path: folder.file("s.db"))
        let other = try DatabaseQueue(path: folder.file("s.db"))
        try other.write { try $0.execute(sql: "UPDATE pair SET generation = generation + 1") }
        #expect { try state.append([Change(key("a"))], at: 0) } throws: { ($0 as? StateError)?.kind == .fenced }
        #expect(try state.pending().isEmpty)
    }

    @Test func whatIsNotOursIsRefusedAndLeftAlone() throws {
        let path = folder.file("other.db")
        let other = try DatabaseQueue(path: path)
        try other.write { try $0.execute(sql: "CREATE TABLE theirs (x)") }
        try other.close()
        #expect { try ReplicationState.open(path: path) } throws: { ($0 as? StateError)?.kind == .foreign }

        let newer = folder.file("newer.db")
        try ReplicationState.open(path: newer).close()
        try execute("PRAGMA user_version = 99", in: newer)
        #expect { try ReplicationState.open(path: newer) } throws: { ($0 as? StateError)?.kind == .newerSchema }
    }

    /// As the last version left it: without the marks of pauses by name.
    @Test func anEarlierFileIsBroughtUp() throws {
        let path = folder.file("earlier.db")
        var state = try ReplicationState.open(path: path)
        try state.append([Change(key("a"))], at: 0)
        try state.close()
        try execute(
            DeadLetterStateTests.withoutBacklog + DeadLetterStateTests.withoutNumbers
                + "DROP TABLE straggler; DROP TABLE retired; DROP INDEX change_log_deletions; ALTER TABLE change_log DROP COLUMN held; ALTER TABLE pair DROP COLUMN progress; "
                + "ALTER TABLE conflict DROP COLUMN rule; DROP TABLE resolution; ALTER TABLE artifact DROP COLUMN tag; "
                + "INSERT INTO conflict VALUES ('run', 'a', 'param:p', 'park', 'd', 1), ('run', 'a', 'tag:x', 'primary', 'd', 2), "
                + "('registered_model', 'm', 'v1:stage', 'primary', 'd', 3); PRAGMA user_version = 2",
            in: path)
        #expect { try ReplicationState.visit(path: path) } throws: { ($0 as? StateError)?.kind == .newerSchema }
        state = try ReplicationState.open(path: path)
        #expect(try state.entries(after: .zero, kinds: [.run], limit: 9).map(\.key) == [key("a")])
        #expect(try state.conflicts().map(\.conflict.kind) == [.param, .tag, .stage])
        try state.hold(key("a"))
        #expect(try state.entries(after: .zero, kinds: [.run], limit: 9).isEmpty && state.heldCount() == 1)
        try state.close()
    }

    /// Put back from a copy that an earlier version made, which did not count its progress.
    @Test func anOlderCopyWithoutProgressIsRecognized() throws {
        let path = try fileWithARun("uncounted.db")
        try execute("UPDATE pair SET progress = 0", in: path)
        let state = try ReplicationState.open(path: path)
        #expect(try state.wasOlderCopy && state.identity(.run, "1") == nil)
        try state.close()
    }

    /// A copy from before something may have been created does not know what to look for.
    @Test func anIntentIsProgress() throws {
        let path = try fileWithARun("intents.db")
        let copy = try Data(contentsOf: URL(fileURLWithPath: path))
        var state = try ReplicationState.open(path: path)
        #expect(try !state.noteOrFind(Intent(key("3"), .create)))
        try state.close()
        try copy.write(to: URL(fileURLWithPath: path))
        state = try ReplicationState.open(path: path)
        #expect(state.wasOlderCopy)
        try state.close()
    }

    @Test func anotherPairIsRefused() throws {
        let state = try ReplicationState.open(path: folder.file("s.db"))
        let pair = Pair(name: "p", primary: StoreIdentity("1"), secondary: StoreIdentity("2"))
        try state.bind(pair)
        try state.bind(pair)
        let swapped = Pair(name: "p", primary: StoreIdentity("2"), secondary: StoreIdentity("1"))
        #expect { try state.bind(swapped) } throws: { ($0 as? StateError)?.kind == .otherPair }
        try state.close()
    }

    @Test func aBaseIsReadAsItWasWritten() {
        var base = Base()
        base[.tag("a")] = FieldDigest("x")
        base[.param("a")] = FieldDigest("y")
        var mark = SeriesMark.empty
        mark.add(MetricPoint(value: .nan, timestamp: -1, step: .min))
        base.series[FieldDigest("loss")] = mark
        // As bytes: NaN is not equal to itself.
        #expect(Base(encoded: base.encoded())?.encoded() == base.encoded())
        #expect(Base(encoded: Array(base.encoded().dropLast(8))) == nil)
        #expect(Base(encoded: []) == nil)
    }

    /// Ten fields, five params, five metrics: an ordinary run.
    @Test func anOrdinaryRunStaysUnderAKilobyte() throws {
        let path = folder.file("s.db")
        let state = try ReplicationState.open(path: path)
        let runs = 2000
        for number in 0..<runs {
            var base = Base()
            for field in 0..<15 { base[.tag("\(field)")] = FieldDigest("\(number)") }
            for metric in 0..<5 {
                var mark = SeriesMark.empty
                mark.add(MetricPoint(value: 1, timestamp: 1, step: Int64(metric)))
                base.series[FieldDigest("\(metric)")] = mark
            }
            let id = String(repeating: "\(number % 10)", count: 24) + "\(10_000_000 + number)"
            let identity = Identity(
                kind: .run, primaryID: id, secondaryID: id, root: "mlflow-artifacts:/12/\(id)/artifacts", record: SHA256Digest.of([1]),
                isSettled: true, base: base)
            try state.acknowledge(Acknowledgement(identity: identity), at: 0)
        }
        try state.close()
        let size = try #require(
            try DatabaseQueue(path: path).read {
                try Int.fetchOne($0, sql: "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
            })
        #expect(size / runs < 1024, "\(size / runs) bytes a run")
    }
}
