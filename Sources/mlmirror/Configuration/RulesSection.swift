import Replication

/// `rules` of the configuration file: a decision for each kind of conflict, and others by name.
///
///     rules:
///       tag: secondary
///       experiments:
///         "/Shared/prod/**": { tag: park }
///       models:
///         "prod.*": { alias: secondary }
enum RulesSection {
    private static let kinds = ConflictKind.allCases.map(\.rawValue)
    private static let subjects: [(key: String, subject: ConflictRules.Override.Subject)] = [
        ("experiments", .experiment), ("models", .model),
    ]
    static let keys = KeyTable(known: kinds + subjects.map(\.key))
    private static let kindKeys = KeyTable(known: kinds)

    static func rules(_ section: ConfigurationSection) throws -> ConflictRules {
        var rules = ConflictRules(try decisions(section))
        for (key, subject) in subjects {
            guard let patterns = try section.section(key, keys: nil) else { continue }
            for (pattern, origin) in patterns.keys {
                if pattern.isEmpty { throw ConfigurationError(origin, "rules.\(key): a pattern may not be empty") }
                if pattern.hasPrefix("!") {
                    throw ConfigurationError(origin, "rules.\(key).\(pattern.printable): a pattern here cannot exclude; later ones win")
                }
                guard let said = try patterns.section(pattern, keys: kindKeys) else { continue }
                rules.overrides.append(ConflictRules.Override(subject, pattern, try decisions(said)))
            }
        }
        return rules
    }

    private static func decisions(_ section: ConfigurationSection) throws -> ConflictRules.Decisions {
        var decisions: ConflictRules.Decisions = [:]
        for kind in ConflictKind.allCases {
            guard let said = try section.text(kind.rawValue) else { continue }
            let allowed = kind.allowed.map(\.rawValue)
            guard let decision = ConflictDecision(rawValue: said.value), kind.allowed.contains(decision) else {
                let hint = NearestName.of(said.value, among: allowed).map { "; did you mean \($0)?" } ?? ""
                throw ConfigurationError(
                    said.origin,
                    "\(section.path(kind.rawValue)): expected one of \(allowed.joined(separator: ", ")), found \"\(said.value.printable)\"\(hint)"
                )
            }
            decisions[kind] = decision
        }
        return decisions
    }

    // MARK: Shown

    /// What is not the default, each with its key.
    static func lines(_ rules: ConflictRules) -> [(key: String, value: String)] {
        var lines = ConflictKind.allCases.compactMap { kind in
            rules.decisions[kind].map { (key: "rules.\(kind.rawValue)", value: $0.rawValue) }
        }
        for override in rules.overrides {
            let decisions = ConflictKind.allCases.compactMap { kind in
                override.decisions[kind].map { "\(kind.rawValue): \($0.rawValue)" }
            }
            lines.append(("rules.\(override.subject.rawValue)s.\(override.pattern)", decisions.joined(separator: ", ")))
        }
        return lines
    }
}
