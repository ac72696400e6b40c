import FoundationEssentials
import Hashing

/// Tells what is not as it was copied, and does not say the same thing twice.
final class RecordComparer: Sendable {
    private let state: ReplicationState
    /// What was reported, or seen, last: a thing that waits, or was set aside, is not reported again until it is another.
    private let seen = Locked<[EntityKey: String]>([:])
    /// What it was before this reading.
    private let before = Locked<[EntityKey: String?]>([:])
    private static let most = 200_000

    init(_ state: ReplicationState) { self.state = state }

    func beginReading() { before.withLock { $0 = [:] } }

    /// After a reading that was not told: what was seen in it is to be told by the next.
    func forgetReading() {
        let before = before.withLock { before in (before, before = [:]).0 }
        seen.withLock { seen in for (key, value) in before { seen[key] = value } }
    }

    func changed(_ kind: EntityKey.Kind, _ records: [(id: String, digest: SHA256Digest)]) throws -> [EntityKey] {
        let known = try state.records(kind, records.map(\.id))
        return records.compactMap { record in
            let key = EntityKey(kind, record.id)
            let now = ReplicationState.blob(record.digest)
            if known[record.id] == now {
                seen.withLock { $0[key] = nil }
                return nil
            }
            // Told before, and nothing was copied since: it waits, or was set aside.
            return differs(key, record.digest.hex + " after " + (known[record.id]?.base64EncodedString() ?? "")) ? key : nil
        }
    }

    /// A run that has ended, or was deleted, is looked at whole, once: points that came late among earlier ones show nowhere else.
    func changed(_ runs: [Run]) throws -> [Change] {
        let keys = Set(try changed(.run, runs.map { ($0.id.rawValue, $0.recordDigest) }))
        return runs.filter { keys.contains(.run($0.id)) }.map {
            Change(.run($0.id), $0.status.isTerminal || $0.lifecycle == .deleted ? .whole : .record)
        }
    }

    func changed(_ models: [LoggedModel]) throws -> [Change] {
        try changed(.loggedModel, models.map { ($0.id.rawValue, $0.recordDigest) }).flatMap {
            [Change($0), Change(EntityKey(.loggedModelArtifacts, $0.id))]
        }
    }

    /// Of a thing whose own record does not tell everything: apart from `differs`.
    func differs(fromCopied key: EntityKey, _ digest: SHA256Digest) throws -> Bool {
        if try state.records(key.kind, [key.id])[key.id] == ReplicationState.blob(digest) { return false }
        return differs(EntityKey(key.kind, "whole " + key.id), digest.hex)
    }

    /// Of what is out of scope, what was in it when it was copied.
    func gone(_ experiments: [Experiment]) throws -> [EntityKey] {
        guard !experiments.isEmpty else { return [] }
        let copied = try state.records(.experiment, experiments.map(\.id.rawValue))
        return experiments.filter { copied[$0.id.rawValue] != nil }.map { (EntityKey.experiment($0.id), $0.recordDigest.hex) }
            .filter { differs($0.0, "out " + $0.1) }.map(\.0)
    }

    func isUnknown(_ key: EntityKey) throws -> Bool { try state.records(key.kind, [key.id])[key.id] == nil }

    /// That it cannot be read is said once, until it was read again.
    func isNewlyUnread(_ key: EntityKey, _ error: StoreError) -> Bool { differs(unread(key), error.reason.rawValue) }
    func noteRead(_ key: EntityKey) { seen.withLock { _ = $0.removeValue(forKey: unread(key)) } }
    private func unread(_ key: EntityKey) -> EntityKey { EntityKey(key.kind, "unread " + key.id) }

    func differs(_ key: EntityKey, _ now: String) -> Bool {
        seen.withLock { seen in
            if seen[key] == now { return false }
            if seen.count >= Self.most { seen = [:] }
            let last = seen.updateValue(now, forKey: key)
            before.withLock { if $0[key] == nil { $0[key] = .some(last) } }
            return true
        }
    }
}
