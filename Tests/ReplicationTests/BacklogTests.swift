import GRDB
import TestSupport
import Testing

@testable import Replication

/// What waits is counted as it is written: the count is the one that counting the log gives.
@Suite struct BacklogTests {
    private let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    private func expectCounted(_ state: ReplicationState, _ when: String) throws {
        let (count, held, oldest) = try state.read { db in
            (
                try Int.fetchOne(db, sql: "SELECT count(*) FROM change_log"),
                try Int.fetchOne(db, sql: "SELECT count(*) FROM change_log WHERE held = 1"),
                try Int64.fetchOne(db, sql: "SELECT min(at) FROM change_log WHERE at > 0")
            )
        }
        let backlog = try state.backlog()
        #expect(backlog.count == count && backlog.held == held && backlog.oldest == oldest, "\(when): \(backlog)")
        #expect(try state.heldCount() == held, "\(when)")
        var kinds: [EntityKey.Kind: Int] = [:]
        for kind in EntityKey.Kind.allCases {
            let waiting = try state.read {
                try Int.fetchOne($0, sql: "SELECT count(*) FROM change_log WHERE kind = ?", arguments: [kind.rawValue])
            }
            if let waiting, waiting > 0 { kinds[kind] = waiting }
        }
        #expect(try state.pending() == kinds, "\(when)")
    }

    @Test func whateverHappensToTheLog() throws {
        var random = SplitMix(seed: 11)
        let path = folder.file("s.db")
        var state = try ReplicationState.open(path: path)
        try expectCounted(state, "empty")
        var now: Int64 = 1
        func key() -> EntityKey {
            EntityKey(EntityKey.Kind.allCases.randomElement(using: &random) ?? .run, "\(Int.random(in: 0..<12, using: &random))")
        }
        for step in 0..<600 {
            now += 1
            let what = Int.random(in: 0..<12, using: &random)
            switch what {
            case 0..<5: try state.append((0..<Int.random(in: 1...4, using: &random)).map { _ in Change(key()) }, at: now)
            case 5..<8:
                let one = key()
                guard let entry = try state.entry(one) else { continue }
                // It changes again amid the work: then it stays.
                if what == 7 { try state.append([Change(one)], at: now) }
                try state.acknowledge(Acknowledgement(entry: entry, followUps: [key()]), at: now)
            case 8:
                let one = key()
                try state.setAside(DeadLetter(key: one, reason: "x", message: "y"), entry: try state.entry(one), at: now)
            case 9: try state.hold(key())
            case 10: try state.releaseHeld()
            default:
                try state.close()
                state = try ReplicationState.open(path: path)
            }
            try expectCounted(state, "step \(step), \(what)")
        }
        #expect(try state.backlog().count > 0)
        try state.close()
    }

    /// As a damage may leave it: nobody waits for what is not there.
    @Test func aWrongCountIsMendedByTheNextOwner() throws {
        let path = folder.file("s.db")
        var state = try ReplicationState.open(path: path)
        try state.append([Change(EntityKey(.run, "a"))], at: 1)
        try state.close()
        let queue = try DatabaseQueue(path: path)
        try queue.writeWithoutTransaction { try $0.execute(sql: "UPDATE backlog SET waiting = 7, held = 3") }
        try queue.close()
        state = try ReplicationState.open(path: path)
        try expectCounted(state, "opened again")
        try state.close()
    }
}
