/// Where differences go: counted, handed on, and appended to the log when repairing.
final class Tally: Sendable {
    private let state = Locked(VerifySummary())
    private let repairs: ReplicationState?
    private let report: @Sendable (Difference) async throws -> Void

    private let closed = Locked<Set<String>>([])
    private let suspects: Suspects?
    private let clock: any ReplicationClock

    /// - Parameter suspects: where differences are kept that may be none in a moment.
    init(
        repairing: ReplicationState? = nil, suspects: Suspects? = nil, clock: any ReplicationClock,
        _ report: @escaping @Sendable (Difference) async throws -> Void
    ) {
        repairs = repairing
        self.suspects = suspects
        self.clock = clock
        self.report = report
    }

    /// What differs is looked at once more.
    var looksAgain: Bool { suspects != nil }
    var summary: VerifySummary { state.withLock { $0 } }
    func compared(_ label: String, _ count: Int = 1) { state.withLock { $0.compared[label, default: 0] += count } }
    func converted(_ label: String, _ count: Int = 1) {
        guard count > 0 else { return }
        state.withLock { $0.converted[label, default: 0] += count }
    }
    func leftOut(_ label: String, _ count: Int = 1) {
        guard count > 0 else { return }
        state.withLock { $0.leftOut[label, default: 0] += count }
    }

    /// - Parameter conflicts: differences that stand. When repairing they are noted, so that what is mended beside them leaves them.
    func accepted(_ conflicts: [Conflict]) throws {
        guard !conflicts.isEmpty else { return }
        state.withLock { state in
            for conflict in conflicts { state.accepted[conflict.kind.rawValue, default: 0] += 1 }
        }
        guard let repairs else { return }
        for conflict in conflicts { _ = try repairs.note(conflict, at: clock.nowMilliseconds) }
    }

    /// One that stands, and that nothing can be mended beside.
    func accepted(_ kind: ConflictKind) { state.withLock { $0.accepted[kind.rawValue, default: 0] += 1 } }

    func note(_ differences: [Difference], repair key: EntityKey? = nil) async throws {
        guard !differences.isEmpty else { return }
        if let suspects, let key, suspects.keep(differences, of: key) { return }
        state.withLock { $0.differences += differences.count }
        if let repairs, let key {
            try repairs.forgetBase(key)
            try repairs.append([Change(key)], at: clock.nowMilliseconds)
        }
        for difference in differences { try await report(difference) }
    }

    /// An experiment that is closed is so for its runs and its logged models, and is told of once.
    func unreadable(_ kind: EntityKey.Kind, _ id: String, _ why: String) async throws {
        let isNew = kind != .experiment || closed.withLock { $0.insert(id).inserted }
        guard isNew else { return }
        state.withLock { $0.unreadable += 1 }
        try await report(Difference(kind: kind, primary: id, secondary: nil, field: "unreadable", primaryValue: nil, secondaryValue: why))
    }
}
