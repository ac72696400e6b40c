/// The secondary differs from what was last written, and what was done about it.
public struct Conflict: Sendable, Hashable {
    public var key: EntityKey
    public var field: String
    public var kind: ConflictKind
    public var decision: ConflictDecision
    public var detail: String
    public init(key: EntityKey, field: String, kind: ConflictKind, decision: ConflictDecision, detail: String) {
        self.key = key
        self.field = field
        self.kind = kind
        self.decision = decision
        self.detail = detail
    }

    /// The same for the same field of the same thing, always: eight hexadecimal digits.
    public var id: String {
        let digits = String(FieldDigest("\(key.kind.rawValue) \(key.id) \(field)").rawValue, radix: 16)
        return String((String(repeating: "0", count: 16 - digits.count) + digits).prefix(8))
    }
}
