import Replication

/// Conflicts for people.
enum ConflictText {
    static func allowed(_ kind: ConflictKind) -> String { kind.allowed.map(\.rawValue).joined(separator: ", ") }

    static func unknown(_ id: String, _ path: String) -> MirrorError {
        MirrorError(.configuration, "\(path): no conflict \(id.printable); `mlmirror conflicts list` names all")
    }

    static func line(_ noted: NotedConflict) -> String {
        let conflict = noted.conflict
        return "\(conflict.id)  \(conflict.kind.rawValue)  \(conflict.key)  \(conflict.field)  \(decision(noted))".printable
    }

    static func whole(_ noted: NotedConflict) -> String {
        let conflict = noted.conflict
        return [
            ("conflict:", conflict.id), ("kind:", conflict.kind.rawValue), ("thing:", "\(conflict.key)"), ("field:", conflict.field),
            ("since:", Instant.text(noted.at)), ("decision:", decision(noted)), ("detail:", conflict.detail),
            ("possible:", allowed(conflict.kind)),
        ].map { $0.padding(10) + $1.printable }.joined(separator: "\n")
    }

    private static func decision(_ noted: NotedConflict) -> String {
        guard let resolution = noted.resolution else { return "\(noted.conflict.decision.rawValue) (by rule)" }
        return noted.isWaiting ? "\(resolution.rawValue) (decided, not carried out yet)" : "\(resolution.rawValue) (decided)"
    }
}

extension String {
    fileprivate func padding(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}

/// Conflicts as `--json` prints them.
struct ConflictsDocument: Encodable {
    struct Entry: Encodable {
        var id: String
        var kind: String
        var entityKind: String
        var entity: String
        var field: String
        var decision: String
        /// What people have decided since; absent: nothing.
        var resolution: String?
        var isWaiting: Bool
        var detail: String
        var since: String
        var possible: [String]
        init(_ noted: NotedConflict) {
            let conflict = noted.conflict
            (id, kind, field, detail) = (conflict.id, conflict.kind.rawValue, conflict.field, conflict.detail)
            (entityKind, entity) = (conflict.key.kind.rawValue, conflict.key.id)
            decision = conflict.decision.rawValue
            resolution = noted.resolution?.rawValue
            isWaiting = noted.isWaiting
            since = Instant.text(noted.at)
            possible = conflict.kind.allowed.map(\.rawValue)
        }
    }
    var messageType = "conflicts"
    var conflicts: [Entry]
    init(_ noted: [NotedConflict]) { conflicts = noted.map(Entry.init) }
}
