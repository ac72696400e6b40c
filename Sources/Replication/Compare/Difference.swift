/// One field that differs. Values are as text; nil where that side has none.
public struct Difference: Sendable, Hashable, Codable {
    public var kind: String
    public var primary: String?
    public var secondary: String?
    public var field: String
    public var primaryValue: String?
    public var secondaryValue: String?

    enum CodingKeys: String, CodingKey {
        case kind, primary, secondary, field
        case primaryValue = "primary_value"
        case secondaryValue = "secondary_value"
    }

    public init(
        kind: EntityKey.Kind, primary: String?, secondary: String?, field: String, primaryValue: String? = nil,
        secondaryValue: String? = nil
    ) {
        self.kind = kind.rawValue
        self.primary = primary
        self.secondary = secondary
        self.field = field
        self.primaryValue = primaryValue
        self.secondaryValue = secondaryValue
    }
}

public struct VerifySummary: Sendable, Hashable {
    /// What was compared: label to count.
    public var compared: [String: Int] = [:]
    public var differences = 0
    /// Things that could not be read on one side, so not compared.
    public var unreadable = 0
    public var leftOut: [String: Int] = [:]
    /// What stands on the secondary in another form, with all its content: label to count.
    public var converted: [String: Int] = [:]
    /// Differences that stand because the rules, or somebody, have decided so: kind of conflict to count.
    public var accepted: [String: Int] = [:]
    /// Of what was found to differ beside a daemon, what that still has to carry across. Not among the differences.
    public var waiting = 0
    /// And of those, what had not been carried across although the daemon was waited for: it is paused, held up or far behind.
    public var overdue = 0
    /// Nothing at all was compared, of a scope that leaves things out: a name may be misspelt. An empty primary that is meant whole is another matter.
    public var isOfNothing = false
    public var seconds = 0.0
    public init() {}
    public var areEqual: Bool { differences == 0 && unreadable == 0 }
    /// Equal, with something to be equal, and nothing that is known to be missing was left out.
    public var isProven: Bool { areEqual && overdue == 0 && !isOfNothing }
}

/// Collects the differences of one entity; every comparison is of text.
struct FieldComparison {
    let kind: EntityKey.Kind
    let primary: String
    let secondary: String
    private(set) var differences: [Difference] = []

    init(_ kind: EntityKey.Kind, _ primary: String, _ secondary: String) {
        self.kind = kind
        self.primary = primary
        self.secondary = secondary
    }

    mutating func compare(_ field: String, _ here: String?, _ there: String?) {
        guard here != there else { return }
        differences.append(
            Difference(kind: kind, primary: primary, secondary: secondary, field: field, primaryValue: here, secondaryValue: there))
    }

    /// Maps compared key by key; a key on one side only is a difference too.
    mutating func compare(_ prefix: String, _ here: [String: String], _ there: [String: String]) {
        for key in Set(here.keys).union(there.keys).sorted() { compare(prefix + key, here[key], there[key]) }
    }
}
