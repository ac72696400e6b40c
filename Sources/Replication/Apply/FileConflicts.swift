/// The conflicts over one owner's files, while they are copied.
final class FileConflicts: Sendable {
    private let key: EntityKey
    private let rules: ThingRules
    /// Somebody may have changed the secondary's files.
    private let mayBeEdited: Bool
    private let found: Locked<[ExactName: Conflict]>

    init(_ key: EntityKey, _ rules: ThingRules, mayBeEdited: Bool) {
        self.key = key
        self.mayBeEdited = mayBeEdited
        self.rules = rules
        var standing: [ExactName: Conflict] = [:]
        for (field, decision) in rules.standing {
            guard decision.stands, field.text.hasPrefix(Self.prefix) else { continue }
            standing[field] = Conflict(
                key: key, field: field.text, kind: .artifact, decision: decision, detail: Conflict.detail(ofEdit: decision))
        }
        found = Locked(standing)
    }

    private static let prefix = "file:"
    private func field(_ path: String) -> ExactName { ExactName(Self.prefix + path) }
    static func intent(_ path: String) -> Base.Field { Base.Field(prefix + path) }

    /// That an earlier attempt may have left a file there counts: under a seal nothing is written over for that.
    var heedsDoubt: Bool { !rules.isSealed }
    private func decision(_ path: String) -> ConflictDecision { rules.decision(.artifact, field(path).text) }

    /// The secondary's own by an earlier decision, which still holds.
    func isTheirs(_ path: String) -> Bool { rules.standing[field(path)] == .secondary && decision(path) == .secondary }

    /// No conflict that was noted before has to be looked at again.
    func mayRest(_ path: String) -> Bool { rules.standing[field(path)].map { !$0.stands } ?? true }

    /// What is decided where the secondary's file has changed; nil: it is written over without a look.
    func asks(_ path: String) -> ConflictDecision? {
        guard mayBeEdited || rules.isSealed || rules.resolutions[field(path)] != nil else { return nil }
        let decision = decision(path)
        return decision == .primary ? nil : decision
    }

    func note(_ path: String, _ decision: ConflictDecision, _ detail: String) {
        let field = field(path)
        let conflict = Conflict(key: key, field: field.text, kind: .artifact, decision: decision, detail: detail)
        found.withLock { $0[field] = conflict }
    }

    /// Told of each file that was written: what stood is over.
    func overwrote(_ path: String) {
        let field = field(path)
        found.withLock { found in
            guard found.removeValue(forKey: field) != nil else { return }
            found[field] = Conflict(
                key: key, field: field.text, kind: .artifact, decision: .primary,
                detail: "edited on the secondary; the primary's file was written")
        }
    }

    var all: [Conflict] { found.withLock { $0.values.sorted { $0.field < $1.field } } }
}
