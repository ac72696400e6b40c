import Replication

/// `leave_out`, `rename` and `mask` under `scope` of the configuration file.
///
///     leave_out: { tags: ["mlflow.databricks.*"], params: [], artifacts: ["**/*.tmp"] }
///     rename:
///       experiments: { "/Users/ann@example.com/**": "ann/**" }
///       models: { churn: churn-prod }
///     mask:
///       users: pseudonym
///       key_file: mask.key
///       tags: { "mlflow.source.name": drop }
struct PassageSection: Sendable {
    var leaveOut: Setting<LeaveOut>?
    var renaming: Setting<Renaming>?
    /// Without its key.
    var mask: Setting<Mask>?
    var keyFile: Setting<String>?

    init() {}

    /// - Parameter scope: the section that holds them.
    init(_ scope: ConfigurationSection) throws {
        func place(_ key: String) -> Origin { scope.keys.first { $0.name == key }?.origin ?? .standard }
        if let section = try scope.section("leave_out", keys: KeyTable(known: ["tags", "params", "artifacts"])) {
            func patterns(_ key: String) throws -> [String] { try section.patterns(key)?.value ?? [] }
            leaveOut = Setting(
                LeaveOut(tags: try patterns("tags"), params: try patterns("params"), artifacts: try patterns("artifacts")),
                place("leave_out"))
        }
        if let section = try scope.section("rename", keys: KeyTable(known: ["experiments", "models"])) {
            renaming = Setting(
                Renaming(experiments: try Self.names(section, "experiments"), models: try Self.names(section, "models")), place("rename"))
        }
        if let section = try scope.section("mask", keys: KeyTable(known: ["users", "tags", "params", "key_file"])) {
            keyFile = try section.text("key_file")
            let mask = Mask(
                users: try section.text("users").map { try Self.form($0, section.path("users")) },
                tags: try Self.forms(section, "tags"), params: try Self.forms(section, "params"))
            if mask.needsKey, keyFile == nil {
                throw ConfigurationError(
                    place("mask"),
                    "scope.mask: a pseudonym needs scope.mask.key_file, the name of a file with a secret of \(PseudonymKey.minimumLength) characters or more"
                )
            }
            if let keyFile, !mask.needsKey {
                throw ConfigurationError(keyFile.origin, "scope.mask.key_file: nothing under scope.mask says pseudonym; remove it")
            }
            self.mask = Setting(mask, place("mask"))
        }
    }

    private static func form(_ said: Setting<String>, _ key: String) throws -> Mask.Form {
        guard let form = Mask.Form(rawValue: said.value) else {
            let all = Mask.Form.allCases.map(\.rawValue).joined(separator: " or ")
            throw ConfigurationError(said.origin, "\(key): expected \(all), found \"\(said.value.printable)\"")
        }
        return form
    }

    private static func forms(_ section: ConfigurationSection, _ key: String) throws -> [Mask.Rule] {
        guard let named = try section.section(key, keys: nil) else { return [] }
        return try named.keys.compactMap { pattern, origin in
            if pattern.isEmpty || pattern.hasPrefix("!") {
                throw ConfigurationError(
                    origin, "\(section.path(key)): a pattern here may not be empty, and cannot exclude; later ones win")
            }
            return try named.text(pattern).map { Mask.Rule(pattern, try form($0, named.path(pattern))) }
        }
    }

    private static func names(_ section: ConfigurationSection, _ key: String) throws -> [Renaming.Rule] {
        guard let named = try section.section(key, keys: nil) else { return [] }
        var targets: Set<String> = []
        return try named.keys.compactMap { from, origin in
            guard let to = try named.text(from) else { return nil }
            let path = "\(section.path(key)).\(from.printable)"
            let isOfMany = from.hasSuffix("**")
            guard !from.isEmpty, !to.value.isEmpty, isOfMany == to.value.hasSuffix("**"),
                !from.dropLast(isOfMany ? 2 : 0).contains("*"), !to.value.dropLast(isOfMany ? 2 : 0).contains("*")
            else {
                throw ConfigurationError(
                    to.origin, "\(path): expected a name for a name, or BEGINNING** for BEGINNING**, found \"\(to.value.printable)\"")
            }
            guard targets.insert(to.value).inserted else {
                throw ConfigurationError(to.origin, "\(path): two cannot have the name \"\(to.value.printable)\" there")
            }
            return Renaming.Rule(from, to.value)
        }
    }
}
